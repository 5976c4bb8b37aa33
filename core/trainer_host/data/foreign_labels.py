"""Label files outside of their dataset: a link may lead to any file of the user, whose content must not be shown.

Links to label files are common, and are followed. The content is used only if all of it looks like labels; otherwise
the finding says so without quoting it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.findings import Finding
from trainer_host.base.wording import counted
from trainer_host.data.label_files import LabelFault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer_host.data.label_files import Rows
    from trainer_host.data.listed_files import Listing

CODE = "label-outside"
LINK_OUT = "link-outside"
OF_CONTENT = frozenset({"label-number", "label-not-finite", "label-encoding", "label-too-large", "label-too-many-rows"})
"""Faults that say something about what a file holds."""
QUOTING = frozenset({"label-number", "label-not-finite"})
LEAST_COLUMNS = 5
LOWEST, HIGHEST, MOST_CLASSES = -1, 2, 100_000
"""Limits of the numbers of a row: normalized coordinates, visibility, and the class."""
FIX = "replace the link with a copy of the label file"
REPLACE = "replace the link with the label file of the image, or remove it"


@dataclass(frozen=True)
class Places:
    """Places where the label files of a folder may be.

    Attributes:
        roots: The folders that belong to the dataset, without links.
    """

    roots: tuple[str, ...]

    @classmethod
    def around(cls, images: str, labels: str, home: str, above: str) -> Places:
        """Return the places of a folder of labels.

        Args:
            images: The folder of the images.
            labels: The folder of their label files.
            home: The folder of the dataset's YAML.
            above: The folder that both are in; empty if there is none.
        """
        real = dict.fromkeys(os.path.realpath(p) for p in (home, images, labels, above) if p)
        # The user's own folder belongs to no dataset, though a YAML may lie in it.
        user = os.path.join(os.path.realpath(os.path.expanduser("~")), "")  # noqa: PTH111, PTH118
        return cls(tuple(p for p in real if not user.startswith(os.path.join(p, ""))))  # noqa: PTH118

    def holds(self, path: str) -> bool:
        """Return whether a file or folder is in one of them, with its links followed."""
        real = os.path.realpath(path)
        return any(real == root or real.startswith(f"{root}{os.sep}") for root in self.roots)


def withheld(rows: Rows, listing: Listing) -> Rows:
    """Return the rows of label files without what must not be shown of those outside of the dataset."""
    if not listing.links_out and not listing.folders_out:
        return rows
    links = np.array(sorted(listing.links_out), np.int64)
    strange = set(rows.file[np.isin(rows.file, links) & ~_look_like_labels(rows)].tolist())
    strange |= {f.file for f in rows.faults if f.code in OF_CONTENT and f.file in listing.links_out}
    what = "the label file is a link to a file outside of the dataset that does not contain labels."
    faults = [f for f in rows.faults if f.file not in strange]
    faults = [_unquoted(f) if f.file in listing.folders_out else f for f in faults]
    faults += [LabelFault(index, 0, CODE, what, REPLACE) for index in strange]
    kept = ~np.isin(rows.file, sorted(strange))
    return replace(
        rows,
        file=rows.file[kept],
        line=rows.line[kept],
        row_lengths=rows.row_lengths[kept],
        values=rows.values[np.repeat(kept, rows.row_lengths)],
        valid=rows.valid[kept],
        faults=sorted(faults),
    )


def _unquoted(fault: LabelFault) -> LabelFault:
    if fault.code not in QUOTING:
        return fault
    what = "a word is not a number; it is not shown, because the label file is outside of the dataset."
    return fault._replace(message=what, fix="write numbers separated by spaces")


def _look_like_labels(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows have a class and numbers such as normalized coordinates, bool (r,)."""
    if not len(rows.file):
        return np.zeros(0, bool)
    first = np.cumsum(rows.row_lengths, dtype=np.int64) - rows.row_lengths
    with np.errstate(invalid="ignore"):
        good = (rows.values >= LOWEST) & (rows.values <= HIGHEST)
        classes = rows.values[first]
        good[first] = (classes >= 0) & (classes < MOST_CLASSES) & (classes == np.floor(classes))
    return np.logical_and.reduceat(good, first) & rows.valid & (rows.row_lengths >= LEAST_COLUMNS)


def images_out(split: str, listing: Listing, home: str, root: str) -> Iterator[Finding]:
    """Yield a warning for the images that links within the split lead to, outside of the dataset.

    A split that is made of such links alone is a selection from a store of images, as programs write it and as
    `trainer check --fix` does, and draws none.
    """
    places = Places(tuple({os.path.realpath(p) for p in (home, root, *listing.tops)}))
    out = [link for link in listing.image_links if not places.holds(link)]
    if not out:
        return
    single, folders = {*out}, tuple(f"{link}{os.sep}" for link in out)
    images = [i for i, path in enumerate(listing.images) if path in single or path.startswith(folders)]
    images = [i for i in images if listing.image_stats[i, 0] >= 0]
    some = len(images) < len(listing.images) or any(os.path.isdir(link) for link in out)  # noqa: PTH112
    if images and some:
        first = listing.images[images[0]]
        what = f"{len(images)} of {counted(len(listing.images), f'{split} image')} are behind links out of the dataset,"
        what += f" such as this one to {os.path.realpath(first)}."
        fix = "replace the links with copies, or remove them"
        yield Finding(LINK_OUT, what, fix, first, None, "warning", split)


def folders_out(split: str, listing: Listing) -> Iterator[Finding]:
    """Yield a warning for the label files in folders that are links out of the dataset."""
    used = sorted(i for i in listing.folders_out if listing.label_stats[i, 0] >= 0)
    if used:
        folder = os.path.dirname(listing.label_files[used[0]])  # noqa: PTH120
        what = f"the folder of {counted(len(used), f'{split} label file')} is a link that leads out of the dataset, to"
        what += f" {os.path.realpath(folder)}."
        fix = "copy the label files into the dataset before moving or sharing it"
        yield Finding(LINK_OUT, what, fix, folder, None, "warning", split)


def links_out(split: str, listing: Listing, rows: Rows) -> Iterator[Finding]:
    """Yield a warning for the label files that are links out of the dataset and are used all the same."""
    refused = {f.file for f in rows.faults if f.code == CODE}
    used = sorted(set(rows.file.tolist()) & listing.links_out - refused)
    if used:
        many = f"{len(used)} label files are links that lead out of the dataset."
        what = many if len(used) > 1 else "the label file is a link that leads out of the dataset."
        yield Finding(CODE, what, FIX, listing.label_files[used[0]], None, "warning", split)

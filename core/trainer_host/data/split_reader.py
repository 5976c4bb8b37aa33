"""One split read: its images' headers and its label files, of which only what has changed is opened."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.findings import Finding
from trainer_host.data import scan_cache as cache
from trainer_host.data.description import EMPTY, FOUND, MISSING, Split
from trainer_host.data.foreign_labels import links_out, withheld
from trainer_host.data.image_headers import read_header, unreadable
from trainer_host.data.label_files import MOST_BYTES, MOST_ROWS, LabelFault, Rows, join_rows, parse_labels
from trainer_host.data.listed_files import ABSENT, BROKEN_LINK, FOLDER, NO_FILE, UNREADABLE, Listing
from trainer_host.data.scan_cache import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

REREAD = ("image-unreadable", "image-unrotated")
"""Faults of images that depend on more than their files."""
CHUNK = 1 << 20
"""Bytes of label files that are parsed together."""


def read_split(name: str, sources: Sequence[Path], listing: Listing) -> tuple[Split, list[Finding]]:
    """Read the headers of a split's images and its label files.

    Args:
        name: The split.
        sources: Where the images come from, by which the cache knows the split.
        listing: The images and label files.

    Returns:
        The split, and the findings about its files.
    """
    contents = _read(name, sources, listing)
    contents = replace(contents, rows=withheld(contents.rows, listing))
    labelled = np.full(len(listing.images), EMPTY, np.uint8)
    labelled[contents.rows.file] = FOUND
    labelled[[fault.file for fault in contents.rows.faults]] = FOUND
    labelled[listing.label_stats[:, 0] == ABSENT[0]] = MISSING
    rows = contents.rows
    split = Split(
        name=name,
        images=listing.images,
        label_files=listing.label_files,
        sizes=listing.image_stats[:, 0],
        shapes=contents.shapes,
        marks=contents.marks,
        modes=contents.modes,
        labelled=labelled,
        image=rows.file,
        line=rows.line,
        row_lengths=rows.row_lengths,
        values=rows.values,
        valid=rows.valid,
        crowd=np.zeros(len(rows.file), bool),
    )
    return split, [*_findings(split, contents), *links_out(name, listing, contents.rows)]


def _findings(split: Split, contents: Contents) -> Iterable[Finding]:
    for index, fault in contents.image_faults:
        yield split.of_image(index, fault.code, fault.message, fault.fix, fault.severity)
    for row in contents.rows.faults:
        file, image = split.label_files[row.file], split.images[row.file]
        yield Finding(row.code, row.message, row.fix, file, row.line or None, "error", split.name, image)


def _read(name: str, sources: Sequence[Path], listing: Listing) -> Contents:
    began = cache.now()
    known = cache.load(name, sources)
    if known is None:
        known = _nothing()
    places = _places(known.images, listing.images)
    same_image = _unchanged(known, known.image_stats, listing.image_stats, places)
    same_label = _unchanged(known, known.label_stats, listing.label_stats, places)
    # What could not be read for its own reason may be readable now, though nothing of it has changed; and another
    # release of OpenCV may rotate what this one does not.
    same_image &= listing.image_stats[:, 0] >= 0  # negative sizes stand for what is not a readable file
    same_image &= ~np.isin(places, [image for image, fault in known.image_faults if fault.code in REREAD])
    same_label &= ~np.isin(places, [f.file for f in known.rows.faults if f.code == "label-unreadable"])
    if same_image.all() and same_label.all() and len(known.images) == len(listing.images):
        return known
    old, kept = places[same_image], np.flatnonzero(same_image)
    shapes = np.zeros((len(listing.images), 2), np.int32)
    marks = np.zeros(len(listing.images), np.uint32)
    modes = np.zeros(len(listing.images), np.uint16)
    shapes[kept], marks[kept], modes[kept] = known.shapes[old], known.marks[old], known.modes[old]
    position = dict(zip(old.tolist(), kept.tolist(), strict=True))
    image_faults = [(position[image], fault) for image, fault in known.image_faults if image in position]
    for index in np.flatnonzero(~same_image).tolist():
        path, size = listing.images[index], int(listing.image_stats[index, 0])
        gone = size in {ABSENT[0], BROKEN_LINK[0]}
        header = unreadable(path) if gone else read_header(path, 0 if size == UNREADABLE[0] else size)
        shapes[index], marks[index], modes[index] = (header.height, header.width), header.mark, header.mode
        image_faults += [(index, fault) for fault in header.faults]
    read = _read_labels(listing, np.flatnonzero(~same_label & (listing.label_stats[:, 0] != ABSENT[0])).tolist())
    rows = _merged(_moved(known.rows, places, same_label), read)
    contents = Contents(
        images=listing.images,
        image_stats=listing.image_stats,
        label_stats=listing.label_stats,
        shapes=shapes,
        marks=marks,
        modes=modes,
        rows=rows,
        image_faults=sorted(image_faults),
        read_at=began,
    )
    cache.save(name, sources, contents)
    return contents


def _nothing() -> Contents:
    stats = np.zeros((0, 4), np.int64)
    rows = parse_labels([])
    shapes, marks, modes = np.zeros((0, 2), np.int32), np.zeros(0, np.uint32), np.zeros(0, np.uint16)
    return Contents([], stats, stats, shapes, marks, modes, rows, [], 0)


def _places(known: Sequence[str], images: Sequence[str]) -> NDArray[np.int64]:
    """Return where each image stood when the split was last read, -1 for a new one."""
    if known == images:
        return np.arange(len(images))
    index = {path: i for i, path in enumerate(known)}
    return np.array([index.get(path, -1) for path in images], np.int64)


def _unchanged(
    known: Contents, stats: NDArray[np.int64], current: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.bool_]:
    if not len(stats):
        return np.zeros(len(current), bool)
    same: NDArray[np.bool_] = (places >= 0) & (stats[places] == current).all(axis=1) & known.settled(current)
    # An image that is listed twice is known once; the other time it is read again.
    first = np.zeros(len(places), bool)
    first[np.unique(places, return_index=True)[1]] = True
    return same & first


def _moved(rows: Rows, places: NDArray[np.int64], kept: NDArray[np.bool_]) -> Rows:
    """Return the rows of the label files that are kept, each with the present index of its image."""
    # By their present index, -1 for files that were changed or are gone, whose rows are read again.
    files = int(max(places.max(initial=-1), rows.file.max(initial=-1), *(f.file for f in rows.faults), 0)) + 1
    target = np.full(files, -1, np.int64)
    target[places[kept]] = np.flatnonzero(kept)
    moved = target[rows.file]
    stays = moved >= 0
    return Rows(
        file=moved[stays].astype(np.int32),
        line=rows.line[stays],
        row_lengths=rows.row_lengths[stays],
        values=rows.values[np.repeat(stays, rows.row_lengths)],
        valid=rows.valid[stays],
        faults=[f._replace(file=int(target[f.file])) for f in rows.faults if target[f.file] >= 0],
    )


def _merged(kept: Rows, read: Rows) -> Rows:
    """Return rows that were kept and rows that were read, in order of their images."""
    if not len(kept.file) and not kept.faults:
        return read
    both = join_rows([kept, read], (0, 0))
    order = np.argsort(both.file, kind="stable")
    starts = np.cumsum(both.row_lengths, dtype=np.int64) - both.row_lengths
    lengths = both.row_lengths[order].astype(np.int64)
    # The values of each row stay together: its first place, and so many behind it.
    offsets = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Rows(
        file=both.file[order],
        line=both.line[order],
        row_lengths=both.row_lengths[order],
        values=both.values[np.repeat(starts[order], lengths) + offsets],
        valid=both.valid[order],
        faults=sorted(both.faults),
    )


def _read_labels(listing: Listing, wanted: Sequence[int]) -> Rows:
    """Read and parse label files, many at a time."""
    parts: list[Rows] = []
    faults: list[LabelFault] = []
    texts: list[bytes] = []
    owners: list[int] = []
    size = 0

    def parse() -> None:
        nonlocal size
        rows = parse_labels(texts)
        owner = np.array(owners, np.int32)
        found = [f._replace(file=owners[f.file]) for f in rows.faults]
        parts.append(replace(rows, file=owner[rows.file], faults=found))
        texts.clear()
        owners.clear()
        size = 0

    for index in wanted:
        path, bytes_ = listing.label_files[index], int(listing.label_stats[index, 0])
        text = _read_label(path, bytes_, index, faults)
        if text is not None:
            texts.append(text)
            owners.append(index)
            size += len(text)
        if size > CHUNK:
            parse()
    parse()
    rows = join_rows(parts, [0] * len(parts))
    return replace(rows, faults=[*rows.faults, *faults])


def _read_label(path: str, size: int, index: int, faults: list[LabelFault]) -> bytes | None:
    if size == FOLDER[0]:
        what = "the label file is a folder."
        faults.append(LabelFault(index, 0, "label-directory", what, "move or rename the folder"))
    elif size == NO_FILE[0]:
        faults.append(LabelFault(index, 0, "label-unreadable", "the label file is not a regular file.", "replace it"))
    elif size == BROKEN_LINK[0]:
        faults.append(
            LabelFault(
                index,
                0,
                "link-broken",
                "the label file is a broken link.",
                "correct the link, or remove it",
            )
        )
    elif size > MOST_BYTES:
        what = f"the label file has {size >> 20} MiB; the maximum is {MOST_BYTES >> 20}."
        faults.append(LabelFault(index, 0, "label-too-large", what, "write only one object per line"))
    else:
        try:
            file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                text = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
            finally:
                os.close(file)
        except OSError as error:
            what = f"the label file cannot be read: {error.strerror}."
            faults.append(LabelFault(index, 0, "label-unreadable", what, "make it readable"))
            return None
        lines = text.count(b"\n")
        if lines <= MOST_ROWS:
            return text
        what = f"the label file has {lines} lines; the maximum is {MOST_ROWS}."
        fix = "write one row per object, and one file per image"
        faults.append(LabelFault(index, 0, "label-too-many-rows", what, fix))
    return None

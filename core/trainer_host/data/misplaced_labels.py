"""Misplaced label files: next to the images, in another folder, or misnamed."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import display_path
from trainer_host.data.description import MISSING
from trainer_host.data.known_formats import known_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from trainer_host.data.description import Split
    from trainer_host.data.known_formats import Known

MOST_FOLDERS = 20
"""Folders of images for which label files are looked for."""
MOST_SIBLINGS = 50
MOST_LEVELS = 4
"""Levels above the images, and folders on each, in which they are looked for."""
PROBED = 20
"""Images by which a folder is judged before all are."""
NAMES: dict[str, Callable[[str, str], str]] = {
    "plain": lambda stem, _: f"{stem}.txt",
    "full": lambda _, name: f"{name}.txt",
    "capital": lambda stem, _: f"{stem}.TXT",
    "lower": lambda stem, _: f"{stem.lower()}.txt",
    "json": lambda stem, _: f"{stem}.json",
    "xml": lambda stem, _: f"{stem}.xml",
}
"""Names that the label file of an image may have, from its name without and with its ending."""
FOREIGN = frozenset({"json", "xml"})


@dataclass(frozen=True)
class Misplaced:
    """Label files of a split in another place than expected.

    Attributes:
        images: Indices of the images that they belong to.
        files: The label files.
        message: The problem.
        fix: How to fix it.
    """

    images: frozenset[int]
    files: frozenset[str]
    message: str
    fix: str


def find_misplaced(split: Split, owned: Collection[str], homes: Sequence[str]) -> Misplaced | None:
    """Return the misplaced label files of the images that have none; None if there are none.

    Args:
        split: The split.
        owned: Label files that belong to an image.
        homes: The folders of the dataset and of its YAML.
    """
    without = (split.labelled == MISSING).nonzero()[0].tolist()
    folders: dict[str, list[int]] = defaultdict(list)
    for index in without:
        folders[os.path.dirname(split.images[index])].append(index)  # noqa: PTH120 - many paths
    listed: dict[str, frozenset[str]] = {}
    found: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for folder, indices in sorted(folders.items(), key=lambda item: -len(item[1]))[:MOST_FOLDERS]:
        expected = os.path.dirname(split.label_files[indices[0]])  # noqa: PTH120
        best = _best(split, folder, indices, expected, homes, listed, owned)
        if best is not None:
            place, way, files = best
            found[place, way, expected] |= files
    if not found:
        return None
    (place, way, expected), files = max(found.items(), key=lambda item: len(item[1]))
    first = min(files)
    kind = known_file(Path(files[first])) if way in FOREIGN else None
    message, fix = _said(split, len(files), place, expected, split.images[first], files[first], kind)
    every = {i: f for some in found.values() for i, f in some.items()}
    return Misplaced(frozenset(every), frozenset(every.values()), message, fix)


def _best(
    split: Split,
    folder: str,
    indices: Sequence[int],
    expected: str,
    homes: Sequence[str],
    listed: dict[str, frozenset[str]],
    owned: Collection[str],
) -> tuple[str, str, dict[int, str]] | None:
    """Return the folder and the way of naming that give most images a label file, with these files."""
    best: tuple[str, str, dict[int, str]] | None = None
    for place in dict.fromkeys(_candidates(folder, expected, homes, split.name)):
        names = _names_in(place, listed)
        for way in NAMES if names else ():
            if not _matches(split, indices[:PROBED], place, way, names, owned):
                continue
            files = _matches(split, indices, place, way, names, owned)
            if way in FOREIGN and known_file(Path(next(iter(files.values())))) is None:
                continue
            if best is None or len(files) > len(best[2]):
                best = (place, way, files)
    return best


def _matches(
    split: Split, indices: Sequence[int], place: str, way: str, names: frozenset[str], owned: Collection[str]
) -> dict[int, str]:
    found = {}
    for index in indices:
        name = split.images[index].rpartition(os.sep)[2]
        label = NAMES[way](name.rpartition(".")[0], name)
        path = f"{place}{os.sep}{label}"
        if label in names and path not in owned:
            found[index] = path
    return found


def _names_in(place: str, listed: dict[str, frozenset[str]]) -> frozenset[str]:
    if place not in listed:
        try:
            listed[place] = frozenset(os.listdir(place))  # noqa: PTH208 - names alone
        except OSError:
            listed[place] = frozenset()
    return listed[place]


def _candidates(folder: str, expected: str, homes: Sequence[str], split: str) -> Iterator[str]:
    """Yield folders in which the label files of a folder of images may be."""
    yield expected
    yield folder
    images = Path(folder)
    bases = [(Path(home), images.parts[-2:]) for home in homes if not images.is_relative_to(home)]
    bases += [(above, images.relative_to(above).parts) for above in islice((images, *images.parents), MOST_LEVELS)]
    for above, parts in bases:
        if above == Path(above.anchor):
            continue
        # By position, below a folder next to that of the images, by the names without "images", and by the split,
        # where the folder of its images is a link to one of another name.
        ends = [(), parts[1:], parts[-1:], tuple(p for p in parts if p != "images"), parts, ("labels",), (split,)]
        for name in _folders(above):
            yield from (str(above.joinpath(name, *end)) for end in ends)
        if above in map(Path, homes) and images.is_relative_to(above):
            return


def _folders(above: Path) -> list[str]:
    try:
        with os.scandir(above) as entries:
            return sorted(e.name for e in islice(entries, MOST_SIBLINGS) if e.is_dir() and e.name[0] != ".")
    except OSError:
        return []


def _said(
    split: Split, count: int, place: str, expected: str, image: str, file: str, kind: Known | None
) -> tuple[str, str]:
    name, label = Path(image).name, Path(file).name
    wanted = f"{Path(image).stem}.txt"
    who = f"{count} of the {len(split)} {split.name} images"
    here, there = display_path(Path(place)), display_path(Path(expected))
    if kind is not None:
        what = f"{who} have labels in another format in {here}: {label} is {kind.name}."
        folder = Path(place)  # of all splits, if each has a folder
        return what, kind.way_for(folder, folder.parent if folder.name == split.name else folder)
    if label != wanted and place == expected:
        what = f"{who} have misnamed label files: {label} for {name} instead of {wanted}."
        return what, f"rename the label files in {here}: {label} to {wanted}, and likewise the others"
    what = f"{who} have their label files in {here} instead of {there}."
    if place == os.path.dirname(image):  # noqa: PTH120
        what = f"{who} have their label files next to the images, in {here} instead of {there}."
    renamed = f", and rename {label} to {wanted}, and likewise the others" if label != wanted else ""
    return what, f"move the label files of the {split.name} images from {here} to {there}{renamed}"

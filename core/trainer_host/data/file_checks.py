"""Problems between the files of a dataset: labels without images, duplicate images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.atomic_io import display_path
from trainer_host.base.findings import Finding
from trainer_host.data.description import EMPTY, FOUND, MISSING, SPLITS, Description, Split
from trainer_host.data.misplaced_labels import find_misplaced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from trainer_host.data.listed_files import Listing
    from trainer_host.data.misplaced_labels import Misplaced

NOT_LABELS = frozenset({"classes.txt", "notes.txt", "readme.txt", "train.txt", "val.txt", "test.txt", "labels.txt"})
"""Text files that labelling programs put next to label files."""


def check_files(data: Description, listings: Mapping[str, Listing]) -> Iterator[Finding]:
    """Yield the problems between images and label files, and between splits."""
    owned = {file for split in data.splits.values() for file in split.label_files}
    misplaced = {name: _misplaced(data, split, owned) for name, split in data.splits.items()}
    for name, split in data.splits.items():
        yield from _labels(data, split, misplaced[name])
    yield from _orphans(listings, owned, {f for found in misplaced.values() if found for f in found.files})
    same = list(_same_splits(data))
    for one, other in same:
        what = f"{one} and {other} are the same images, so metrics on {other} are meaningless."
        yield data.of_key(other, "splits-same", what, f"use other images for {other}", "warning")
    yield from _copies(data, {other for _, other in same})


def _misplaced(data: Description, split: Split, owned: Collection[str]) -> Misplaced | None:
    if not data.engine_reads or not (split.labelled == MISSING).any():
        return None
    homes = dict.fromkeys([str(data.get("path") or ""), str(Path(data.file).parent)])
    return find_misplaced(split, owned, [home for home in homes if home])


def _none_has(split: Split, what: str) -> str:
    if len(split) == 1:
        return f"the only {split.name} image has no {what}"
    return f"none of the {len(split)} {split.name} images has {what}"


def _labels(data: Description, split: Split, misplaced: Misplaced | None) -> Iterator[Finding]:
    # Labels of which nothing could be used have their own findings.
    lost = any(f.split == split.name and f.image != f.file and f.severity == "error" for f in data.findings)
    if len(split) and not lost and not (split.labelled == FOUND).any():
        what, fix = f"{_none_has(split, 'labels')}.", "label them"
        if data.engine_reads:
            first = display_path(Path(split.label_files[0]))
            empty = (split.labelled == EMPTY).all()
            what = f"{_none_has(split, 'label files with rows')};"
            what += f" the first is expected at {first}."
            fix = f"put the label files into {display_path(Path(split.label_files[0]).parent)}"
            if empty:
                what, fix = f"the label files of all {len(split)} {split.name} images are empty.", "label the images"
        if misplaced is not None:
            what, fix = misplaced.message, misplaced.fix
        yield data.of_key(split.name, "labels-none", what, fix, "error" if split.name == "train" else "warning")
        return
    if misplaced is not None:
        yield data.of_key(split.name, "labels-misplaced", misplaced.message, misplaced.fix, "warning")
    here = f"{Path.cwd()}{os.sep}"  # removed here: `display_path` would take long for all images of a split
    for index in sorted(
        {*np.flatnonzero(split.labelled == MISSING).tolist()} - (misplaced.images if misplaced else set())
    ):
        label = split.label_files[index].removeprefix(here)
        what = f"the image has no label file ({label}), so it trains as background."
        fix = "label it; if it shows no object, add an empty label file"
        yield split.of_image(index, "label-missing", what, fix, "warning")


def _orphans(listings: Mapping[str, Listing], owned: set[str], misplaced: set[str]) -> Iterator[Finding]:
    reported = set(misplaced)
    for name, listing in listings.items():
        for folder, names in listing.folders.items() if listing.by_folder else ():
            for file in sorted({f"{folder}{os.sep}{n}" for n in names} - owned - reported):
                if file.rpartition(os.sep)[-1].lower() in NOT_LABELS:
                    continue
                reported.add(file)
                fix = "add the image, or remove the label file"
                yield Finding("label-orphan", "the label file has no image.", fix, file, None, "warning", name)


def _same_splits(data: Description) -> Iterator[tuple[str, str]]:
    names = [name for name in SPLITS if name in data.splits]
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if len(data.splits[one]) and data.splits[one].images == data.splits[other].images:
                yield one, other


def _copies(data: Description, passed_over: set[str]) -> Iterator[Finding]:
    """Yield images whose content is there twice. Files are read only where size and first bytes are equal."""
    splits = [s for n, s in data.splits.items() if n not in passed_over and len(s)]
    if not splits:
        return
    sizes = np.concatenate([s.sizes for s in splits])
    marks = np.concatenate([s.marks for s in splits]).astype(np.int64)
    readable = np.concatenate([s.shapes[:, 0] for s in splits]) > 0
    _, group, count = np.unique(np.stack([sizes, marks], axis=1), axis=0, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero((count[group.reshape(-1)] > 1) & readable).tolist()
    owners = [(s, i) for s in splits for i in range(len(s))] if suspects else []
    first: dict[bytes, tuple[Split, int]] = {}
    for suspect in suspects:
        split, index = owners[suspect]
        digest = _digest(split.images[index])
        if digest is None:
            continue
        twin, place = first.setdefault(digest, (split, index))
        if (twin, place) == (split, index):
            continue
        other = twin.images[place]
        if twin.name == split.name and other == split.images[index]:
            continue  # a list that names it twice, which is reported with its line
        if twin.name == split.name:
            what, code = f"the image is the same as {Path(other).name}.", "image-duplicate"
            yield split.of_image(index, code, what, "remove one of the two with its label file", "warning")
        else:
            what = f"the image is also in {twin.name}, as {display_path(Path(other))}."
            fix = f"remove it from {split.name} or from {twin.name}"
            yield split.of_image(index, "splits-share-images", what, fix, "warning")


def _digest(path: str) -> bytes | None:
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                digest.update(part)
    except OSError:
        return None
    return digest.digest()

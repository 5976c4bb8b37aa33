"""Where the images of a dataset are: what ``path``, ``train``, ``val`` and ``test`` lead to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.data import nearby
from trainer_host.base.findings import MISSING_KEY, Finding
from trainer_host.data.description import SPLITS
from trainer_host.data.images import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.data.description import Description

UP = "../"


def root_of(data: Description, datasets: Callable[[], Path] | None) -> Path:
    """Return the folder that the splits are relative to.

    It is that of the YAML, or what ``path`` says, relative to it. Two habits are followed, with a finding: a path
    below the working folder, and one below the engine's folder of datasets.

    Args:
        data: The dataset.
        datasets: Returns the engine's folder of datasets, where that may be meant.
    """
    beside = Path(data.file).parent.resolve()
    given = data.get("path")
    if given is None or given == "":
        return beside
    if not isinstance(given, str):
        data.findings.append(data.of_key("path", "key-type", f"path is {given!r}, not a path.", "write path: FOLDER"))
        return beside
    place = beside / os.path.expanduser(given)  # noqa: PTH111 - which leaves an unknown user as it is
    if _is_folder(place):
        return place.resolve()
    others = [] if Path(given).is_absolute() else [Path.cwd() / given, *([datasets() / given] if datasets else [])]
    for other in others:
        if _is_folder(other):
            what = f"path: {given} is not there beside the YAML; {other.resolve()} is taken."
            data.findings.append(data.of_key("path", "path-habit", what, f"write path: {other.resolve()}", "warning"))
            return other.resolve()
    what = f"path: there is no folder {nearby(place)}."
    fix = _fix(data, given, "correct it; it is relative to the YAML")
    data.findings.append(data.of_key("path", "split-missing-path", what, fix))
    return place


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, a zero byte, or below a folder that may not be entered
        return False


def sources_of(data: Description, root: Path, needed: str) -> dict[str, list[Path]]:
    """Return the folders and lists of each split, for those that are there.

    Args:
        data: The dataset; its splits are replaced by absolute paths, as the engine wants them.
        root: The folder that they are relative to.
        needed: A split that has to be there besides ``train``.
    """
    if "validation" in data and "val" not in data:
        what = "the key 'validation' is read as 'val'."
        data.findings.append(data.of_key("validation", "unknown-key", what, "write val:", "warning"))
        data["val"] = data.pop("validation")
        data.lines.setdefault("val", data.lines.get("validation", 1))
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        if data.get(split) is None:
            if split in {"train", "val", needed}:
                what = f"the dataset has no '{split}', which says where the images are."
                line = data.lines.get(split)
                fix = f"write {split}: images/{split}"
                if split == "val" and data.get("train"):
                    fix += (
                        f"; to hold out a fifth of train: trainer convert {nearby(Path(data.file))} DIR --holdout 0.2"
                    )
                data.findings.append(Finding(MISSING_KEY, what, fix, data.file, line))
            continue
        known = len(data.findings)
        found[split] = _sources(data, split, data[split], root)
        # A split that a run does not use may be missing.
        optional = split not in {"train", "val", needed}
        data.findings[known:] = [
            replace(f, split=split, severity="warning" if optional else f.severity) for f in data.findings[known:]
        ]
        places = [str(p) for p in found[split]]
        data[split] = places[0] if isinstance(data[split], str) and places else places
    return {split: places for split, places in found.items() if places}


def _sources(data: Description, split: str, given: Any, root: Path) -> list[Path]:
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not entries or not all(isinstance(e, str) and e for e in entries):
        what = f"{split} is {given!r}, not a path or a list of paths."
        data.findings.append(data.of_key(split, "key-type", what, f"write {split}: images/{split}"))
        return []
    numbered = [(f"{split}.{i}" if isinstance(given, list) else split, entry) for i, entry in enumerate(entries)]
    places = []
    for key, entry in numbered:
        try:
            place = _place(data, key, entry, root)
        except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a link to itself
            what = f"{split}: this cannot be a path: {' '.join(str(error).split()):.80}."
            data.findings.append(data.of_key(key, "split-missing-path", what, "correct the path"))
            continue
        places += [place] if place is not None else []
    return places


def _place(data: Description, key: str, entry: str, root: Path) -> Path | None:
    place = (root / os.path.expanduser(entry)).resolve()  # noqa: PTH111
    if not place.exists() and entry.startswith(UP) and (root / entry[len(UP) :]).exists():
        place = (root / entry[len(UP) :]).resolve()
        what = f"{entry} is not there; {entry[len(UP) :]} is taken."
        data.findings.append(data.of_key(key, "path-habit", what, f"write {entry[len(UP) :]}", "warning"))
    if not place.exists():
        if not (_is_folder(root) or Path(entry).is_absolute()):
            return None  # which follows from the wrong path: that is told
        shown = entry if "://" in entry else nearby(place)
        what = f"{key.partition('.')[0]}: there are no images at {shown}."
        fix = _fix(data, entry, "correct the path; it is relative to the YAML, or to its path: key")
        data.findings.append(data.of_key(key, "split-missing-path", what, fix))
        return None
    if not place.is_file() and not place.is_dir():
        what = f"{key.partition('.')[0]}: {entry} is neither a folder nor a file."
        data.findings.append(data.of_key(key, "key-type", what, "name a folder, or a list of images"))
        return None
    if place.is_file() and place.suffix.lower().lstrip(".") in SUFFIXES:
        what = f"{key.partition('.')[0]}: {entry} is an image."
        data.findings.append(data.of_key(key, "key-type", what, "name a folder, or a list of images"))
        return None
    beside = Path(data.file).parent.resolve()
    if not (place.is_relative_to(root.resolve()) or place.is_relative_to(beside)):
        what = f"{entry} lies outside of the dataset's folder: {nearby(place)}."
        fix = "move it into the folder, or name the common folder with path:"
        data.findings.append(data.of_key(key, "path-outside", what, fix, "warning"))
    return place


def _fix(data: Description, entry: str, otherwise: str) -> str:
    """Return what to do about a path that leads nowhere."""
    if data.get("download"):
        return "fetch the images yourself; the download: of the YAML is never run"
    if "://" in entry:
        return "fetch the images, and name their folder"
    if "\\" in entry and os.sep != "\\":
        return "write / in place of \\"
    return "remove the spaces around the path" if entry != entry.strip() else otherwise

"""Suggestions for paths of a dataset YAML that do not exist: existing folders with images.

A YAML that was written on another machine names folders of that machine; others have a typo, or another habit of
where images lie. Only what is found on this machine is proposed, so that a fix works when it is followed.
"""

from __future__ import annotations

import json
import os
import re
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import nearest
from trainer_host.data.image_headers import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from trainer_host.data.dataset_draft import Draft

OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
PLAIN = re.compile(r"[\w./+-][\w./+ -]*[\w./+-]|[\w.]")
"""A path that YAML reads as text without quotation marks."""
OTHER_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "test"),
    "test": ("test", "testing"),
}
"""Names that a folder of a split may have."""
MOST_ENTRIES = 2000
"""Entries that are looked at to see whether a folder has images."""
MOST_FOLDERS = 500
MOST_DEPTH = 3
"""Levels below the dataset's folder, and number of folders, that are searched for a folder of a name."""


def is_absolute(entry: str) -> bool:
    """Return whether a path is absolute, here or on Windows."""
    return entry.startswith("/") or OF_WINDOWS.match(entry) is not None


def parts_of(entry: str) -> tuple[str, ...]:
    """Return the names in a path of any machine, without those that only say where it begins."""
    entry = entry.strip()
    windows = OF_WINDOWS.match(entry) or ("\\" in entry and "/" not in entry)
    path = PureWindowsPath(entry) if windows else PurePosixPath(entry)
    names = path.parts[1:] if path.anchor else path.parts
    return tuple(n for n in names if n not in {"..", "."} and not n.startswith("~"))


def has_images(place: Path) -> bool:
    """Return whether a folder has images in or below it, or whether a file may be a list of them."""
    if place.is_file():
        return place.suffix.lower() == ".txt"
    names = (name for _, _, files in _walk(place) for name in files)
    return any(name.rpartition(".")[2].lower() in SUFFIXES for name in islice(names, MOST_ENTRIES))


def _walk(place: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    for folder, below, files in os.walk(place):
        below[:] = [n for n in below if not n.startswith(".")]
        yield folder, below, [n for n in files if not n.startswith(".")]


def tail_in(entry: str, folders: Iterable[Path]) -> str | None:
    """Return the longest end of a path that is a file in one of some folders, relative to the first that has it."""
    parts = parts_of(entry)
    for folder in folders:
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            if os.path.lexists(folder / tail):
                return tail
    return None


def meant_split(entry: str, split: str, root: Path, taken: Collection[Path] = ()) -> str | None:
    """Return what an entry of a split may have meant, relative to the root; None if nothing fits.

    Args:
        entry: The path in the YAML.
        split: The split.
        root: The folder that it is relative to.
        taken: The places of other splits, which are not proposed, nor a folder around them.
    """
    parts = parts_of(entry)
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    swapped = ["/".join((*parts[:-2], parts[-1], parts[-2]))] if len(parts) > 1 else []
    candidates = [*tails, *swapped, *filter(None, [_corrected(root, parts)]), *usual_places(split)]
    for candidate in dict.fromkeys(candidates):
        if _fits(root, candidate, taken):
            return candidate
    found = [f for f in _folders(root) if parts and f.name == parts[-1]]
    fitting = [f for f in (p.relative_to(root).as_posix() for p in found) if _fits(root, f, taken)]
    return fitting[0] if len(fitting) == 1 else None


def usual_places(split: str) -> Iterator[str]:
    """Yield where the images of a split usually lie."""
    for name in OTHER_NAMES[split]:
        yield from (f"images/{name}", f"{name}/images", name)


def _fits(root: Path, candidate: str, taken: Collection[Path]) -> bool:
    place = (root / candidate).resolve()
    if place == root.resolve() or any(other.is_relative_to(place) or place.is_relative_to(other) for other in taken):
        return False
    # A folder with folders of several splits is that of all images.
    several = sum((place / n).is_dir() for names in OTHER_NAMES.values() for n in names) > 1
    return place.exists() and not several and has_images(place)


def _corrected(root: Path, parts: Sequence[str]) -> str | None:
    """Return a path whose names are replaced by the nearest ones that are there."""
    place, names = root, []
    for part in parts:
        if not (place / part).exists():
            try:
                below = [f.name for f in islice(place.iterdir(), MOST_ENTRIES) if not f.name.startswith(".")]
            except OSError:
                return None
            near = nearest(part, below)
            if near is None:
                return None
            part = near
        names.append(part)
        place /= part
    return "/".join(names) or None


def _folders(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, below, _ in _walk(root):
        if len(Path(folder).relative_to(root).parts) >= MOST_DEPTH:
            below.clear()
        for name in sorted(below):
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield Path(folder, name)


def meant_root(data: Draft, given: Any, yaml_folder: Path) -> str | None:
    """Return what to do about a ``path`` that leads nowhere; None if the splits are nowhere near.

    Args:
        data: The dataset.
        given: The value of its ``path``.
        yaml_folder: The folder of its YAML.
    """
    named = [(split, e) for split in ("train", "val") for e in texts(data.get(split))]
    entries = [e for _, e in named if not is_absolute(e)]
    if not entries:  # absolute paths are judged by themselves
        return "remove path:" if any(meant_split(e, split, yaml_folder) for split, e in named) else None
    parts = parts_of(given) if isinstance(given, str) else ()
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    corrected = _corrected(yaml_folder, parts) if parts else None
    places = [yaml_folder, *(yaml_folder / t for t in tails)]
    places += [*([yaml_folder / corrected] if corrected else []), yaml_folder.parent]
    places += [yaml_folder.parent / t for t in tails]
    for place in places:
        if all((place / e).exists() and has_images(place / e) for e in entries):
            path = as_yaml(os.path.relpath(place, yaml_folder))
            return "remove path:" if place == yaml_folder else f"write path: {path}"
    return _rewritten(named, yaml_folder)


def _rewritten(named: Sequence[tuple[str, str]], yaml_folder: Path) -> str | None:
    """Return what to write in place of ``path`` and of entries that lead nowhere next to the YAML either."""
    lines: list[str] = []
    places: list[Path] = []
    for split, entry in named:
        found = entry if (yaml_folder / entry).exists() else meant_split(entry, split, yaml_folder, places)
        if found is None or len(named) > len({s for s, _ in named}):  # lists are left to the user
            return None
        places.append((yaml_folder / found).resolve())
        lines += [f"{split}: {as_yaml(found)}"] if found != entry and not is_absolute(entry) else []
    return f"remove path:, and write {'; '.join(lines)}" if lines else None


def texts(value: Any) -> list[str]:
    """Return the paths of an entry of a dataset YAML, which is one path or a list."""
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]


def as_yaml(text: str) -> str:
    """Return a path as YAML has it, in quotation marks if it needs them."""
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)

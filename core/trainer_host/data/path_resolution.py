"""The places of a dataset's images: ``path``, ``train``, ``val`` and ``test``."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.findings import MISSING_KEY, Finding
from trainer_host.data.description import SPLITS
from trainer_host.data.foreign_labels import LINK_OUT
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.data.image_listing import label_folder
from trainer_host.data.path_suggestions import as_yaml, is_absolute, meant_root, meant_split, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainer_host.data.dataset_draft import Draft

UP = "../"
WRONG_PATH = "correct the path; it is relative to the YAML, or to its path: key"
WRONG_ENTRY = "correct the path, or remove the entry"
COPY = "copy the images into the dataset before moving or sharing it"


def root_of(data: Draft, datasets: Callable[[], Path] | None) -> Path:
    """Return the folder that the splits are relative to.

    It is that of the YAML, or what ``path`` says, relative to it. Two habits are followed, with a finding: a path
    below the working folder, and one below the engine's folder of datasets.

    Args:
        data: The dataset.
        datasets: Returns the engine's folder of datasets, if that may be meant.
    """
    yaml_folder = Path(data.file).parent.resolve()
    given = data.get("path")
    if given is None or given == "":
        return yaml_folder
    if not isinstance(given, str):
        fix = meant_root(data, given, yaml_folder) or "write path: FOLDER"
        data.note_key("path", "key-type", f"path is {given!r}, not a path.", fix)
        return yaml_folder
    place = yaml_folder / os.path.expanduser(given)  # noqa: PTH111 - which leaves an unknown user as it is
    if _is_folder(place):
        return place.resolve()
    others = [] if Path(given).is_absolute() else [Path.cwd() / given, *([datasets() / given] if datasets else [])]
    for other in others:
        if _is_folder(other):
            what = f"path: {given} not found next to the YAML; using {other.resolve()}."
            data.note_key("path", "path-habit", what, f"write path: {other.resolve()}", "warning")
            return other.resolve()
    what = f"path: folder {given if is_absolute(given) else display_path(place)} not found."
    fix = meant_root(data, given, yaml_folder) or _fix(data, given, "correct it; it is relative to the YAML")
    data.note_key("path", "split-missing-path", what, fix)
    return place


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, a zero byte, or below a folder that may not be entered
        return False


def sources_of(data: Draft, root: Path, needed: str) -> dict[str, list[Path]]:
    """Return the folders and lists of each split, for those that are there.

    Args:
        data: The dataset; its splits are replaced by absolute paths, as the engine wants them.
        root: The folder that they are relative to.
        needed: A split that has to be there yaml_folders ``train``.
    """
    if "validation" in data and "val" not in data:
        what = "the key 'validation' is read as 'val'."
        data.note_key("validation", "unknown-key", what, "write val:", "warning")
        data["val"] = data.pop("validation")
        data.lines.setdefault("val", data.lines.get("validation", 1))
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        if data.get(split) is None:
            if split in {"train", "val", needed}:
                what = f"the key '{split}' is missing: the path of the {split} images."
                fix = _proposal(data, split, root)
                if split == "val" and data.get("train"):
                    shown = display_path(Path(data.file))
                    fix += f"; to hold out a fifth of train: trainer convert {shown} DIR --holdout 0.2"
                data.findings.append(Finding(MISSING_KEY, what, fix, data.file, data.lines.get(split)))
            continue
        known = len(data.findings)
        found[split] = _sources(data, split, data[split], root)
        # A split that a run does not use may be missing.
        optional = split not in {"train", "val", needed}
        data.findings[known:] = [
            replace(
                f,
                split=split,
                severity="warning" if optional else f.severity,
                fix=f"correct the path, or remove {split}:" if optional and f.fix == WRONG_PATH else f.fix,
            )
            for f in data.findings[known:]
        ]
    _note_outside(data, root, found)
    for split, some in found.items():
        data[split] = str(some[0]) if isinstance(data[split], str) and some else [str(p) for p in some]
    return {split: some for split, some in found.items() if some}


def _sources(data: Draft, split: str, given: Any, root: Path) -> list[Path]:
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not entries or not all(isinstance(e, str) and e for e in entries):
        what = f"{split} is {given!r}, not a path or a list of paths."
        data.note_key(split, "key-type", what, _proposal(data, split, root))
        return []
    numbered = [(f"{split}.{i}" if isinstance(given, list) else split, entry) for i, entry in enumerate(entries)]
    places = []
    for key, entry in numbered:
        try:
            place = _place(data, key, entry, root)
        except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a link to itself
            what = f"{split}: not a valid path: {' '.join(str(error).split()):.80}."
            data.note_key(key, "split-missing-path", what, "correct the path")
            continue
        places += [place] if place is not None else []
    return places


def _place(data: Draft, key: str, entry: str, root: Path) -> Path | None:
    place = (root / os.path.expanduser(entry)).resolve()  # noqa: PTH111
    if not place.exists() and entry.startswith(UP) and (root / entry[len(UP) :]).exists():
        place = (root / entry[len(UP) :]).resolve()
        what = f"{entry} not found; using {entry[len(UP) :]}."
        data.note_key(key, "path-habit", what, _written(key, entry[len(UP) :]), "warning")
    if not place.exists():
        if not (_is_folder(root) or is_absolute(entry)):
            return None  # a consequence of the wrong path, which is reported
        split = key.partition(".")[0]
        shown = entry if "://" in entry or is_absolute(entry) else display_path(place)
        what = f"{split}: no images found at {shown}."
        fix = _meant(data, key, entry, root)
        fix = fix or _fix(data, entry, WRONG_ENTRY if "." in key else WRONG_PATH)
        data.note_key(key, "split-missing-path", what, fix)
        return None
    if not place.is_file() and not place.is_dir():
        what = f"{key.partition('.')[0]}: {entry} is not a folder or a file."
        data.note_key(key, "key-type", what, "name a folder, or a list of images")
        return None
    if place.is_file() and place.suffix.lower().lstrip(".") in SUFFIXES:
        what = f"{key.partition('.')[0]}: {entry} is an image."
        folder = Path(entry).parent.as_posix()
        data.note_key(key, "key-type", what, f"name its folder: {_written(key, folder)}")
        return None
    return place


def _note_outside(data: Draft, root: Path, found: Mapping[str, Sequence[Path]]) -> None:
    """Warn of splits that lie outside of the dataset's folder, by their paths or by a link."""
    yaml_folder = Path(data.file).parent.resolve()
    homes = (root.resolve(), yaml_folder)
    for split, some in found.items():
        strange = [p for p in some if not any(p.is_relative_to(home) for home in homes)]
        entries = texts(data[split])
        linked = [e for e in entries if any(_is_below(root / e, home) for home in (root, *homes))]
        if strange and linked and len(strange) <= len(linked):
            what = f"{split}: {linked[0]} is a link to {display_path(strange[0])}, outside of the dataset."
            data.note_key(split, LINK_OUT, what, COPY, "warning")
        elif strange:
            what = f"{split}: {display_path(strange[0])} is outside of the dataset folder."
            data.note_key(split, "path-outside", what, _common(yaml_folder, found), "warning")
        else:
            continue
        data.findings[-1] = replace(data.findings[-1], split=split)


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.normpath(path)).is_relative_to(folder)


def _common(yaml_folder: Path, found: Mapping[str, Sequence[Path]]) -> str:
    """Return how to name the folder that holds the YAML and all splits."""
    common = Path(os.path.commonpath([yaml_folder, *(p for some in found.values() for p in some)]))
    if common in {Path(common.anchor), Path.home(), Path.home().parent}:
        return "move the images into the dataset folder"
    lines = [f"path: {as_yaml(os.path.relpath(common, yaml_folder))}"]
    for split, some in found.items():
        places = [as_yaml(os.path.relpath(p, common)) for p in some]
        lines.append(f"{split}: {places[0] if len(places) == 1 else '[' + ', '.join(places) + ']'}")
    return f"write {'; '.join(lines)}"


def _written(key: str, entry: str) -> str:
    """Return what to write in the place of an entry: a line of the YAML, or the entry alone within a list."""
    return f"write {as_yaml(entry)}" if "." in key else f"write {key}: {as_yaml(entry)}"


def _taken(data: Draft, root: Path) -> list[Path]:
    """Return the places that splits name already."""
    places = []
    for entry in (e for s in SPLITS for e in texts(data.get(s))):
        with suppress(OSError, ValueError, RuntimeError):
            places += [place] if (place := (root / entry).resolve()).exists() else []
    return places


def _meant(data: Draft, key: str, entry: str, root: Path) -> str | None:
    """Return how to name the images that are perhaps meant; None if none are found."""
    split, yaml_folder = key.partition(".")[0], Path(data.file).parent.resolve()
    if "://" in entry:
        return None
    elsewhere = data.get("path") and root.resolve() != yaml_folder
    if elsewhere and not is_absolute(entry) and (fix := meant_root(data, "", yaml_folder)):
        return fix
    root = _base(data, root)
    found = meant_split(entry, split, root, _taken(data, root))
    if found is None:
        return None
    labels = [Path(label_folder(str(root / place))) for place in (entry, found)]
    if _has_texts(labels[0]) and not _has_texts(labels[1]) and not is_absolute(entry):
        return f"move the folder {found} to {entry}"  # as the labels are next to that
    return _written(key, found)


def _base(data: Draft, root: Path) -> Path:
    """Return the folder that proposals are relative to: that of the YAML if its path, which is to go, leads nowhere."""
    return root if _is_folder(root) else Path(data.file).parent.resolve()


def _has_texts(folder: Path) -> bool:
    return _is_folder(folder) and any(f.suffix == ".txt" for f in folder.iterdir())


def images_elsewhere(data: Draft, split: str, root: Path) -> str:
    """Return what to do about a place of a split without images."""
    entries = [os.path.relpath(e, root) for e in texts(data.get(split))]
    found = meant_split(entries[0], split, root, _taken(data, root)) if len(entries) == 1 else None
    return f"add images, or {_written(split, found)}" if found else "add images, or correct the path"


def _proposal(data: Draft, split: str, root: Path) -> str:
    """Return what to write for a split that names no images: those that are there, else those of another split."""
    root = _base(data, root)
    found = meant_split("", split, root, _taken(data, root))
    if found:
        return f"write {split}: {as_yaml(found)}"
    known = {place: e for s in SPLITS if s != split for e in texts(data.get(s)) for place in [root / e]}
    other = next((e for place, e in known.items() if _is_folder(place)), None)
    if other is not None and split != "train":
        return f"write {split}: {as_yaml(other)}, or better, a folder of other images"
    return f"write {split}: with the folder of its images"


def _fix(data: Draft, entry: str, otherwise: str) -> str:
    """Return what to do about a path that leads nowhere."""
    if data.get("download"):
        return "download the images yourself; download: is never run"
    if "://" in entry:
        return "download the images, and write the path of their folder"
    if "\\" in entry and os.sep != "\\":
        return "write / instead of \\"
    return "remove the spaces around the path" if entry != entry.strip() else otherwise

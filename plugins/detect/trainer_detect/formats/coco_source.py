"""The parts of a dataset of labels in files: the files of each split, and the folder of its images."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_detect.formats.kinds import COCO, YAMLS, files_in, has_yaml
from trainer_host import Finding
from trainer_host.data import MISSING_KEY, SPLITS, counted, display_path, existing_tail, path_parts, quote_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_detect.formats.coco_file import Item
    from trainer_detect.formats.kinds import Kind

ANNOTATIONS = "annotations"
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of the splits in tools, in lower case."""
PROBED = 50
"""Number of images to look for in a folder, to see whether it is the right one."""


@dataclass
class Source:
    """The ``data`` of the user, if it names label files.

    Attributes:
        file: The file that describes the dataset: the YAML, or the first file of labels.
        kind: The kind of these files.
        files: The file of each split; of kinds with a file for each image, the folder of these.
        folders: For each split the folder of its images, if that is given; a missing split has the one of all.
        keys: The other keys of a YAML.
        lines: The line of each key of the YAML.
        findings: The problems of what was given.
    """

    file: Path
    kind: Kind = COCO
    files: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, fix: str, key: str | None = None) -> None:
        """Note an error."""
        self.findings.append(Finding(code, message, fix, str(self.file), self.lines.get(key) if key else None))


def names_kind(source: str, kind: Kind) -> bool:
    """Return whether ``data`` names files of a kind, a folder with them, or a YAML whose splits name them."""
    if "://" in source:
        return False
    if all(kind.claims(Path(f)) for f in _paths(source)):
        return True
    path = Path(source)
    if path.suffix.lower() in YAMLS:
        return any(_is_of(kind, value, folder) for folder, value in _splits(path, kind))
    return bool(_files_of_folder(path, kind))


def find_source(source: str, images: Sequence[str | Path], kind: Kind = COCO) -> Source:
    """Return the files that ``data`` names.

    Args:
        source: An input that `names_kind` accepts.
        images: The folders of images that the user gave: none, one for all splits, or one for each.
        kind: The kind of the files.
    """
    path = Path(source)
    if path.suffix.lower() in YAMLS:
        found = _from_yaml(path, kind)
    elif inside := _files_of_folder(path, kind):
        found = Source(next(iter(inside.values())), kind, inside)
    else:
        found = _from_paths(_paths(source), kind)
    if len(images) == 1:
        found.folders = dict.fromkeys(found.files, Path(images[0]))
    elif len(images) == len(found.files):
        found.folders = {s: Path(f) for s, f in zip(found.files, images, strict=True)}
    elif images:
        what = f"images= names {counted(len(images), 'folder')}, but data= {counted(len(found.files), kind.noun)}."
        found.add(kind.codes.images, what, "give images=DIR, or one folder for each file, separated by commas")
    return found


def split_of(name: str) -> str | None:
    """Return the split that a word such as ``Validation`` means; None if it means none."""
    word = name.casefold()
    return next((split for split, words in SPLIT_NAMES.items() if word in words), None)


def _files_of_folder(folder: Path, kind: Kind) -> dict[str, Path]:
    """Return the files of the splits in a folder as tools export it; none if they are ambiguous."""
    if not os.path.isdir(folder) or has_yaml(folder):  # noqa: PTH112 - of any name
        return {}
    if kind.for_each_image:
        return _folders_of_splits(folder, kind)
    for place in (folder, folder / ANNOTATIONS):
        # Among other files of a dataset may be any JSON.
        files = [f.absolute() for f in files_in(place, kind.suffix) if kind.claims(f) and kind.is_marked(f)]
        # Of COCO, a file of keypoints says all that the file of boxes of the same images says.
        files = [f for f in files if "keypoints" in f.stem] or files
        named = {split_of(f.stem.rpartition("_")[2]): f for f in files}
        if len(files) == 1:
            return {"train": files[0]}
        if files and None not in named and len(named) == len(files) and "train" in named:
            return {split: named[split] for split in SPLITS if split in named}
    return {}


def _folders_of_splits(folder: Path, kind: Kind) -> dict[str, Path]:
    """Return the folders of the splits in a folder, or the folder alone."""
    below = {split_of(f.name): f.absolute() for f in folder.iterdir() if f.is_dir() and kind.claims(f)}
    if {"train", "val"} <= set(below) and not any(kind.claims(f) for f in files_in(folder, kind.suffix)):
        return {split: below[split] for split in SPLITS if split in below}
    return {"train": folder.absolute()} if kind.claims(folder) else {}


def _paths(source: str) -> list[str]:
    if os.path.exists(source):  # noqa: PTH110 - of any name
        return [source]
    return [p.strip() for p in source.split(",") if p.strip()] or [source]


def _from_paths(paths: Sequence[str], kind: Kind) -> Source:
    found = Source(Path(paths[0]).absolute(), kind)
    found.files = {s: Path(p).absolute() for s, p in zip(SPLITS, paths, strict=False)}
    if len(paths) > len(SPLITS):
        what = f"data= names {len(paths)} {kind.noun}s, but there are three splits."
        found.add(kind.codes.files, what, "give the files of train, val and test, separated by commas")
    return found


def _is_of(kind: Kind, value: Any, folder: Path) -> bool:
    return isinstance(value, str) and value.lower().endswith(kind.suffix) and kind.claims(folder / value)


def _splits(path: Path, kind: Kind) -> list[tuple[Path, Any]]:
    """Return the splits that a YAML names, each with the folder that it is relative to."""
    from trainer_host.data import mentions, read_document

    if not mentions(path, kind.suffix):
        return []
    content = read_document(path).content
    folder = path.parent / str(content.get("path") or "")
    return [(folder, content[s]) for s in SPLITS if s in content]


def _from_yaml(path: Path, kind: Kind) -> Source:
    from trainer_host.data import read_document

    document = read_document(path)
    content, found = dict(document.content), Source(path.absolute(), kind, lines=document.lines)
    found.findings += document.findings
    yaml_folder, given = found.file.parent, str(content.pop("path", None) or "")
    folder = yaml_folder / given
    if not os.path.isdir(folder):  # noqa: PTH112 - of any name
        named = [v for s in SPLITS if isinstance(v := content.get(s), str)]
        near = any(existing_tail(v, [yaml_folder]) for v in named)
        fix = "remove path:" if near else "correct it; it is relative to the YAML"
        found.add("split-missing-path", f"path: folder {given} not found.", fix, "path")
        folder = yaml_folder
    for split in SPLITS:
        value = content.pop(split, None)
        if _is_of(kind, value, folder):
            found.files[split] = folder / value
            if not os.path.exists(folder / value) and (tail := existing_tail(value, [folder])):  # noqa: PTH110
                what = f"{split}: file {value} not found."
                found.add("split-missing-path", what, f"write {split}: {quote_path(tail)}", split)
                found.files[split] = folder / tail
        elif value is not None:
            what = f"{split} is {value!r}, while other splits are {kind.noun}s."
            found.add(kind.codes.mixed, what, f"give every split as a {kind.noun}", split)
    for split in ("train", "val"):
        if split not in document.content and list(found.files) != ["train"]:
            what = f"the dataset has no {split!r} split."
            found.add(MISSING_KEY, what, f"write {split}: with the path of a {kind.noun}")
    images = content.pop("images", None)
    if isinstance(images, str):
        found.folders = dict.fromkeys(found.files, folder / images)
    elif isinstance(images, dict):
        found.folders = {s: folder / str(f) for s, f in images.items()}
    elif images is not None:
        what = f"images is {images!r}, not a folder or a folder for each split."
        found.add(kind.codes.images, what, "write images: FOLDER", "images")
    found.keys = {k: v for k, v in content.items() if k != "download"}
    return found


def find_folder(source: Source, split: str, images: Sequence[Item]) -> Path | None:
    """Return the folder that has a split's images; None if none is found, which is among the findings then.

    Names with a path of another machine are shortened to the part that is found here, with a finding.
    """
    file = source.files.get(split) or source.files["train"]
    given = source.folders.get(split) or source.folders.get("train")
    bases = [given] if given else [file.parent, file.parent / "images", file.parent.parent / "images"]
    # Next to a file of one split, the images may lie in a folder of that split's name.
    stem = [p for p in (file.stem, file.stem.rpartition("_")[2]) if p != file.stem or len(bases) > 1]
    places = [b / part for b in bases for part in dict.fromkeys(["", split, *stem])]
    probed = [i.content["file_name"] for i in images[:PROBED]]
    hits = [sum(os.path.exists(place / name) for name in probed) for place in places]  # noqa: PTH110 - many
    if not probed or max(hits):
        return places[hits.index(max(hits))]
    short = next(((p, n, tail) for p in places for n in probed if (tail := existing_tail(n, [p]))), None)
    if short is not None:
        place, name, tail = short
        for item in images:
            item.content["file_name"] = "/".join(path_parts(item.content["file_name"])[-tail.count("/") - 1 :])
        what = f"images such as {name} not found at their paths; using {tail} in {display_path(place)}."
        fix = "write each file_name relative to the folder of images"
        source.findings.append(Finding("path-habit", what, fix, str(file), None, "warning", split))
        return place
    looked = ", ".join(dict.fromkeys(str(b) for b in bases))
    what = f"none of the images that {file.name} names are in {looked}, such as {probed[0]}."
    source.findings.append(
        Finding(source.kind.codes.images, what, "give the folder: images=DIR", str(file), split=split)
    )
    return None

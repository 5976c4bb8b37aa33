"""Where a COCO dataset is: the file of each split, and the folder of its images."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.findings import MISSING_KEY, Finding
from trainer_host.data.description import SPLITS
from trainer_host.data.known_formats import is_other

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUFFIX = ".json"
YAMLS = frozenset({".yaml", ".yml"})
PROBED = 50
"""Images that are looked for in a folder to tell whether it is the right one."""


@dataclass
class Source:
    """What a user gave as ``data``, where it names COCO files.

    Attributes:
        file: The file that describes the dataset: the YAML, or the first COCO file.
        files: The COCO file of each split.
        folders: For each split the folder of its images, where that is said; a missing split has the one of all.
        keys: What a YAML says besides.
        lines: The line of each key of the YAML.
        findings: What is wrong with what was given.
    """

    file: Path
    files: dict[str, Path] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, fix: str, key: str | None = None) -> None:
        """Note an error."""
        self.findings.append(Finding(code, message, fix, str(self.file), self.lines.get(key) if key else None))


def is_coco(source: str) -> bool:
    """Tell whether ``data`` names COCO files, or a YAML whose splits do."""
    if "://" in source:
        return False
    if all(Path(f).suffix.lower() == SUFFIX for f in _paths(source)):
        return not any(is_other(Path(f)) for f in _paths(source))
    return Path(source).suffix.lower() in YAMLS and any(map(_is_json, _document(Path(source)).values()))


def find_source(source: str, images: Sequence[str | Path]) -> Source:
    """Return the files that ``data`` names.

    Args:
        source: What `is_coco` was true of.
        images: The folders of images that the user gave: none, one for all splits, or one for each.
    """
    found = _from_yaml(Path(source)) if Path(source).suffix.lower() in YAMLS else _from_paths(_paths(source))
    if len(images) == 1:
        found.folders = dict.fromkeys(found.files, Path(images[0]))
    elif len(images) == len(found.files):
        found.folders = {s: Path(f) for s, f in zip(found.files, images, strict=True)}
    elif images:
        what = f"{len(images)} folders of images are given for {len(found.files)} COCO files."
        found.add("coco-images", what, "give images=DIR, or one folder for each file, separated by commas")
    return found


def _paths(source: str) -> list[str]:
    if os.path.exists(source):  # noqa: PTH110 - of any name
        return [source]
    return [p.strip() for p in source.split(",") if p.strip()] or [source]


def _from_paths(paths: Sequence[str]) -> Source:
    found = Source(Path(paths[0]).absolute())
    found.files = {s: Path(p).absolute() for s, p in zip(SPLITS, paths, strict=False)}
    if len(paths) > len(SPLITS):
        what = f"{len(paths)} COCO files are given; there are three splits."
        found.add("coco-files", what, "give the files of train, val and test, separated by commas")
    return found


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.lower().endswith(SUFFIX)


def _document(path: Path) -> dict[str, Any]:
    """Return the splits that a YAML names, empty where it cannot be read."""
    from trainer_host.base.yaml_document import mentions, read_document

    if not mentions(path, SUFFIX):
        return {}
    content = read_document(path).content
    return {s: content[s] for s in SPLITS if s in content}


def _from_yaml(path: Path) -> Source:
    from trainer_host.base.yaml_document import read_document

    document = read_document(path)
    content, found = dict(document.content), Source(path.absolute(), lines=document.lines)
    found.findings += document.findings
    folder = found.file.parent / str(content.pop("path", None) or "")
    for split in SPLITS:
        value = content.pop(split, None)
        if _is_json(value):
            found.files[split] = folder / value
        elif value is not None:
            what = f"{split} is {value!r}, while other splits are COCO files."
            found.add("coco-mixed", what, "give every split as a COCO file", split)
    for split in ("train", "val"):
        if split not in document.content and list(found.files) != ["train"]:
            what = f"the dataset has no {split!r} split."
            found.add(MISSING_KEY, what, f"write {split}: with the path of a COCO file")
    images = content.pop("images", None)
    if isinstance(images, str):
        found.folders = dict.fromkeys(found.files, folder / images)
    elif isinstance(images, dict):
        found.folders = {s: folder / str(f) for s, f in images.items()}
    elif images is not None:
        what = f"images is {images!r}, neither a folder nor a folder for each split."
        found.add("coco-images", what, "write images: FOLDER", "images")
    found.keys = {k: v for k, v in content.items() if k != "download"}
    return found


def find_folder(source: Source, split: str, names: Iterable[str]) -> Path | None:
    """Return the folder that has a split's images; None where none is found, which is among the findings then."""
    file = source.files.get(split) or source.files["train"]
    given = source.folders.get(split) or source.folders.get("train")
    bases = [given] if given else [file.parent, file.parent / "images", file.parent.parent / "images"]
    # Beside a file of one split, the images may lie in a folder of that split's name.
    stem = [p for p in (file.stem, file.stem.rpartition("_")[2]) if p != file.stem or len(bases) > 1]
    places = [b / part for b in bases for part in dict.fromkeys(["", split, *stem])]
    probed = [n for n, _ in zip(names, range(PROBED), strict=False)]
    hits = [sum(os.path.exists(place / name) for name in probed) for place in places]  # noqa: PTH110 - many
    if not probed or max(hits):
        return places[hits.index(max(hits))]
    looked = ", ".join(dict.fromkeys(str(b) for b in bases))
    what = f"none of the images that {file.name} names are in {looked}, such as {probed[0]}."
    source.findings.append(Finding("coco-images", what, "give the folder: images=DIR", str(file), split=split))
    return None

"""The kinds of files with labels: their names in messages, the codes of their findings, and which files are theirs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainer_host.data import is_other_format

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBED_BYTES = 1 << 16
"""Bytes of a file that are looked at to recognise its kind."""
PROBED_FILES = 20
"""Files of a folder that are looked at to recognise what it holds."""
MOST_ENTRIES = 1_000_000
SEVERAL = frozenset({".json", ".xml"})
"""Endings of several kinds of files, distinguished by content."""
YAMLS = frozenset({".yaml", ".yml"})

_LABELME = re.compile(r'"shapes"\s*:\s*\[')
_LABELME_TOO = re.compile(r'"(imagePath|shape_type|imageData|lineColor)"\s*:')
_STUDIO = re.compile(
    r'"(annotations|completions)"\s*:\s*\['
    r'|"(annotation_id|annotator|lead_time|file_upload|total_annotations|original_width'
    r'|rectanglelabels|keypointlabels|polygonlabels)"\s*:'
)
_STUDIO_TASK = re.compile(r'"result"\s*:\s*\[')
_CVAT = re.compile(rb"<annotations[\s>]")
_COCO = re.compile(rb'"(images|annotations|categories)"\s*:')


class Codes(NamedTuple):
    """The codes of problems of any kind of file."""

    unreadable: str
    too_large: str
    encoding: str
    syntax: str
    key: str
    files: str
    mixed: str
    images: str
    categories: str
    bbox: str
    box_derived: str
    nothing_labelled: str
    keypoints: str
    image_missing: str
    image_size: str

    def of(self, reason: str) -> str:
        """Return the code of the reason why a file cannot be read."""
        return {
            "unreadable": self.unreadable,
            "too-large": self.too_large,
            "encoding": self.encoding,
            "syntax": self.syntax,
        }[reason]


_OF_COCO = (
    "coco-unreadable",
    "coco-too-large",
    "coco-encoding",
    "coco-syntax",
    "coco-key",
    "coco-files",
    "coco-mixed",
    "coco-images",
    "coco-categories",
    "coco-bbox",
    "coco-bbox-derived",
    "coco-nothing-labelled",
    "coco-keypoints",
    "coco-image-missing",
    "coco-image-size",
)
_OF_TOOL = (
    "annotation-unreadable",
    "annotation-too-large",
    "annotation-encoding",
    "annotation-syntax",
    "annotation-key",
    "annotation-files",
    "annotation-mixed",
    "annotation-images",
    "annotation-categories",
    "annotation-bbox",
    "annotation-box-derived",
    "annotation-nothing-labelled",
    "annotation-keypoints",
    "annotation-image-missing",
    "annotation-image-size",
)


class Kind(NamedTuple):
    """A kind of files with labels.

    Attributes:
        plugin: The extension that reads it.
        noun: Its name in messages.
        suffix: The ending of its files.
        codes: The codes of findings.
        for_each_image: Whether each image has its own file.
    """

    plugin: str
    noun: str
    suffix: str
    codes: Codes = Codes(*_OF_TOOL)
    for_each_image: bool = False

    def claims(self, path: Path) -> bool:
        """Return whether a file is of this kind, or a folder where each image has a file of this kind.

        A file that is missing is so by its ending, and is COCO's if several kinds have that ending.
        """
        if self.for_each_image and os.path.isdir(path):  # noqa: PTH112 - of any name
            return not has_yaml(path) and any(_holds(folder, self) for folder in (path, *_folders_in(path)))
        if path.suffix.lower() != self.suffix:
            return False
        return self.suffix not in SEVERAL or recognise(path) == self.plugin

    def is_marked(self, path: Path) -> bool:
        """Return whether the first bytes of a file say that it is of this kind, not only that it may be."""
        return self.plugin != COCO.plugin or _COCO.search(_head(path)) is not None

    def files_of(self, path: Path) -> list[Path]:
        """Return the files that a path stands for: itself, those below a folder, or those next to a ``*``."""
        if "*" in path.name:
            return files_in(path.parent, self.suffix)
        if not self.for_each_image or not path.is_dir():
            return [path]
        found: list[Path] = []
        for folder, below, _ in os.walk(path):
            below[:] = sorted(name for name in below if not name.startswith("."))
            found += files_in(Path(folder), self.suffix)
        return found


COCO = Kind("coco", "COCO file", ".json", Codes(*_OF_COCO))
CVAT = Kind("cvat", "CVAT file", ".xml")
LABEL_STUDIO = Kind("label-studio", "Label Studio file", ".json")
LABELME = Kind("labelme", "labelme file", ".json", for_each_image=True)
OF_TOOLS = {kind.plugin: kind for kind in (CVAT, LABEL_STUDIO, LABELME)}


def recognise(path: Path) -> str | None:
    """Return the extension that reads a file, by its ending and its first bytes; None if none does."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        return CVAT.plugin if not os.path.exists(path) or _CVAT.search(_head(path)) else None  # noqa: PTH110
    if suffix != ".json":
        return None
    if "*" in path.name:
        return LABELME.plugin
    text = _head(path).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if _LABELME.search(text) and _LABELME_TOO.search(text) and text.startswith("{"):
        return LABELME.plugin
    studio = _STUDIO if text.startswith("[") else _STUDIO_TASK
    if studio.search(text):
        return LABEL_STUDIO.plugin
    return None if is_other_format(path) else COCO.plugin


def _head(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(PROBED_BYTES)
    except (OSError, ValueError):
        return b""


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder with an ending, in order; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = [e.name for e, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    except (OSError, ValueError):
        return []
    return [folder / n for n in sorted(found) if n.lower().endswith(suffix) and not n.startswith(".")]


def has_yaml(folder: Path) -> bool:
    """Return whether a folder has a dataset YAML, which takes precedence over what else is in it."""
    return any(files_in(folder, suffix) for suffix in YAMLS)


def _holds(folder: Path, kind: Kind) -> bool:
    """Return whether the first files of a folder with the ending of a kind have one of that kind among them."""
    files: Sequence[Path] = files_in(folder, kind.suffix)
    return any(recognise(f) == kind.plugin for f in files[:PROBED_FILES])


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except (OSError, ValueError):
        return []
    return [folder / name for name in found[:PROBED_FILES]]

"""Any dataset written in the YOLO format, atomically: images, a label file for each, and a ``data.yaml``."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import plain
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.base.temporaries import temporary_folder
from trainer_host.data.cache_location import extracted_folder
from trainer_host.data.corrected_copy import patch_text
from trainer_host.data.description import MISSING, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainer_host.data.description import Description, Split

YAML = "data.yaml"
READ = frozenset({*SPLITS, "path", "yaml_file", "nc", "names", "download"})
"""Keys that are written in their own way, or that describe the dataset that was read."""


@dataclass
class Written:
    """A dataset that was written.

    Attributes:
        file: The dataset YAML.
        images: Images of each split.
        rows: Rows of each split.
        crowds: Rows that were skipped because they mark crowds, which label files cannot express.
        linked: Images that are hard links; the others are copies.
        renamed: Images that have another name, because another image of the split has a label file of that name.
    """

    file: Path
    images: dict[str, int]
    rows: dict[str, int]
    crowds: int = 0
    linked: int = 0
    renamed: int = 0


def write_yolo(data: Description, folder: Path) -> Written:
    """Write a dataset as a YOLO one.

    Args:
        data: The dataset, without errors.
        folder: Where to write it. It does not exist, or is empty.

    Raises:
        SettingsError: If the folder is not empty, or lies among the images.
        StorageError: If it cannot be written.
    """
    target = folder.absolute()
    refuse_folder(data, target)
    try:
        # Written next to its place, so that moving it there is one step.
        with temporary_folder(target) as scratch:
            work = scratch / target.name
            work.mkdir()
            written = _write(data, work)
            if target.exists():
                target.rmdir()
            work.replace(target)
    except OSError as error:
        where = str(error.filename or target)
        raise StorageError(Problem(f"the dataset cannot be written: {error.strerror}.", None, where)) from error
    written.file = target / YAML
    return written


def refuse_folder(data: Description, folder: Path) -> None:
    """Refuse a folder that has something in it, or whose images would become part of the dataset that is read.

    Raises:
        SettingsError: If it is refused.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(Problem(f"{folder} exists and is not empty.", "choose another folder"))
    if not data.engine_reads:
        return  # a format that names its images does not care for other files next to them
    taken = {os.path.dirname(image) for split in data.splits.values() for image in split.images}  # noqa: PTH120
    inside = next((t for t in taken if folder.resolve().is_relative_to(Path(t).resolve())), None)
    if inside is not None:
        what = f"{folder} is within the images of {inside}, which are never written to."
        raise SettingsError(Problem(what, "choose a folder outside of it"))


def _write(data: Description, folder: Path) -> Written:
    written = Written(folder / YAML, {}, {})
    for name, split in data.splits.items():
        _write_split(split, folder, written)
        written.images[name] = len(split)
    (folder / YAML).write_text(_yaml(data), encoding="utf-8", errors="surrogateescape")
    return written


def _write_split(split: Split, folder: Path, written: Written) -> None:
    images, labels = folder / "images" / split.name, folder / "labels" / split.name
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    texts = _texts(split)
    names = _names(split.images)
    for index, (source, name) in enumerate(zip(split.images, names, strict=True)):
        written.linked += _put(source, images / name)
        written.renamed += name != os.path.basename(source)  # noqa: PTH119
        if split.labelled[index] != MISSING:
            text = "".join(f"{line}\n" for line in texts.get(index, ()))
            (labels / f"{name.rpartition('.')[0]}.txt").write_text(text, encoding="utf-8")
    written.crowds += int(split.crowd.sum())
    written.rows[split.name] = int((~split.crowd).sum())


def _texts(split: Split) -> dict[int, list[str]]:
    """Return the lines of each image's label file, in digits that give the very same numbers."""
    words = [str(int(v)) if v.is_integer() else repr(v) for v in split.values.tolist()]
    texts: dict[int, list[str]] = {}
    rows = zip(
        split.image.tolist(), split.starts.tolist(), split.row_lengths.tolist(), split.crowd.tolist(), strict=True
    )
    for image, start, columns, crowd in rows:
        if not crowd:
            texts.setdefault(image, []).append(" ".join(words[start : start + columns]))
    return texts


def _names(images: Sequence[str]) -> list[str]:
    """Return names for images in one folder, so that no two have a label file of the same name.

    Images that would share one are distinguished by their folder, then by a number.
    """
    parts = [(os.path.dirname(f), *os.path.splitext(os.path.basename(f))) for f in images]  # noqa: PTH119, PTH120, PTH122
    uses = Counter(stem.casefold() for _, stem, _ in parts)
    taken: set[str] = set()
    names = []
    for folder, stem, suffix in parts:
        first = stem if uses[stem.casefold()] == 1 else f"{os.path.basename(folder)}_{stem}"  # noqa: PTH119
        free = next(s for s in _numbered(first) if s.casefold() not in taken)
        taken.add(free.casefold())
        names.append(f"{free}{suffix}")
    return names


def _numbered(stem: str) -> Iterable[str]:
    yield stem
    for number in range(2, 1_000_000):
        yield f"{stem}_{number}"


def _put(source: str, place: Path) -> bool:
    """Put an image to its place, as a hard link if possible; return whether it is one."""
    real = os.path.realpath(source)
    if Path(real).is_relative_to(extracted_folder().resolve()):  # the host's own, which nothing else may write to
        shutil.copyfile(real, place)
        return False
    try:
        os.link(real, place)
    except OSError:  # another file system, or one without links
        shutil.copyfile(real, place)
        return False
    return True


def _yaml(data: Description) -> str:
    """Return the dataset YAML: splits, classes, and whatever else the dataset says."""
    keys: dict[str, Any] = {name: f"images/{name}" for name in data.splits}
    keys["names"] = plain(data["names"])
    keys |= {k: plain(v) for k, v in data.items() if k not in READ and v is not None}
    if keys.get("channels") == 3:
        del keys["channels"]
    return patch_text(keys)

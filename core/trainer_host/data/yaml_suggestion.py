"""The dataset YAML that a folder of images and label files lacks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from trainer_host.data.file_checks import NOT_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HEAD = 4096
SAMPLED = 200
"""Label files in which classes are counted."""
MOST_CLASSES = 1000
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of folders that say which split is in them."""
ROW = re.compile(rb"\s*(\d+)(?:\.0*)?(?:[ \t]+[-+.\deE]+){4,}[ \t]*(?:\r?\n|$)")


def is_labelled(file: Path) -> bool:
    """Return whether a text file begins with a row of a label file."""
    return file.name.lower() not in NOT_LABELS and ROW.match(_head(file)) is not None


def yaml_for(folder: Path, images: Mapping[Path, Sequence[str]], labels: Sequence[Path]) -> str:
    """Return the dataset YAML of a folder, as one line that is YAML.

    Args:
        folder: The folder, where the YAML belongs.
        images: The images in it, by folder.
        labels: The label files.
    """
    splits = _splits(folder, list(images))
    parts = [f"{name}: {_written(places)}" for name, places in splits.items()]
    return f"{{{', '.join([*parts, _classes(folder, labels)])}}}"


def _splits(folder: Path, places: Sequence[Path]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place in sorted(places):
        relative = place.relative_to(folder)
        split = next((SPLITS[p.lower()] for p in relative.parts if p.lower() in SPLITS), "train")
        found.setdefault(split, []).append(relative.as_posix())
    train = found.get("train") or next(iter(found.values()))
    return {
        "train": train,
        "val": found.get("val") or found.get("test") or train,
        **{k: v for k, v in found.items() if k == "test"},
    }


def _written(places: Sequence[str]) -> str:
    quoted = [p if re.fullmatch(r"[\w./-]+", p) and p != "." else json.dumps(p) for p in places]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"


def _classes(folder: Path, labels: Sequence[Path]) -> str:
    """Return the classes: those of a ``classes.txt``, or as many as the label files have."""
    listed = next((f for f in (folder / "classes.txt", folder / "labels" / "classes.txt") if f.is_file()), None)
    if listed is not None:
        lines = [line.strip() for line in _head(listed).decode("utf-8-sig", "replace").splitlines()]
        names = [line for line in lines if line]
        if names:
            return f"names: {json.dumps(names, ensure_ascii=False)}"
    most = 0
    for file in labels[:SAMPLED]:
        for row in ROW.finditer(_head(file)):
            most = max(most, int(row.group(1)[:9]))
    return f"nc: {min(most, MOST_CLASSES) + 1}"


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(HEAD) if file.is_file() else b""
    except OSError:
        return b""

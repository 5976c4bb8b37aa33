"""The parts of a dataset that a run records, to say later which of them changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.atomic_io import display_path, plain
from trainer_host.base.wording import counted, listed
from trainer_host.data.description import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_host.data.description import Description

MOST_FILES = 100_000
"""Files of a dataset that are looked at to find those that are newer than a run."""
_KEYS, _LENGTH = "keys", 12


def parts_of(data: Description) -> dict[str, Any]:
    """Return hashes of the keys of a dataset, and of the images and labels of each split, with their numbers."""
    keys = {str(k): plain(v) for k, v in data.items() if k not in {*SPLITS, "path", "yaml_file"}}
    found: dict[str, Any] = {_KEYS: _hash(repr(sorted(keys.items())).encode())}
    for name, split in data.splits.items():
        images = "\0".join(Path(f).name for f in split.images).encode("utf-8", "surrogateescape")
        found[name] = {
            "images": len(split),
            "objects": len(split.row_lengths),
            "files": _hash(images, split.sizes, split.shapes, split.marks),
            "labels": _hash(split.image, split.row_lengths, split.values, split.crowd),
        }
    return found


def changed_parts(before: Any, now: Mapping[str, Any]) -> list[str]:
    """Return in words which parts differ from recorded ones; nothing if none are recorded."""
    if not isinstance(before, dict):
        return []
    words = ["keys of its YAML"] if before.get(_KEYS) != now.get(_KEYS) else []
    for name in sorted((before.keys() | now.keys()) - {_KEYS}):
        words += _changed_split(name, before.get(name), now.get(name))
    return words


def _changed_split(name: str, before: Any, now: Any) -> Iterator[str]:
    if not isinstance(before, dict) or not isinstance(now, dict):
        yield f"the split {name} is {'gone' if now is None else 'new'}"
        return
    for key, one in (("images", "image"), ("objects", "object")):
        if before.get(key) != now.get(key):
            yield f"{name} has {counted(now[key], one)} instead of {before.get(key)}"
    if before.get("images") == now["images"] and before.get("files") != now["files"]:
        yield f"images of {name}"
    if before.get("objects") == now["objects"] and before.get("labels") != now["labels"]:
        yield f"labels of {name}"


def newer_files(folder: Path, since: float) -> str:
    """Return the first files of a folder that are newer than a time, in words; empty if there are none."""
    found, looked_at = [], 0
    for root, _, files in os.walk(folder):
        for name in sorted(files):
            looked_at += 1
            path = Path(root, name)
            try:
                if path.stat().st_mtime > since and path.suffix not in {".cache", ".npy"}:
                    found.append(display_path(path))
            except OSError:
                continue
        if looked_at > MOST_FILES:
            break
    return listed(sorted(found))


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:_LENGTH]

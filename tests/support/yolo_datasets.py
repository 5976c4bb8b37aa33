"""Small datasets on the disk, read by the one reader."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from PIL import Image

from trainer_host import LoaderContext
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.data.check_runner import read_and_check
from trainer_host.data.dataset_reader import read_dataset
from trainer_host.data.description import Description
from trainer_host.plugin.registry import Registry
from trainer_host.session.dataset_check import prepare

COLUMNS = ("sizes", "shapes", "marks", "labelled", "image", "line", "row_lengths", "values", "valid", "crowd")


def draw(path: Path, shade: int = 0, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade % 256, shade // 256, 0)).save(path)


def label(path: Path, text: str = "0 .5 .5 .2 .2\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make(root: Path, images: int = 3, **keys: Any) -> Path:
    """Write a dataset and return its YAML."""
    for number, split in enumerate(("train", "val")):
        for i in range(images):
            draw(root / "images" / split / f"{i}.png", 10 * i + number)
            label(root / "labels" / split / f"{i}.txt", f"{i % 2} .5 .5 .{i + 1} .{number + 2}\n")
    return write_yaml(root, **keys)


def write_yaml(root: Path, **keys: Any) -> Path:
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["one", "two"], **keys}))
    return file


def names(data: Description, split: str = "train") -> list[str]:
    root = Path(data.file).parent
    return [os.path.relpath(f, root) for f in data.splits[split].images]


def codes(data: Description) -> list[str]:
    return sorted(f.code for f in data.findings)


def content(data: Description) -> dict[str, Any]:
    """Return all that was read, so that two readings can be compared."""
    splits = {
        name: {"images": s.images, "labels": s.label_files} | {c: getattr(s, c).tobytes() for c in COLUMNS}
        for name, s in data.splits.items()
    }
    return {"keys": dict(data), "splits": splits, "findings": sorted(map(repr, data.findings))}


def fresh(file: Path) -> dict[str, Any]:
    """Return what is read without a cache."""
    given = os.environ["TRAINER_CACHE_DIR"]
    with TemporaryDirectory() as empty:
        os.environ["TRAINER_CACHE_DIR"] = empty
        try:
            return content(read_dataset(file))
        finally:
            os.environ["TRAINER_CACHE_DIR"] = given


def tick(root: Path) -> None:
    """Return once the file system gives files a later time than it gave those that are there."""
    scratch = root / ".tick"
    scratch.touch()
    before = scratch.stat().st_ctime_ns
    while scratch.stat().st_ctime_ns == before:
        os.utime(scratch)
    scratch.unlink()


def put_back(path: Path, new: bytes) -> None:
    """Write other content of the same length, and put the times back."""
    before = path.stat()
    assert len(new) == before.st_size
    path.write_bytes(new)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(one: Path, other: Path) -> None:
    """Have two files or folders change places."""
    spare = one.with_name(".spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def examined(source: Path, task: str | None = None, **settings: Any) -> Description:
    """Return a dataset as the plugins of a task read and check it."""
    request = Request.of("check", {**settings, "data": str(source)}, task=task)
    chain, ctx, _ = prepare(request, Registry.installed(), NullReporter())
    return read_and_check(chain, ctx)


def loader_context(data: Path, task: str, batch_size: int, **settings: Any) -> LoaderContext:
    """Return what a task is told about the training dataset that it is to build."""
    import torch
    from ultralytics.cfg import get_cfg

    read = examined(data, task)
    return LoaderContext(
        task=task,
        engine_task=task,
        args=get_cfg(overrides={"task": task, **settings}),
        data=read,
        path=read["train"],
        batch_size=batch_size,
        device=torch.device("cpu"),
    )

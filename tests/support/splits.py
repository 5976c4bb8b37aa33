"""Datasets as columns, made from rows without a file on the disk."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from trainer_host import DataContext
from trainer_host.data.description import EMPTY, FOUND, Description, Split

SHAPE = (480, 640)
"""Height and width of every image, in pixels."""


def make_split(
    rows: Sequence[Sequence[Sequence[float]]], name: str = "train", crowd: Sequence[bool] | None = None
) -> Split:
    """Return a split; ``rows`` has for each image its rows, whose lines count from 1."""
    flat = [row for image in rows for row in image]
    values = np.array([v for row in flat for v in row], np.float64)
    columns = np.array([len(row) for row in flat], np.int32)
    images = len(rows)
    return Split(
        name=name,
        images=[f"/data/images/{name}/{i}.jpg" for i in range(images)],
        label_files=[f"/data/labels/{name}/{i}.txt" for i in range(images)],
        sizes=np.full(images, 1000, np.int64),
        shapes=np.full((images, 2), SHAPE, np.int32),
        marks=np.arange(images, dtype=np.uint32),
        labelled=np.array([FOUND if image else EMPTY for image in rows], np.uint8),
        image=np.repeat(np.arange(images), [len(image) for image in rows]).astype(np.int32),
        line=np.array([line for image in rows for line in range(1, len(image) + 1)], np.int32),
        row_lengths=columns,
        values=values,
        valid=np.array([bool(np.isfinite(row).all()) for row in flat], bool),
        crowd=np.array(crowd if crowd is not None else np.zeros(len(flat)), bool),
    )


def make_context(
    keys: Mapping[str, Any],
    splits: Mapping[str, Sequence[Sequence[Sequence[float]]]],
    task: str = "detect",
    lines: Mapping[str, int] | None = None,
    **args: Any,
) -> DataContext:
    """Return what a check is given of a dataset with these keys and rows."""
    made = {name: make_split(rows, name) for name, rows in splits.items()}
    data = Description(keys, file="/data/data.yaml", splits=made, lines=lines or {})
    settings = {"fliplr": 0.5, "flipud": 0.0, "single_cls": False, **args}
    return DataContext(
        task=task, engine_task=task, args=SimpleNamespace(**settings), data=data, source="/data/data.yaml"
    )


def stock_refuses(folder: Path, rows: Sequence[Sequence[float]], classes: int, shape: tuple[int, int] | None) -> bool:
    """Tell whether the engine leaves an image with these rows out; with keypoints where there is a shape of them."""
    from ultralytics.data.utils import verify_image_label

    image, label = folder / "0.png", folder / "0.txt"
    if not image.exists():
        Image.new("RGB", SHAPE[::-1]).save(image)
    label.write_text("\n".join(" ".join(repr(float(v)) for v in row) for row in rows) + "\n")
    points, dims = shape or (0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers beyond single precision
        answer = verify_image_label((str(image), str(label), "", shape is not None, classes, points, dims, False))
    return bool(answer[8])

"""Datasets as columns, made from rows without a file on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

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
        columns=columns,
        values=values,
        sound=np.array([bool(np.isfinite(row).all()) for row in flat], bool),
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
    data = Description(keys, file="/data/data.yaml", splits=made, lines=lines)
    settings = {"fliplr": 0.5, "flipud": 0.0, "single_cls": False, **args}
    return DataContext(
        task=task, engine_task=task, args=SimpleNamespace(**settings), data=data, source="/data/data.yaml"
    )

"""The meaning of rows for tasks with boxes: classes, boxes, and the number of columns for keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from trainer_host.data import Description

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer_host import DataContext
    from trainer_host.data import Split

    Bools = NDArray[np.bool_]
    Rows = NDArray[np.int64]
    Floats = NDArray[np.float64]

RowKind: TypeAlias = Literal["boxes", "polygons", "own"]
"""Kinds of rows: boxes, or polygons that stand for their boxes; polygons alone; or columns of the task's own."""
KINDS: dict[str, RowKind] = {"detect": "boxes", "segment": "polygons", "obb": "polygons"}
"""Kinds of rows of the engine's tasks, in which a box or a polygon follows the class."""


def row_kind(engine_task: str) -> RowKind:
    """Return the content of a task's rows. An unknown task has its own columns, and checks them itself."""
    return KINDS.get(engine_task, "own")


def description(ctx: DataContext) -> Description:
    """Return the dataset of a context; without splits if a plugin's reader returned keys alone."""
    return Description.of(ctx.data, ctx.source)


def keypoint_shape(data: Description) -> tuple[int, int] | None:
    """Return the number of keypoints and of numbers for each, or None if the dataset has no proper kpt_shape."""
    value = data.get("kpt_shape")
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(type(v) is int for v in value):
        return None
    return (value[0], value[1]) if value[0] > 0 and value[1] in {2, 3} else None


def fitting_shapes(columns: int) -> list[tuple[int, int]]:
    """Return the keypoint shapes whose rows have so many numbers."""
    return [((columns - 5) // dims, dims) for dims in (3, 2) if columns > 5 and (columns - 5) % dims == 0]


@dataclass(frozen=True)
class Boxes:
    """The rows of a split that have a box.

    Attributes:
        rows: Their indices in the split, ascending, int64 (m,).
        values: Class, centre and size of each, float64 (m, 5).
        lengths: How many of their numbers are used, int64 (m,).
        polygon: Rows of the split that are polygons, bool (r,).
        misfit: Rows of the split that are neither boxes nor polygons, bool (r,).
        kind: The kind of row that the task reads.
    """

    rows: Rows
    values: Floats
    lengths: Rows
    polygon: Bools
    misfit: Bools
    kind: RowKind


def read_boxes(split: Split, shape: tuple[int, int] | None, kind: RowKind) -> Boxes:
    """Return the boxes of a split's rows.

    Where rows are boxes, one is a box alone, a box whose keypoints are not used, or a polygon: a class and at least
    3 points.

    Args:
        split: The split.
        shape: The number of keypoints and of numbers for each, where the dataset has them.
        kind: The kind of row that the task reads.
    """
    judged, columns = split.valid & ~split.crowd, split.row_lengths
    keypoints = columns == 5 + shape[0] * shape[1] if shape else np.zeros(len(columns), bool)
    boxed = judged & ((columns == 5) | keypoints)
    polygon = judged & ~boxed & (columns >= 7) & (columns % 2 == 1)
    if kind == "own":
        boxed, polygon = judged & (keypoints if shape else columns >= 5), np.zeros(len(columns), bool)
    elif kind == "polygons":
        boxed = np.zeros(len(columns), bool)
    values = split.head(5)
    if polygon.any():
        values = values.copy()
        values[polygon, 1:] = _polygon_boxes(split, polygon)
    rows = np.flatnonzero(boxed | polygon)
    lengths = columns.astype(np.int64)
    if kind != "own":
        lengths[boxed] = 5
    return Boxes(rows, values[rows], lengths[rows], polygon, judged & ~boxed & ~polygon, kind)


def _polygon_boxes(split: Split, polygon: Bools) -> Floats:
    """Return centre and size of the box around each polygon, float64 (m, 4)."""
    taken = np.repeat(polygon, split.row_lengths)
    taken[split.starts[polygon]] = False  # the class
    points = split.values[taken].reshape(-1, 2).clip(-1e30, 1e30)  # so that sums are finite
    counts = (split.row_lengths[polygon] - 1) // 2
    first = np.cumsum(counts) - counts
    low, high = np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def image_sizes(split: Split, rows: Rows) -> Floats:
    """Return width and height in pixels of the image of each row, float64 (m, 2); 0 if they are not known."""
    return split.shapes[split.image[rows]][:, ::-1].astype(np.float64)

"""Boxes in the dataset report: those of an image, and the distribution of classes and sizes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.rows import keypoint_shape, read_boxes, row_kind
from trainer_host import Box, Histogram, Line
from trainer_host.data import Description, class_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer_host import DataContext, LabelContext, Shape
    from trainer_host.data import Split

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MANY = 1000


def annotate(ctx: LabelContext) -> list[Shape]:
    """Return the boxes of an image with the names of their classes, and the polygons of a task that reads them.

    For other tasks a polygon is its bounding box. Rows that are not a box are skipped.
    """
    outlined = row_kind(ctx.engine_task) == "polygons"
    shapes: list[Shape] = []
    for box, numbers in labelled_boxes(ctx):
        shapes.append(box)
        if outlined:
            shapes += _outline(numbers[1:].reshape(-1, 2), ctx.mirrored, box.colour)
    return shapes


def _outline(points: NDArray[np.float64], mirrored: bool, colour: int) -> list[Line]:
    """Return the sides of a polygon, whose last point is joined to the first."""
    places = [(1 - x if mirrored else x, y) for x, y in points.tolist()]
    return [Line(*one, *other, colour) for one, other in pairwise([*places, places[0]])]


def labelled_boxes(ctx: LabelContext) -> Iterator[tuple[Box, NDArray[np.float64]]]:
    """Yield the boxes of an image, mirrored where the context says so, each with all numbers of its row."""
    data = Description.of(ctx.data)
    if ctx.split not in data.splits:
        return
    names, whole = class_names(data.get("names")), data.splits[ctx.split]
    crowd = whole.crowd[whole.rows_of(ctx.image)]
    split = _one_image(whole, ctx.image)
    # A task with its own columns has the box first, so that it can be drawn even if the columns are wrong.
    kind = row_kind(ctx.engine_task)
    found = read_boxes(split, None if kind == "own" else keypoint_shape(data), kind)
    for row, (number, x, y, width, height) in zip(found.rows.tolist(), found.values.tolist(), strict=True):
        label = names.get(int(number), f"class {number:g}") + (" (crowd)" if crowd[row] else "")
        left = (1 - x if ctx.mirrored else x) - width / 2
        start = split.starts[row]
        box = Box(left, y - height / 2, width, height, label, int(number))
        yield box, split.values[start : start + split.row_lengths[row]]


def _one_image(split: Split, image: int) -> Split:
    """Return a split that has the rows of one image alone, crowds as any others."""
    rows = split.rows_of(image)
    start = int(split.starts[rows[0]]) if len(rows) else 0
    return replace(
        split,
        image=split.image[rows],
        line=split.line[rows],
        row_lengths=split.row_lengths[rows],
        values=split.values[start : start + int(split.row_lengths[rows].sum())],
        valid=split.valid[rows],
        crowd=np.zeros(len(rows), bool),
    )


def histograms(ctx: DataContext) -> Iterator[Histogram]:
    """Yield the objects of each class, and the widths and heights of the boxes. Crowds are not counted."""
    data = Description.of(ctx.data)
    shape, kind = keypoint_shape(data), row_kind(ctx.engine_task)
    boxes = {name: read_boxes(split, shape, kind).values for name, split in data.splits.items()}
    if not any(len(values) for values in boxes.values()):
        return
    names = class_names(data.get("names"))
    numbers = sorted(names) or np.unique(np.concatenate([values[:, 0] for values in boxes.values()]))[:_MANY].tolist()
    labels = tuple(names.get(n, f"class {n:g}") for n in numbers)
    yield Histogram("Objects of each class", labels, {k: _counted(v[:, 0], numbers) for k, v in boxes.items()})
    yield Histogram("Widths of the boxes", _bins(), {k: _binned(v[:, 3]) for k, v in boxes.items()}, _note("width"))
    yield Histogram("Heights of the boxes", _bins(), {k: _binned(v[:, 4]) for k, v in boxes.items()}, _note("height"))


def _counted(found: NDArray[np.float64], numbers: list[int]) -> tuple[int, ...]:
    seen, counts = np.unique(found, return_counts=True)
    known = dict(zip(seen.tolist(), counts.tolist(), strict=True))
    return tuple(known.get(n, 0) for n in numbers)


def _note(side: str) -> str:
    return f"In per cent of the image's {side}."


def _bins() -> tuple[str, ...]:
    percent = [f"{100 * s:g}" for s in _SHARES]
    return (f"under {percent[0]}", *(f"{low} to {high}" for low, high in pairwise(percent)), f"{percent[-1]} and over")


def _binned(shares: NDArray[np.float64]) -> tuple[int, ...]:
    bars = np.bincount(np.searchsorted(_SHARES, shares, side="right"), minlength=len(_SHARES) + 1)
    return tuple(int(n) for n in bars)

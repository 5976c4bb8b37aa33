"""Keypoints in the dataset report: those of an image, also mirrored, and how often each is visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.annotations import labelled_boxes
from trainer_detect.rows import keypoint_shape
from trainer_host import Histogram, Line, Point
from trainer_host.data import Description
from trainer_pose.checks import read_keypoints
from trainer_pose.suggestions import is_pair, name_lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer_host import DataContext, LabelContext, Shape

_BEFORE = 5
"""Numbers of a row before its keypoints: the class and the box."""
_HIDDEN = 1


def annotate(ctx: LabelContext) -> list[Shape]:
    """Return the boxes of an image, their keypoints with names, and the lines of the dataset's ``skeleton``.

    Mirrored keypoints have changed places as ``flip_idx`` says. Keypoints that are not labelled are skipped, and so
    are all those of a row that does not have the numbers which ``kpt_shape`` demands.
    """
    data = Description.of(ctx.data)
    shape = keypoint_shape(data)
    found: list[Shape] = []
    for box, numbers in labelled_boxes(ctx):
        found.append(box)
        if shape is not None and len(numbers) == _BEFORE + shape[0] * shape[1]:
            points = numbers[_BEFORE:].reshape(shape)
            labelled = _labelled(points)
            if ctx.mirrored:  # the engine decides what is labelled before it mirrors
                order = _flip_order(ctx.data, len(points))
                points, labelled = np.column_stack([1 - points[order, 0], points[order, 1:]]), labelled[order]
            found += _drawn(data, points, labelled, box.colour)
    return found


def _names(data: Description, count: int, number: int = 0) -> tuple[str, ...]:
    """Return the names of a class's keypoints, or of any class's if it has none; else their numbers."""
    known = name_lists(data)
    names = known.get(number) or next(iter(known.values()), [])
    return tuple(names[i] if i < len(names) else str(i) for i in range(count))


def _flip_order(data: Description, count: int) -> list[int]:
    """Return for each keypoint of a mirrored object which one it was before; the same where flip_idx cannot be used."""
    given = data.get("flip_idx")
    order = list(given) if isinstance(given, (list, tuple)) else []
    usable = len(order) == count and all(type(i) is int and 0 <= i < count for i in order)
    return order if usable else list(range(count))


def _drawn(data: Description, points: NDArray[np.float64], labelled: NDArray[np.bool_], number: int) -> Iterator[Shape]:
    names = _names(data, len(points), number)
    for a, b in _skeleton(data, len(points)):
        if labelled[a] and labelled[b]:
            (x1, y1), (x2, y2) = points[[a, b], :2].tolist()
            yield Line(x1, y1, x2, y2, a)
    for i in np.flatnonzero(labelled).tolist():
        x, y, *visibility = points[i].tolist()
        yield Point(x, y, names[i], visibility != [_HIDDEN], i)


def _labelled(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which keypoints (K, dims) are trained on, bool (K,)."""
    if points.shape[-1] == 2:
        return np.logical_and(points[:, 0] >= 0, points[:, 1] >= 0)
    return np.not_equal(points[:, 2], 0)


def _skeleton(data: Description, count: int) -> list[tuple[int, int]]:
    given = data.get("skeleton")
    pairs = filter(is_pair, given if isinstance(given, (list, tuple)) else ())
    return [(a, b) for a, b in pairs if 0 <= a < count and 0 <= b < count]


def histograms(ctx: DataContext) -> Iterator[Histogram]:
    """Yield how many objects show each keypoint, hide it, and lack it; and how many keypoints an object has."""
    data = Description.of(ctx.data)
    shape = keypoint_shape(data)
    if shape is None:
        return
    read = {name: read_keypoints(split, shape, {}) for name, split in data.splits.items()}
    points = {name: found for name, found in read.items() if found is not None}
    if not points:
        return
    labelled = {name: p.labelled for name, p in points.items()}
    hidden = {name: (p.flags == _HIDDEN) & (shape[1] == 3) for name, p in points.items()}
    names = _names(data, shape[0])
    kinds = {
        "Keypoints in sight": {name: labelled[name] & ~hidden[name] for name in points},
        "Hidden keypoints": hidden,
        "Keypoints without a label": {name: ~labelled[name] for name in points},
    }
    none = [title for title, flags in kinds.items() if not any(f.any() for f in flags.values())]
    for title, flags in kinds.items():
        if title not in none:
            yield Histogram(title, names, {name: tuple(f.sum(0).tolist()) for name, f in flags.items()})
    each = {name: np.bincount(f.sum(1), minlength=shape[0] + 1).tolist() for name, f in labelled.items()}
    numbers = tuple(str(n) for n in range(shape[0] + 1))
    note = " ".join(f"{title}: none." for title in none)
    yield Histogram("Labelled keypoints of an object", numbers, {name: tuple(n) for name, n in each.items()}, note)

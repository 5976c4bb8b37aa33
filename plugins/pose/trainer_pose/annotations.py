"""What a dataset's report shows of keypoints: those of an image, also mirrored, and how often each is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_detect.annotations import labelled_boxes
from trainer_detect.checks import keypoint_shape
from trainer_host import Histogram, Line, Point
from trainer_host.data.description import Description

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from trainer_host import DataContext, LabelContext, Shape
    from trainer_host.data.description import Split

_BEFORE = 5
"""Numbers of a row before its keypoints: the class and the box."""
_HIDDEN = 1


def annotate(ctx: LabelContext) -> list[Shape]:
    """Return the boxes of an image, their keypoints with names, and the lines of the dataset's ``skeleton``.

    Mirrored keypoints have changed places as ``flip_idx`` says. Keypoints that are not labelled are left out, and so
    are all those of a row that does not have the numbers which ``kpt_shape`` demands.
    """
    if not isinstance(ctx.data, Description):
        return []
    shape = keypoint_shape(ctx.data)
    found: list[Shape] = []
    for box, numbers in labelled_boxes(ctx):
        found.append(box)
        if shape is not None and len(numbers) == _BEFORE + shape[0] * shape[1]:
            points = numbers[_BEFORE:].reshape(shape)
            found += _drawn(ctx.data, _flipped(points, ctx.data) if ctx.mirrored else points, box.colour)
    return found


def keypoint_names(data: Mapping[str, Any], count: int, number: int = 0) -> list[str]:
    """Return the names of a class's keypoints, which are their numbers where there are none."""
    names = data.get("kpt_names")
    if isinstance(names, dict):
        names = names.get(number, next(iter(names.values()), None))
    if not isinstance(names, (list, tuple)):
        names = ()
    return [str(names[i]) if i < len(names) else str(i) for i in range(count)]


def _flipped(points: NDArray[np.float64], data: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return keypoints as the engine flips them: the i-th is then where the ``flip_idx[i]``-th was, mirrored."""
    mirrored = points.copy()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    order = data.get("flip_idx")
    count = len(points)
    usable = isinstance(order, (list, tuple)) and len(order) == count
    if usable and all(type(i) is int and 0 <= i < count for i in order or ()):
        mirrored = mirrored[list(order or ())]
    return mirrored


def _drawn(data: Mapping[str, Any], points: NDArray[np.float64], number: int) -> Iterator[Shape]:
    labelled, names = _labelled(points), keypoint_names(data, len(points), number)
    for a, b in _skeleton(data, len(points)):
        if labelled[a] and labelled[b]:
            (x1, y1), (x2, y2) = points[[a, b], :2].tolist()
            yield Line(x1, y1, x2, y2, a)
    for i in np.flatnonzero(labelled).tolist():
        x, y, *visibility = points[i].tolist()
        yield Point(x, y, names[i], visibility != [_HIDDEN], i)


def _labelled(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which keypoints (..., K, dims) the engine trains on, bool (..., K)."""
    if points.shape[-1] == 2:
        return np.logical_and(points[..., 0] >= 0, points[..., 1] >= 0)
    return np.not_equal(points[..., 2], 0)


def _skeleton(data: Mapping[str, Any], count: int) -> list[tuple[int, int]]:
    given = data.get("skeleton")
    pairs = [tuple(p) for p in given if isinstance(p, (list, tuple))] if isinstance(given, (list, tuple)) else []
    return [p for p in pairs if len(p) == 2 and all(type(i) is int and 0 <= i < count for i in p)]


def histograms(ctx: DataContext) -> Iterator[Histogram]:
    """Yield how many objects show each keypoint, hide it, and lack it; and how many keypoints an object has."""
    data = ctx.data
    shape = keypoint_shape(data) if isinstance(data, Description) else None
    if shape is None or not isinstance(data, Description):
        return
    points = {name: _points(split, shape) for name, split in data.splits.items()}
    if not any(len(p) for p in points.values()):
        return
    labelled = {name: _labelled(p) for name, p in points.items()}
    hidden = {name: (p[..., 2:] == _HIDDEN).any(-1) for name, p in points.items()}
    names = tuple(keypoint_names(data, shape[0]))
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


def _points(split: Split, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the keypoints of the objects of a split, float64 (objects, K, dims)."""
    rows, values = split.table(_BEFORE + shape[0] * shape[1])
    return values[split.sound[rows] & ~split.crowd[rows], _BEFORE:].reshape(-1, *shape)

"""Checks of keypoints: the keys that describe them, the rows that hold them, and all of them together.

The limits are the engine's: it drops an image if a keypoint is above 1.01 or below -0.01, even one that is
not visible, and trains on any visibility but 0 as if it were 1.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.checks import (
    SHOWN,
    TOLERANCE,
    amount,
    box_faults,
    in_order,
    line_text,
    look_like_pixels,
    numbers,
    shapes_text,
)
from trainer_detect.rows import description, fitting_shapes, image_sizes, keypoint_shape
from trainer_host import Finding
from trainer_host.data import listed
from trainer_pose.keypoint_schema import check_keys, padding_text
from trainer_pose.outliers import PlacedKeypoints, far_keypoints
from trainer_pose.suggestions import name_lists
from trainer_pose.unlabelled_keypoints import unlabelled_splits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_detect.checks import Found
    from trainer_detect.rows import Bools, Floats, Rows
    from trainer_host import DataContext
    from trainer_host.data import Description, Split

ALIKE = 3
"""Rows from which on it says something that all have the same keypoints."""


def check_dataset(ctx: DataContext) -> Iterator[Finding]:
    """Yield the problems of the keypoint keys, and with keypoints by split, image and line."""
    data = description(ctx)
    yield from check_keys(data, ctx.args)
    shape = keypoint_shape(data)
    if shape is None:
        return
    names = name_lists(data)
    own = _own_counts(data, shape)
    fits = any((s.row_lengths[_judged(s)] == 5 + shape[0] * shape[1]).any() for s in data.splits.values())
    read: dict[str, Keypoints] = {}
    placed: list[PlacedKeypoints] = []
    for split in data.splits.values():
        found = list(_columns(split, shape, fits, own))
        points = read_keypoints(split, shape, names)
        if points is not None:
            read[split.name] = points
            faults = _faults(split, points)
            found += _of_points(split, points, faults)
            placed.append(PlacedKeypoints.of(split, points, faults.sound))
        yield from in_order(found)
    yield from far_keypoints(placed)
    yield from unlabelled_splits(data, read)
    if "train" in read:
        yield from _statistics(data, data.splits["train"], read["train"])


def _judged(split: Split) -> Bools:
    return split.valid & ~split.crowd


def _columns(split: Split, shape: tuple[int, int], fits: bool, own: Mapping[int, int]) -> Found:
    """Yield rows of another length.

    Args:
        split: The split.
        shape: Number of keypoints, and of numbers for each.
        fits: Whether any row of the dataset has the right length.
        own: The number of keypoints of classes that have their own.
    """
    keypoints, dims = shape
    required = 5 + keypoints * dims
    classes = split.head(1)[:, 0]
    for row in np.flatnonzero(_judged(split) & (split.row_lengths != required)).tolist():
        found = int(split.row_lengths[row])
        needed = f"{required} (5 + {keypoints} x {dims})"
        message = f"the row has {amount(found)}; kpt_shape [{keypoints}, {dims}] needs {needed}."
        fix = f"write class, x, y, width, height and {keypoints} keypoints of {dims} numbers"
        others = shapes_text(fitting_shapes(found))
        if others:
            message += f" {found} numbers would fit kpt_shape: {others}."
        if others and not fits:
            fix = f"write kpt_shape: {others} in the YAML, or {required} numbers in each row"
        if (points := own.get(int(classes[row]))) is not None:
            message += f" All rows of class {int(classes[row])} have {points} keypoints."
            fix = _padding(keypoints, dims, points, max(own.values()))
        yield row, split.of_row(row, "label-columns", message, fix)


def _padding(keypoints: int, dims: int, points: int, most: int) -> str:
    """Return how classes with ``points`` keypoints, and others with ``keypoints`` or ``most``, come to have as many."""
    if dims == 2:
        return "give every class as many keypoints, with kpt_shape: [K, 3], and 0 0 0 for those that a class lacks"
    if most > keypoints:
        return f"write kpt_shape: [{most}, {dims}], and {padding_text(most)}"
    zeros = 3 * (keypoints - points)
    return f"add {zeros} zeros at the end of each row of the class: 0 0 0 for each keypoint that it lacks"


def _own_counts(data: Description, shape: tuple[int, int]) -> dict[int, int]:
    """Return the number of keypoints of classes all of whose rows have another than ``shape``, and all the same.

    Nothing is returned unless rows of other classes have that of the shape, so that classes do differ.
    """
    keypoints, dims = shape
    lengths: dict[int, set[int]] = {}
    for split in data.splits.values():
        use = _judged(split)
        pairs = np.stack([split.head(1)[use, 0], split.row_lengths[use]], axis=1)
        for number, columns in np.unique(pairs, axis=0).astype(np.int64).tolist():
            lengths.setdefault(number, set()).add(columns)
    alike = {number: found.copy().pop() for number, found in lengths.items() if len(found) == 1}
    counts = {n: (c - 5) // dims for n, c in alike.items() if c > 5 and (c - 5) % dims == 0}
    if len(counts) < len(lengths) or keypoints not in counts.values():
        return {}
    return {number: count for number, count in counts.items() if count != keypoints}


# --- rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keypoints:
    """The rows of a split that have as many numbers as the keypoint shape requires.

    Attributes:
        rows: Their indices in the split, ascending, int64 (m,).
        box: Class, centre and size of each, float64 (m, 5).
        xy: Keypoints, float64 (m, K, 2).
        flags: Visibility, float64 (m, K); where rows have none, 1 for what the engine takes for visible, else 0.
        dims: How many numbers a keypoint has.
        names: Names of keypoints by class.
    """

    rows: Rows
    box: Floats
    xy: Floats
    flags: Floats
    dims: int
    names: dict[int, list[str]]

    @property
    def labelled(self) -> Bools:
        """Keypoints that are trained on, bool (m, K)."""
        found: Bools = self.flags != 0
        return found

    def text(self, index: int, chosen: Bools) -> str:
        """Return what a message calls the chosen keypoints (K,) of a row: ``keypoints 0 (nose), 3 (tail)``."""
        which = np.flatnonzero(chosen).tolist()
        return points_text(which, self.names.get(int(self.box[index, 0]), []))

    def places(self, index: int, chosen: Bools) -> str:
        """Return the coordinates of the first of the chosen keypoints (K,) of a row."""
        return ", ".join(numbers(xy) for xy in self.xy[index, chosen][:SHOWN])


def points_text(which: list[int], names: list[str]) -> str:
    """Return what a message calls keypoints: by index, and by name if known."""
    called = [f"{i} ({names[i]})" if i < len(names) else f"{i}" for i in which]
    return f"keypoint{'s' if len(which) > 1 else ''} {listed(called, SHOWN)}"


def read_keypoints(split: Split, shape: tuple[int, int], names: dict[int, list[str]]) -> Keypoints | None:
    """Return the keypoints of a split's rows, or None if no row has as many numbers as the shape requires."""
    count, dims = shape
    columns = 5 + count * dims
    if not (split.row_lengths == columns).any():
        return None
    rows, values = split.table(columns)
    keep = _judged(split)[rows]
    if not keep.all():
        rows, values = rows[keep], values[keep]
    points = values[:, 5:].reshape(-1, count, dims)
    xy = points[..., :2]
    flags: Floats = points[..., 2] if dims == 3 else ((xy[..., 0] >= 0) & (xy[..., 1] >= 0)).astype(np.float64)
    return Keypoints(rows, values[:, :5], xy, flags, dims, names)


@dataclass(frozen=True)
class _Faults:
    """Faults of the keypoints of a split's rows.

    Attributes:
        pixels: Rows whose keypoints look like pixels, bool (m,).
        beyond: Keypoints outside of the image, bool (m, K).
        zero: Keypoints that count as labelled at 0 0, bool (m, K).
        sound: Keypoints of rows without such a fault, in their box or their keypoints, bool (m, K).
    """

    pixels: Bools
    beyond: Bools
    zero: Bools
    sound: Bools


def _faults(split: Split, points: Keypoints) -> _Faults:
    faults = box_faults(split, points.rows, points.box)
    # If there is no visibility, a negative coordinate stands for no keypoint.
    used = ((points.xy[..., 0] != 0) | (points.xy[..., 1] != 0)) & points.labelled
    pixels = look_like_pixels(points.xy, image_sizes(split, points.rows), used)
    pixels &= ~faults.pixels  # the row is reported for its box
    out = (points.xy > 1 + TOLERANCE) | (points.xy < -TOLERANCE)
    beyond = out[..., 0] | out[..., 1]
    beyond &= ~(pixels | faults.pixels)[:, None]
    fine = ~(pixels | faults.any | beyond.any(axis=1))[:, None]
    zero = _at_zero(points) & fine
    return _Faults(pixels, beyond, zero, fine & ~zero)


def _of_points(split: Split, points: Keypoints, faults: _Faults) -> Found:
    yield from _pixels(split, points, faults.pixels)
    yield from _range(split, points, faults.beyond)
    yield from _visibility(split, points)
    yield from _zero(split, points, faults.zero)


def _pixels(split: Split, points: Keypoints, pixels: Bools) -> Found:
    for index in np.flatnonzero(pixels).tolist():
        row = int(points.rows[index])
        height, width = (int(v) for v in split.shapes[split.image[row]])
        first = int(np.flatnonzero(points.labelled[index])[0])
        message = f"the keypoints look like pixels of the {width} x {height} image: {numbers(points.xy[index, first])}."
        share = numbers((points.xy[index, first] / (width, height)).round(6))
        fix = f"divide x by the image's width and y by its height: {share}"
        yield row, split.of_row(row, "label-pixels", message, fix)


def _range(split: Split, points: Keypoints, beyond: Bools) -> Found:
    absent = "write 0 0 0 for a keypoint that is not labelled"
    if points.dims == 2:
        # The engine knows a negative coordinate as 'no keypoint', but skips images that have one below -0.01.
        absent = "for keypoints that are not labelled use kpt_shape: [K, 3], with x, y, visibility, and 0 0 0 for them"
    for index in np.flatnonzero(beyond.any(axis=1)).tolist():
        row, which = int(points.rows[index]), beyond[index]
        verb = "lies" if which.sum() == 1 else "lie"
        message = f"{points.text(index, which)} {verb} outside of the image: {points.places(index, which)}."
        yield row, split.of_row(row, "keypoint-range", message, f"write normalized coordinates, from 0 to 1; {absent}")


def _visibility(split: Split, points: Keypoints) -> Found:
    if points.dims == 2:
        return
    wrong = points.labelled & (points.flags != 1) & (points.flags != 2)
    shapes = [s for s in fitting_shapes(5 + wrong.shape[1] * 3) if s[1] == 2]
    fix = "write 0 for not labelled, 1 for hidden, 2 for visible"
    if shapes and len(wrong) and wrong.any(axis=1).all():
        fix += f"; if rows have no visibility, write kpt_shape: {shapes_text(shapes)}"
    for index in np.flatnonzero(wrong.any(axis=1)).tolist():
        row, which = int(points.rows[index]), wrong[index]
        found = numbers(points.flags[index, which][:SHOWN]).replace(" ", ", ")
        message = f"the visibility of {points.text(index, which)} is {found}, not 0, 1 or 2."
        yield row, split.of_row(row, "visibility", message, fix)


def _at_zero(points: Keypoints) -> Bools:
    """Return which keypoints are taken for visible at 0 0, although their box does not reach that corner."""
    left_top: Floats = points.box[:, 1:3] - points.box[:, 3:5] / 2
    away = (left_top > TOLERANCE).any(axis=1, keepdims=True)
    found: Bools = (points.xy[..., 0] == 0) & (points.xy[..., 1] == 0) & points.labelled & away
    return found


def _zero(split: Split, points: Keypoints, zero: Bools) -> Found:
    fix = "write visibility 0 for a keypoint that is not labelled"
    if points.dims == 2:
        fix = "use kpt_shape: [K, 3], with x, y, visibility, and visibility 0 for a keypoint that is not labelled"
    for index in np.flatnonzero(zero.any(axis=1)).tolist():
        row, which = int(points.rows[index]), zero[index]
        verbs = ("is", "counts") if which.sum() == 1 else ("are", "count")
        message = f"{points.text(index, which)} {verbs[0]} at 0 0 and {verbs[1]} as labelled there, in the corner."
        yield row, split.of_row(row, "keypoint-zero", message, fix, "warning")


# --- all rows together --------------------------------------------------------------------------------------------


def _statistics(data: Description, split: Split, points: Keypoints) -> Iterator[Finding]:
    """Yield warnings about the keypoints of all training rows."""

    def warn(code: str, message: str, fix: str) -> Finding:
        return Finding(code, message, fix, data.file, severity="warning", split=split.name)

    labelled, count = points.labelled, len(points.rows)
    blind = np.flatnonzero(~labelled.any(axis=1))
    if len(blind) == count:
        return  # which is a separate error
    if len(blind):
        row = int(points.rows[blind[0]])
        file = os.path.relpath(split.label_files[split.image[row]], Path(data.file).parent)
        message = f"in {len(blind)} of {count} training rows no keypoint is labelled, first in {file}"
        message += f", {line_text(split, row)}." if split.line[row] else "."
        yield warn("keypoints-invisible", message, "label them with visibility 1 or 2, or ignore this if intended")
    unseen = np.flatnonzero(~labelled.any(axis=0)).tolist()
    if unseen:
        names = next(iter(points.names.values()), []) if len({*map(tuple, points.names.values())}) == 1 else []
        message = f"no training row labels {points_text(unseen, names)}."
        fix = "write visibility 1 or 2 if it is seen, or remove it from kpt_shape and the labels"
        yield warn("keypoint-never-seen", message, fix)
    if count >= ALIKE and (points.xy == points.xy[0]).all():
        message = f"all {count} training rows have the same keypoints, the first at {numbers(points.xy[0, 0])}."
        yield warn("keypoints-identical", message, "check how the labels were written")

"""Keypoints in a dataset of which boxes alone are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.rows import description, fitting_shapes, keypoint_shape
from trainer_host.data import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import DataContext, Finding
    from trainer_host.data import Description

NAME = "detect"
FIX = "add --task pose to train the keypoints too, or ignore this"


def check_unused(ctx: DataContext) -> Iterator[Finding]:
    """Yield that keypoints are there and not used; tasks that build on this one look after their own."""
    if ctx.task != NAME:
        return
    data = description(ctx)
    if data.get("kpt_shape") is not None:
        yield _with_shape(data, evaluated=ctx.mode == "val")
    elif ctx.mode != "val":
        yield from _taken_for_polygons(data)


def _with_shape(data: Description, evaluated: bool) -> Finding:
    shape, rows = keypoint_shape(data), 0
    if shape is not None:
        rows = sum(int((split.row_lengths == 5 + shape[0] * shape[1]).sum()) for split in data.splits.values())
    there = f"kpt_shape is {data['kpt_shape']!r:.80}" + (f", and {rows} rows have keypoints" if rows else "")
    message = f"the dataset has keypoints ({there}), but the task is {NAME}: only boxes are"
    message += " evaluated." if evaluated else " trained."
    fix = "give a pose model to evaluate the keypoints too, or ignore this" if evaluated else FIX
    return data.of_key("kpt_shape", "keypoints-unused", message, fix, "warning")


def _taken_for_polygons(data: Description) -> Iterator[Finding]:
    """Yield that all rows look like boxes with keypoints: every third number behind the box is 0, 1 or 2."""
    splits = [data.splits[name] for name in SPLITS if name in data.splits]
    lengths = {int(n) for s in splits for n in np.unique(s.row_lengths[s.valid & ~s.crowd])}
    length = lengths.pop() if len(lengths) == 1 else 0
    shapes = [shape for shape in fitting_shapes(length) if shape[1] == 3]
    if not shapes or length % 2 == 0:  # an even count is not a polygon, which is reported
        return
    if all(np.isin(s.table(length)[1][:, 7::3], (0, 1, 2)).all() for s in splits):
        count = shapes[0][0]
        message = f"all rows have {length} numbers and look like boxes with {count} keypoints, but without kpt_shape"
        message += " they are read as polygons."
        fix = f"write kpt_shape: [{count}, 3] and add --task pose, or ignore this if they are polygons"
        yield data.of_key("kpt_shape", "keypoints-unused", message, fix, "warning")

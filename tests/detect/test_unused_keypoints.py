"""What the detect task says of keypoints that it does not train."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.splits import make_context
from trainer_detect.unused_keypoints import check_unused

BOX = [0, 0.5, 0.5, 0.2, 0.2]
POINTS = [*BOX, 0.5, 0.5, 2, 0.45, 0.5, 1]
POLYGON = [0, 0.1, 0.1, 0.4, 0.1, 0.4, 0.5, 0.3, 0.5, 0.2, 0.2]


def check(rows: list[list[float]], task: str = "detect", mode: str = "train", **keys: Any) -> list[str]:
    ctx = make_context({"names": {0: "cat"}, **keys}, {"train": [rows], "val": [rows]}, task)
    return [f"{f.severity} {f.code} {f.message} {f.fix}" for f in check_unused(replace(ctx, mode=mode))]


def test_keypoints_that_are_not_trained_are_reported() -> None:
    (found,) = check([POINTS], kpt_shape=[2, 3])
    assert found.startswith("warning keypoints-unused ")
    assert "kpt_shape is [2, 3], and 2 rows have keypoints" in found
    assert "--task pose" in found
    assert check([BOX], kpt_shape=[2, 3]) == [found.replace(", and 2 rows have keypoints", "")]


def test_rows_that_look_like_keypoints_without_a_shape_are_reported() -> None:
    (found,) = check([POINTS, POINTS])
    assert "11 numbers and look like boxes with 2 keypoints" in found
    assert "write kpt_shape: [2, 3] and add --task pose" in found


@pytest.mark.parametrize("rows", [[], [BOX], [POLYGON], [POINTS, POLYGON], [POINTS, BOX], [[*POINTS, 0.5]]])
def test_boxes_and_polygons_pass(rows: list[list[float]]) -> None:
    assert check(rows) == []


def test_other_tasks_are_not_told() -> None:
    assert check([POINTS], "pose", kpt_shape=[2, 3]) == []


def test_keypoints_that_are_not_evaluated_are_reported() -> None:
    (found,) = check([POINTS], mode="val", kpt_shape=[2, 3])
    assert found.endswith("only boxes are evaluated. give a pose model to evaluate the keypoints too, or ignore this")

"""Rows of the tasks that train on polygons: what is said of them, how they are read, and how they are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trainer_detect
from tests.support.sample_datasets import keep_first
from tests.support.splits import make_context, make_split, stock_refuses
from trainer_detect.annotations import annotate
from trainer_detect.checks import check_dataset
from trainer_detect.rows import read_boxes
from trainer_detect.sample import corner_row, draw_sample, outline_row
from trainer_host import Box, Finding, LabelContext, Line

NAMES = {"names": {0: "cat", 1: "dog"}, "nc": 2}
TRIANGLE = [0, 0.1, 0.1, 0.4, 0.1, 0.4, 0.5]
CORNERS = [1, 0.5, 0.2, 0.8, 0.5, 0.5, 0.8, 0.2, 0.5]
BOX = [0, 0.5, 0.5, 0.2, 0.2]


def check(*rows: list[float], task: str = "segment") -> list[Finding]:
    return list(check_dataset(make_context(NAMES, {"train": [[TRIANGLE, CORNERS], list(rows)]}, task)))


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_polygons_are_fine(task: str) -> None:
    assert check(TRIANGLE, CORNERS, task=task) == []


@pytest.mark.parametrize("task", ["segment", "obb"])
@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        (BOX, "label-columns", "the row is a box (class, x, y, width, height), but the task needs a polygon."),
        ([*BOX, 0.9], "label-columns", "the row has 6 numbers; a polygon has 7 or more"),
        ([*TRIANGLE, 0.5], "label-columns", "8 numbers"),
        ([0.5, *TRIANGLE[1:]], "class-type", "the class is 0.5"),
        ([2, *TRIANGLE[1:]], "class-range", "the class is 2"),
        ([0, 0.1, 0.1, 1.4, 0.1, 0.4, 0.5], "box-range", "normalized coordinates (0 to 1): around the polygon, x"),
    ],
)
def test_a_wrong_row_is_reported(row: list[float], code: str, words: str, task: str) -> None:
    (finding,) = check(TRIANGLE, row, task=task)
    assert (finding.code, finding.line) == (code, 2)
    assert words in finding.message


def test_what_the_engine_refuses_is_an_error(tmp_path: Path) -> None:
    for row in (TRIANGLE, CORNERS, [0, 0.1, 0.1, 2.4, 0.1, 0.4, 0.5], [*TRIANGLE, 0.5]):
        errors = [f for f in check(row) if f.severity == "error"]
        assert stock_refuses(tmp_path, [row], 2, None) is bool(errors)


def test_a_box_stands_for_the_polygon() -> None:
    boxes = read_boxes(make_split([[TRIANGLE]]), None, "polygons")
    assert np.allclose(boxes.values[0], [0, 0.25, 0.3, 0.3, 0.4])
    assert not len(read_boxes(make_split([[BOX]]), None, "polygons").rows)


def test_outlines_are_drawn_where_they_are_trained_on() -> None:
    data = make_context(NAMES, {"train": [[CORNERS]]}).data
    ctx = LabelContext(task="obb", engine_task="obb", args=None, data=data, split="train", image=0)
    box, *lines = annotate(ctx)
    assert isinstance(box, Box)
    assert [(s.x1, s.y1) for s in lines if isinstance(s, Line)] == [(0.5, 0.2), (0.8, 0.5), (0.5, 0.8), (0.2, 0.5)]
    assert np.isclose(annotate(replace(ctx, mirrored=True))[2].x1, 0.2)  # type: ignore[union-attr]
    assert len(annotate(replace(ctx, engine_task="detect"))) == 1


@pytest.mark.parametrize(("row", "points"), [(outline_row, 3), (corner_row, 4)])
def test_the_sample_of_shapes_has_rows_of_other_tasks(tmp_path: Path, row: object, points: int) -> None:
    data = draw_sample(tmp_path, row)  # type: ignore[arg-type]
    keep_first(tmp_path, 4)
    rows = [line.split() for file in data.parent.rglob("labels/*/*.txt") for line in file.read_text().splitlines()]
    assert rows
    assert all(len(r) >= 1 + 2 * points and (points == 3 or len(r) == 9) for r in rows)
    assert check(*([float(v) for v in r] for r in rows[:1])) == []


def test_what_other_tasks_may_import_is_there() -> None:
    assert all(getattr(trainer_detect, name).__name__ == name for name in trainer_detect.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = trainer_detect.nothing

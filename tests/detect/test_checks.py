"""What the detect task says of rows, classes and boxes."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from tests.support.command import python
from tests.support.splits import SHAPE, make_context, make_split, stock_refuses
from trainer_detect.checks import check_dataset
from trainer_detect.rows import fitting_shapes, read_boxes
from trainer_host import Finding
from trainer_host.data.description import Description

NAMES = {"names": {0: "cat", 1: "dog"}, "nc": 2}
CAT, DOG = [0, 0.5, 0.5, 0.2, 0.2], [1, 0.4, 0.6, 0.1, 0.3]
TRIANGLE = [0, 0.1, 0.1, 0.4, 0.1, 0.4, 0.5]


def check(*rows: list[float], task: str = "detect", keys: dict[str, Any] = NAMES, **args: Any) -> list[Finding]:
    """Return what is said of one image with these rows."""
    return list(check_dataset(make_context(keys, {"train": [[CAT, DOG], list(rows)]}, task, **args)))


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ([0, 0.5, 0.5, 0.2], "label-columns", "4 numbers"),
        ([0, 0.5, 0.5, 0.2, 0.2, 0.9], "label-columns", "confidence"),
        ([0, *[0.5] * 19], "label-columns", "kpt_shape: [5, 3]"),
        ([0.5, 0.5, 0.5, 0.2, 0.2], "class-type", "0.5"),
        ([2, 0.5, 0.5, 0.2, 0.2], "class-range", "0 to 1"),
        ([-1, 0.5, 0.5, 0.2, 0.2], "class-range", "-1"),
        ([1e300, 0.5, 0.5, 0.2, 0.2], "class-range", "1e+300"),
        ([0, 320, 240, 100, 60], "label-pixels", "0 0.5 0.5 0.15625 0.125"),
        ([0, 3200, 240, 100, 60], "box-range", "3200"),
        ([0, 0.5, 1.02, 0.2, 0.2], "box-range", "1.02"),
        ([0, -0.02, 0.5, 0.2, 0.2], "box-range", "-0.02"),
        ([0, 1e30, 1e300, 1e30, 1e30], "box-range", "1e+300"),
        ([0, 0.5, 0.5, -0.2, 0.2], "box-negative", "-0.2"),
        ([0, 0.5, 0.5, 0.2, -0.001], "box-negative", "-0.001"),
        ([0, 0.5, 0.5, 0.0, 0.2], "box-empty", "no area"),
        ([0, 0.95, 0.5, 0.2, 0.2], "box-outside", "5%"),
        ([0, 0.5, 0.05, 0.2, 0.2], "box-outside", "5%"),
    ],
)
def test_a_wrong_row_has_one_finding_at_its_line(row: list[float], code: str, words: str) -> None:
    (finding,) = check(CAT, row)
    assert (finding.code, finding.file, finding.line) == (code, "/data/labels/train/1.txt", 2)
    assert (finding.split, finding.image) == ("train", "/data/images/train/1.jpg")
    assert finding.severity == ("warning" if code == "box-outside" else "error")
    assert words in f"{finding.message} {finding.fix}"
    assert finding.message.endswith(".")
    assert finding.fix[0].islower()
    assert not finding.fix.endswith(".")


@pytest.mark.parametrize(
    "row",
    [
        [0, 1.009, 0.5, 0.0001, 1.0],
        [0, -0.005, 0.5, 0.0001, 1.0],
        [0, 0.5, 0.5, 1.0, 1.0],
        [0, 0.5, 0.5, 1.01, 1.01],
        [1, 0.999, 0.999, 0.002, 0.002],
        [0, 0.5, 0.5, 1e-7, 1e-7],
    ],
)
def test_what_the_engine_accepts_is_accepted(row: list[float]) -> None:
    assert check(row) == []


def test_polygons_are_judged_by_their_box() -> None:
    assert list(check_dataset(make_context({"names": ["cat"]}, {"train": [[TRIANGLE], [CAT]]}))) == []
    thin = [0, 0.1, 0.1, 0.4, 0.1, 0.3, 0.1]
    far = [0, 100, 100, 400, 100, 400, 300]
    assert [(f.code, f.line) for f in check(TRIANGLE, thin, far)] == [("box-empty", 2), ("label-pixels", 3)]
    split = make_split([[TRIANGLE], [CAT]])
    assert np.allclose(read_boxes(split, None, "boxes").values[0], [0, 0.25, 0.3, 0.3, 0.4])


def test_boxes_and_polygons_in_one_file_are_one_finding() -> None:
    (finding,) = check(CAT, DOG, TRIANGLE, TRIANGLE[:1] + [v / 2 for v in TRIANGLE[1:]])
    assert (finding.code, finding.line) == ("label-mixed", 3)
    assert "line 1 is a box" in finding.message
    assert "line 1 is a polygon" in check(TRIANGLE, CAT)[0].message


def test_keypoints_of_the_dataset_are_left_aside() -> None:
    keys = {**NAMES, "kpt_shape": [2, 3]}
    row = [*CAT, 0.5, 0.5, 2, 7, 7, 7]
    assert check(row, DOG, keys=keys) == []
    (finding,) = check(row, [*CAT, 0.1, 0.1, 2, 0.2, 0.2, 2], keys=keys)
    assert (finding.code, finding.line) == ("duplicate-row", 2)


def test_columns_are_left_to_a_task_that_has_its_own() -> None:
    assert check([0, 0.5], [*CAT, 0.5], task="other") == []
    keys = {**NAMES, "kpt_shape": [2, 3]}
    assert check(TRIANGLE, [0, 2, 2, 2, 2], task="pose", keys=keys) == []
    assert [f.code for f in check([0, 0.5, 0.5, 0, 0.1, *[0.5] * 6], task="pose", keys=keys)] == ["box-empty"]


def test_labels_counted_from_one_are_reported() -> None:
    splits = {"train": [[[1, *CAT[1:]]]], "val": [[[2, *CAT[1:]]]]}
    found = [f for f in check_dataset(make_context(NAMES, splits)) if f.code == "class-range"]
    assert [(f.split, f.line) for f in found] == [("val", 1)]
    assert "subtract 1" in found[0].fix


def test_one_class_for_all_knows_no_range() -> None:
    assert check([7, *CAT[1:]], keys={"names": {0: "item"}, "nc": 1}, single_cls=True) == []
    assert [f.code for f in check([-7, *CAT[1:]], single_cls=True)] == ["class-range"]


@pytest.mark.parametrize("names", [None, 3, {"cat": 0}, [], {}])
def test_without_names_classes_are_not_judged(names: Any) -> None:
    assert check([70, *CAT[1:]], keys={"names": names}) == []


def test_duplicates_are_found_within_an_image() -> None:
    found = check(DOG, CAT, DOG, [-0.0, *CAT[1:]], [*CAT[:4], 0.2 + 1e-12])
    assert [(f.code, f.line, f.severity) for f in found] == [("duplicate-row", n, "warning") for n in (3, 4, 5)]
    assert "line 1" in found[0].message
    assert "line 2" in found[2].message


def test_rows_that_are_not_numbers_or_mark_crowds_are_not_judged() -> None:
    assert check([0, float("nan"), 9, 9, 9], [float("nan")]) == []
    context = make_context(NAMES, {})
    split = make_split([[CAT, DOG, [9, 9, 9, 9, 9]]], crowd=[False, False, True])
    context = replace(context, data=replace(Description.of(context.data), splits={"train": split}))
    assert list(check_dataset(context)) == []


def test_a_class_without_an_object_is_named() -> None:
    context = make_context(NAMES, {"train": [[CAT]], "val": [[DOG]]}, lines={"names": 4, "names.1": 6})
    (finding,) = check_dataset(context)
    assert (finding.code, finding.severity, finding.line) == ("class-never-seen", "warning", 6)
    assert "1 (dog)" in finding.message
    assert list(check_dataset(make_context(NAMES, {"train": [[]], "val": [[DOG]]}))) == []


def test_rare_classes_are_named() -> None:
    def rows(count: int) -> list[list[list[float]]]:
        return [[DOG], *([0, 0.5, 0.5, 0.1, 0.1 + n / 1000] for n in range(count))]

    one_image_each = [[r] if isinstance(r[0], (int, float)) else r for r in rows(101)]
    (finding,) = check_dataset(make_context(NAMES, {"train": one_image_each}))
    assert (finding.code, finding.severity) == ("class-imbalance", "warning")
    assert "1 of class 1 (dog) and 101 of class 0 (cat)" in finding.message
    assert list(check_dataset(make_context(NAMES, {"train": one_image_each[:-1]}))) == []


def test_findings_come_in_the_order_of_images_and_lines() -> None:
    bad, other = [5, 0.5, 0.5, 0, 0.2], [0, 0.5]
    context = make_context(NAMES, {"train": [[CAT, bad, other, DOG, CAT], [other, bad]], "val": [[bad]]})
    found = [(f.split, f.image, f.line) for f in check_dataset(context)]
    assert found == sorted(found, key=lambda f: (f[0] != "train", f[1], f[2]))
    assert len(found) == 9


def test_plain_keys_without_splits_are_accepted() -> None:
    context = make_context(NAMES, {})
    object.__setattr__(context, "data", {"names": {0: "a"}})
    assert list(check_dataset(context)) == []


def test_shapes_that_fit_a_number_of_columns() -> None:
    assert fitting_shapes(17) == [(4, 3), (6, 2)]
    assert fitting_shapes(5) == fitting_shapes(6) == []


def test_checks_need_neither_torch_nor_the_engine() -> None:
    code = "import sys, trainer_detect.checks; sys.exit(bool({'torch', 'ultralytics'} & set(sys.modules)))"
    python(code)


# --- the same rules, one row at a time --------------------------------------------------------------------------------


def judge(row: list[float], seen: set[tuple[float, ...]]) -> set[str]:
    """Return the codes of one row of numbers, in plain Python."""
    codes = set()
    if len(row) < 5 or len(row) == 6 or (len(row) > 5 and len(row) % 2 == 0):
        return {"label-columns"}
    if row[0] != int(row[0]):
        codes.add("class-type")
    elif not 0 <= row[0] < 2:
        codes.add("class-range")
    x, y, w, h = row[1:]
    height, width = SHAPE
    if sum(v > 1.01 for v in row[1:]) > 2 and min(row[1:]) >= 0 and max(x, w) <= width + 1 and max(y, h) <= height + 1:
        codes.add("label-pixels")
    elif w < 0 or h < 0:
        codes.add("box-negative")
    elif max(row[1:]) > 1.01 or min(row[1:]) < -0.01:
        codes.add("box-range")
    elif w == 0 or h == 0:
        codes.add("box-empty")
    elif max(w / 2 - x, h / 2 - y, x + w / 2 - 1, y + h / 2 - 1) > 0.01:
        codes.add("box-outside")
    key = tuple(np.float32(row).tolist())
    if key in seen:
        codes.add("duplicate-row")
    seen.add(key)
    return codes


def counts(value: float) -> bool:
    """Leave out numbers so small that they are zero in the engine's precision; their sign would decide otherwise."""
    return value == 0 or np.float32(value) != 0


coordinate = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.005, 1.02, -0.005, -0.5, 320.0, 5000.0]) | st.floats(-1, 2).filter(
    counts
)
box = st.tuples(st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5]), *[coordinate] * 4).map(list)
images = st.lists(st.lists(box | st.sampled_from([[0.0], CAT, DOG, [*CAT, 1.0]]), max_size=6), min_size=1, max_size=6)


@settings(deadline=None, max_examples=200)
@given(images)
def test_columns_and_rows_agree(rows: list[list[list[float]]]) -> None:
    found = [
        (f.image, f.line, f.code)
        for f in check_dataset(make_context(NAMES, {"val": rows}))  # no statistics: those are of train
    ]
    wanted = []
    for index, image in enumerate(rows):
        seen: set[tuple[float, ...]] = set()
        for line, row in enumerate(image, 1):
            wanted += [(f"/data/images/val/{index}.jpg", line, code) for code in judge(row, seen)]
    assert sorted(found, key=str) == sorted(wanted, key=str)


TRAINED_ON = {"box-empty"} | ({"box-negative"} if Version(version("ultralytics")) < Version("8.4.185") else set())
"""Errors of the host that the engine trains on; an earlier one also on sizes a little below zero."""


@settings(deadline=None, max_examples=150)
@given(st.lists(box | st.sampled_from([CAT, DOG, TRIANGLE, [*CAT, 1.0], CAT[:4]]), min_size=1, max_size=4))
def test_nothing_that_the_engine_leaves_out_passes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    errors = {f.code for f in check_dataset(make_context(NAMES, {"val": [rows]})) if f.severity == "error"}
    if stock_refuses(folder, rows, 2, None):
        assert errors
    else:
        assert errors <= TRAINED_ON

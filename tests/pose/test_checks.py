"""What the pose task says of the keys of keypoints, and of the rows that hold them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.command import python
from tests.support.splits import SHAPE, make_context, make_split, stock_refuses
from trainer_detect import checks as detect_checks
from trainer_host import Finding
from trainer_host.data.description import Description
from trainer_pose.checks import check_dataset
from trainer_pose.suggestions import LEARNING_SIGMA, LEAST_SIGMA, yaml_patch

KEYS: dict[str, Any] = {
    "names": {0: "mouse"},
    "nc": 1,
    "kpt_shape": [3, 3],
    "flip_idx": [0, 2, 1],
    "kpt_names": {0: ["nose", "left_ear", "right_ear"]},
    "kpt_oks_sigmas": [0.05, 0.05, 0.05],
    "skeleton": [[0, 1], [0, 2]],
}
LINES = {key: number for number, key in enumerate(KEYS, 1)}
BOX = [0, 0.5, 0.5, 0.2, 0.2]
GOOD = [*BOX, 0.5, 0.5, 2, 0.45, 0.5, 1, 0.55, 0.55, 2]
OTHER = [*BOX, 0.4, 0.5, 2, 0.45, 0.6, 2, 0, 0, 0]


def check(*rows: list[float], split: str = "train", args: dict[str, Any] | None = None, **keys: Any) -> list[Finding]:
    """Return what is said of two images, of which the second has these rows; a key given as None is left out."""
    merged = {key: value for key, value in {**KEYS, **keys}.items() if value is not None}
    splits = {split: [[GOOD, OTHER], list(rows)]}
    lines = {key: line for key, line in LINES.items() if key in merged}
    return list(check_dataset(make_context(merged, splits, "pose", lines, **(args or {}))))


def with_points(*points: float) -> list[float]:
    return [*BOX, *points]


def test_a_sound_dataset_passes() -> None:
    assert check(GOOD, with_points(0, 0, 0, 0, 0, 0, 0.5, 0.5, 1)) == []


# --- keys -------------------------------------------------------------------------------------------------------------

KEY_CASES: list[tuple[str, Any, str, str]] = [
    ("kpt_shape", "3, 3", "kpt-shape", "[3, 3]"),
    ("kpt_shape", [3], "kpt-shape", "[3]"),
    ("kpt_shape", [3, 4], "kpt-shape", "[3, 4]"),
    ("kpt_shape", [0, 3], "kpt-shape", "[0, 3]"),
    ("kpt_shape", [-3, 3], "kpt-shape", "[-3, 3]"),
    ("kpt_shape", [3.0, 3], "kpt-shape", "[3.0, 3]"),
    ("kpt_shape", [True, 3], "kpt-shape", "[True, 3]"),
    ("flip_idx", "0, 2, 1", "flip-idx-type", "0, 2, 1"),
    ("flip_idx", [0, 2, True], "flip-idx-type", "True"),
    ("flip_idx", [0.0, 2.0, 1.0], "flip-idx-type", "0.0"),
    ("flip_idx", [0, 1], "flip-idx-length", "2 entries for 3"),
    ("flip_idx", [1, 3, 2], "flip-idx-range", "0 to 2"),
    ("flip_idx", [0, 2, -1], "flip-idx-range", "-1"),
    ("flip_idx", [0, 2, 2], "flip-idx-permutation", "2 more than once"),
    ("flip_idx", [1, 2, 0], "flip-idx-involution", "0 to 1 and 1 to 2"),
    ("flip_idx", [0, 1, 2], "flip-idx-names", "left_ear and right_ear"),
    ("flip_idx", [], "flip-idx-missing", "fliplr=0.5"),
    ("kpt_names", "nose", "kpt-names", "'nose'"),
    ("kpt_names", {0: ["nose", "ear"]}, "kpt-names", "2 names for 3"),
    ("kpt_names", {0: "nose"}, "kpt-names", "'nose'"),
    ("kpt_names", {0: ["nose", "ear", False]}, "kpt-names", "False"),
    ("kpt_names", {0: ["nose", "ear", "ear"]}, "kpt-names", "ear more than once"),
    ("kpt_names", {0: ["a", "b", "c"], 1: ["a", "b", "c"]}, "kpt-names", "class 1"),
    ("kpt_names", ["nose", "left_ear"], "kpt-names", "2 names for 3"),
    ("kpt_names", ["nose", "left_ear", "right_ear"], "kpt-names", "for each class"),
    ("kpt_oks_sigmas", 0.05, "sigmas", "0.05"),
    ("kpt_oks_sigmas", [0.05, 0.05], "sigmas", "2 numbers for 3"),
    ("kpt_oks_sigmas", [0.05, 0, 0.05], "sigmas", "0, which"),
    ("kpt_oks_sigmas", [0.05, float("inf"), 0.05], "sigmas", "inf"),
    ("kpt_oks_sigmas", [0.05, "0.1", 0.05], "sigmas", "'0.1'"),
    ("skeleton", [[0, 1], [1, 3]], "skeleton", "0 to 2"),
    ("skeleton", [[1, 2], [1, 3]], "skeleton", "[[0, 1], [0, 2]]"),
    ("skeleton", [0, 1], "skeleton", "[0, 1]"),
    ("skeleton", [[0, 1, 2]], "skeleton", "pairs"),
]


@pytest.mark.parametrize(("key", "value", "code", "words"), KEY_CASES)
def test_a_wrong_key_has_one_finding_at_its_line(key: str, value: Any, code: str, words: str) -> None:
    (finding,) = check(**{key: value})
    assert (finding.code, finding.file, finding.line) == (code, "/data/data.yaml", LINES[key])
    assert words in f"{finding.message} {finding.fix}"
    assert finding.message.endswith(".")
    assert finding.fix[0].islower()
    assert finding.image is None


def test_a_missing_shape_is_inferred_from_the_rows() -> None:
    (finding,) = check(kpt_shape=None)
    assert (finding.code, finding.line, finding.severity) == ("missing-key", None, "error")
    assert "kpt_shape: [3, 3]" in finding.fix
    assert "[K, 3]" in check([0, 0.5], kpt_shape=None)[0].fix


def test_names_of_a_class_are_missed_but_not_where_all_are_one() -> None:
    names = {0: "mouse", 1: "rat"}
    (finding,) = check(names=names)
    assert (finding.code, "class 1 (rat)" in finding.message) == ("kpt-names", True)
    assert check(names=names, args={"single_cls": True}) == []
    assert check(kpt_names={"0": ["nose", "left_ear", "right_ear"]}) == []


@pytest.mark.parametrize(
    ("args", "codes"),
    [
        ({}, ["flip-idx-missing"]),
        ({"fliplr": 0.0, "flipud": 0.1}, ["flip-idx-missing"]),
        ({"fliplr": 0.0}, []),
    ],
)
def test_flip_idx_is_missed_where_images_are_flipped(args: dict[str, Any], codes: list[str]) -> None:
    assert check(args=args) == []
    assert [(f.code, f.line) for f in check(flip_idx=None, args=args)] == [(code, None) for code in codes]
    assert [(f.code, f.line) for f in check(flip_idx=[], args=args)] == [(code, LINES["flip_idx"]) for code in codes]


def test_flip_idx_is_suggested_from_the_names() -> None:
    assert all("[0, 2, 1]" in check(flip_idx=value)[0].fix for value in ([], [0, 1, 2], [0, 1], "x", [0, 0, 0]))
    names = {0: ["a", "b", "c"]}
    assert "count keypoints from 0: flip_idx: [0, 2, 1]" in check(flip_idx=[1, 3, 2], kpt_names=names)[0].fix
    assert check(flip_idx=[0, 1, 2], kpt_names=names) == []


@pytest.mark.parametrize("value", [None, "left out"])
def test_sigmas_that_the_engine_chooses_are_reported(value: Any) -> None:
    keys = {k: v for k, v in KEYS.items() if k != "kpt_oks_sigmas"}
    if value is None:
        keys["kpt_oks_sigmas"] = None
    (finding,) = check_dataset(make_context(keys, {}, "pose", LINES))
    assert (finding.code, finding.severity) == ("sigmas-default", "warning")
    assert "1/3 = 0.3333" in finding.message
    person = {"names": {0: "person"}, "kpt_shape": [17, 3], "flip_idx": list(range(17))}
    assert list(check_dataset(make_context(person, {}, "pose"))) == []
    flat = {**person, "kpt_shape": [17, 2]}
    assert [f.code for f in check_dataset(make_context(flat, {}, "pose"))] == ["sigmas-default"]


@pytest.mark.parametrize("keypoints", [50, 51, 294])
def test_sigmas_with_which_nothing_learns_are_reported(keypoints: int) -> None:
    keys = {"names": {0: "face"}, "kpt_shape": [keypoints, 3], "flip_idx": list(range(keypoints))}
    (finding,) = check_dataset(make_context(keys, {}, "pose"))
    if keypoints == 50:
        assert finding.code == "sigmas-default"
        return
    assert (finding.code, finding.severity) == ("sigmas-small", "warning")
    assert f"1/{keypoints} = {1 / keypoints:.4g}" in finding.message
    assert f"write kpt_oks_sigmas: {keypoints} numbers of 0.02 or more, such as 0.05" in finding.fix
    patch = yaml_patch(make_context(keys, {}, "pose").data)
    assert patch["kpt_oks_sigmas"] == [0.05] * keypoints
    assert list(check_dataset(make_context({**keys, **patch}, {}, "pose"))) == []


def test_a_small_sigma_that_is_given_is_reported() -> None:
    (finding,) = check(kpt_oks_sigmas=[0.05, 0.01, 0.004])
    assert (finding.code, finding.severity, finding.line) == ("sigmas-small", "warning", LINES["kpt_oks_sigmas"])
    assert "kpt_oks_sigmas of keypoint 2 is 0.004 (and that of 1 more is small)" in finding.message
    assert check(kpt_oks_sigmas=[0.02, 0.05, 0.1]) == []


def test_the_gradient_is_as_the_limits_say() -> None:
    import torch
    from ultralytics.utils.loss import KeypointLoss

    def gradient(sigma: float, off: float) -> float:
        found = torch.tensor([[[off, 0.0]]], requires_grad=True)
        loss = KeypointLoss(torch.tensor([sigma]))(found, torch.zeros(1, 1, 2), torch.ones(1, 1), torch.ones(1, 1))
        loss.backward()
        assert found.grad is not None
        return float(found.grad.abs().max())

    assert gradient(0.026, 0.2) > 0.04, "the smallest sigma of COCO"
    assert 1e-4 < gradient(LEAST_SIGMA, 0.2) < 1e-3
    assert gradient(1 / 294, 0.1) == 0.0
    assert min(gradient(LEARNING_SIGMA, off) for off in (0.02, 0.05, 0.1, 0.2)) > 1


def test_absurd_keys_are_answered_soon() -> None:
    assert {f.code for f in check(kpt_shape=[10**12, 3])} >= {"flip-idx-length", "label-columns"}
    assert [f.code for f in check(kpt_names={"²": ["a", "b", "c"], 0: ["a", "b", "c"]})] == ["kpt-names"]


# --- rows -------------------------------------------------------------------------------------------------------------

ROW_CASES: list[tuple[list[float], str, str]] = [
    (BOX, "label-columns", "5 numbers"),
    (GOOD[:-1], "label-columns", "13 numbers"),
    ([*GOOD, 0.5, 0.5, 2], "label-columns", "[4, 3] or [6, 2]"),
    (
        with_points(0.5, 0.5, 2, 1.02, 0.5, 2, 0.5, 0.5, 2),
        "keypoint-range",
        "1 (left_ear) lies outside of the image: 1.02 0.5",
    ),
    (with_points(0.5, 0.5, 2, -1, -1, 0, 0.5, 0.5, 2), "keypoint-range", "write 0 0 0"),
    (with_points(0.5, 0.5, 3, 0.5, 0.5, 2, 0.5, 0.5, 0.5), "visibility", "3, 0.5"),
    (with_points(0.5, 0.5, 2, 0.5, 0.5, -1, 0.5, 0.5, 2), "visibility", "-1"),
    (with_points(0.5, 0.5, 2, 0, 0, 2, 0.5, 0.5, 2), "keypoint-zero", "visibility 0"),
    (with_points(0.5, 0.5, 2, 0.9, 0.9, 1, 0.5, 0.5, 2), "keypoint-far", "1 (left_ear)"),
    (with_points(320, 240, 2, 300, 200, 1, 0, 0, 0), "label-pixels", "0.5 0.5"),
    (with_points(7, 7, 2, 3200, 200, 1, 0, 0, 0), "keypoint-range", "keypoints 0 (nose), 1 (left_ear)"),
    (with_points(1e300, 7, 2, 1, 1, 1, 0, 0, 0), "keypoint-range", "1e+300"),
]


@pytest.mark.parametrize(("row", "code", "words"), ROW_CASES)
def test_a_wrong_row_has_one_finding_at_its_line(row: list[float], code: str, words: str) -> None:
    (finding,) = check(OTHER, row)
    assert (finding.code, finding.file, finding.line) == (code, "/data/labels/train/1.txt", 2)
    assert (finding.split, finding.image) == ("train", "/data/images/train/1.jpg")
    assert finding.severity == ("warning" if code in {"keypoint-zero", "keypoint-far"} else "error")
    assert words in f"{finding.message} {finding.fix}"
    assert finding.message.endswith(".")


@pytest.mark.parametrize(
    "row",
    [
        with_points(0.5, 0.5, 2, 0, 0, 0, 1.009, -0.009, 0),
        with_points(0.69, 0.5, 2, 0.31, 0.5, 2, 0.5, 0.31, 2),
        [0, 0.1, 0.1, 0.2, 0.2, *[0, 0, 2], *[0.1, 0.1, 2], *[0.1, 0.1, 2]],
        [0, 0.5, 0.5, 0.2, 0.001, *[0.5, 0.55, 2], *[0.5, 0.5, 2], *[0.5, 0.5, 2]],
    ],
)
def test_unusual_rows_pass(row: list[float]) -> None:
    assert check(OTHER, row) == []


@pytest.mark.parametrize(
    "row", [[0, 320, 240, 100, 100, 320, 240, 2, 320, 250, 2, 0, 0, 0], [0, 0.5, 0.5, 0, 0.1, *GOOD[5:-3], 0.9, 0.9, 2]]
)
def test_what_detect_says_of_a_box_is_not_said_again(row: list[float]) -> None:
    assert check(OTHER, row) == []


def test_a_wrong_shape_is_reported_where_no_row_fits() -> None:
    found = check(kpt_shape=[4, 3], flip_idx=[0, 2, 1, 3], kpt_names=None, kpt_oks_sigmas=[0.1] * 4)
    assert [(f.code, f.line) for f in found] == [("label-columns", 1), ("label-columns", 2)]
    assert "write kpt_shape: [3, 3] in the YAML" in found[0].fix
    assert "in the YAML" not in check([*GOOD, 1, 1, 1])[0].fix


def flat_rows(*points: float) -> list[Finding]:
    keys = {**KEYS, "kpt_shape": [3, 2]}
    good = with_points(0.5, 0.5, 0.45, 0.5, 0.55, 0.55)
    rows = [[good], [with_points(0.5, 0.5, 0.5, 0.51, 0.4, 0.4), with_points(*points)]]
    return list(check_dataset(make_context(keys, {"train": rows}, "pose", LINES)))


def test_without_visibility_a_missing_point_cannot_be_written() -> None:
    (zero,) = flat_rows(0, 0, 0.5, 0.5, 0.5, 0.5)
    assert (zero.code, zero.line, zero.severity) == ("keypoint-zero", 2, "warning")
    (negative,) = flat_rows(-1, -1, 0.5, 0.5, 0.5, 0.5)
    assert (negative.code, negative.line, negative.severity) == ("keypoint-range", 2, "error")
    assert "[K, 3]" in zero.fix
    assert "[K, 3]" in negative.fix
    assert flat_rows(-0.005, 0.5, 0.5, 0.5, 0.5, 0.5) == []


def test_rows_without_visibility_are_recognized_by_the_numbers() -> None:
    row = with_points(0.5, 0.41, 0.5, 0.52, 0.5, 0.43)
    keys = {**KEYS, "kpt_shape": [2, 3], "flip_idx": [0, 1], "kpt_oks_sigmas": [1, 1]}
    keys = {k: v for k, v in keys.items() if k not in {"kpt_names", "skeleton"}}
    found = list(check_dataset(make_context(keys, {"val": [[row], [row[:5] + row[:4:-1]]]}, "pose")))
    assert [f.code for f in found] == ["visibility"] * 2
    assert "kpt_shape: [3, 2]" in found[0].fix


def test_crowds_and_what_is_no_number_are_not_judged() -> None:
    context = make_context(KEYS, {}, "pose")
    nan = with_points(float("nan"), 7, 7, 7, 7, 7, 7, 7, 7)
    crowd = with_points(0, 0, 0, 0, 0, 0, 0, 0, 0)
    split = make_split([[GOOD, nan, crowd, BOX]], crowd=[False, False, True, True])
    context = replace(context, data=replace(Description.of(context.data), splits={"train": split}))
    assert list(check_dataset(context)) == []


# --- statistics -------------------------------------------------------------------------------------------------------


def statistics(rows: list[list[float]], split: str = "train") -> list[tuple[str, str, str | None, int | None, str]]:
    found = check_dataset(make_context(KEYS, {split: [rows]}, "pose", LINES))
    return [(f.code, f.severity, f.file, f.line, f.message) for f in found]


def test_rows_without_a_labelled_keypoint_are_counted() -> None:
    blind = with_points(*[0] * 9)
    ((code, severity, file, line, message),) = statistics([GOOD, blind, OTHER, blind])
    assert (code, severity, file, line) == ("keypoints-invisible", "warning", "/data/data.yaml", None)
    assert "2 of 4" in message
    assert "first in labels/train/0.txt, line 2." in message
    assert statistics([GOOD, blind], "val") == []


ZERO = with_points(*[0, 0, 2] * 3)


@pytest.mark.parametrize("row", [with_points(*[0] * 9), with_points(0.5, 0.5, 0, 0.4, 0.5, 0, 0, 0, 0), ZERO])
def test_a_split_without_a_labelled_keypoint_is_an_error_where_it_is_trained_on(row: list[float]) -> None:
    for split, severity, line in (("train", "error", None), ("val", "warning", None), ("test", "warning", None)):
        found = [s for s in statistics([row, row], split) if s[0] == "keypoints-none"]
        assert [s[1:4] for s in found] == [(severity, "/data/data.yaml", line)]
        assert f"2 {split} rows" in found[0][4]
    assert ("at 0 0" in found[0][4]) == (row is ZERO)
    assert "keypoints-none" not in {s[0] for s in statistics([row, GOOD])}


def test_a_split_without_a_row_is_not_said_to_lack_keypoints() -> None:
    assert list(check_dataset(make_context(KEYS, {"train": [[GOOD]], "val": [[]]}, "pose"))) == []


def test_a_keypoint_that_is_never_seen_is_named() -> None:
    ((code, _, file, _, message),) = statistics([OTHER, with_points(0.4, 0.4, 1, *[0] * 6)])
    assert (code, file) == ("keypoint-never-seen", "/data/data.yaml")
    assert "2 (right_ear)" in message


def test_keypoints_that_are_the_same_everywhere_are_reported() -> None:
    assert [s[0] for s in statistics([GOOD, GOOD, GOOD])] == ["keypoints-identical"]
    assert statistics([GOOD, GOOD]) == []
    assert statistics([GOOD, GOOD, [*GOOD[:5], 0.51, *GOOD[6:]]]) == []


def test_checks_need_neither_torch_nor_the_engine() -> None:
    code = "import sys, trainer_pose.checks; sys.exit(bool({'torch', 'ultralytics'} & set(sys.modules)))"
    python(code)


# --- the same rules, one row at a time --------------------------------------------------------------------------------


def judge(row: list[float]) -> set[str]:
    """Return the codes of one row with a sound box, in plain Python."""
    if len(row) != 14:
        return {"label-columns"}
    x, y, w, h = row[1:5]
    height, width = SHAPE
    points = [row[i : i + 3] for i in (5, 8, 11)]
    codes = {"visibility"} if any(p[2] not in (0, 1, 2) for p in points) else set()
    used = [p for p in points if p[2] != 0 and (p[0] != 0 or p[1] != 0)]
    large = sum(c > 1.01 for p in used for c in p[:2])
    if large > len(used) and all(0 <= p[0] <= width + 1 and 0 <= p[1] <= height + 1 for p in used):
        return codes | {"label-pixels"}
    if any(c > 1.01 or c < -0.01 for p in points for c in p[:2]):
        return codes | {"keypoint-range"}
    for px, py, v in points:
        if v == 0:
            continue
        if px == py == 0 and (x - w / 2 > 0.01 or y - h / 2 > 0.01):
            codes.add("keypoint-zero")
    return codes


coordinate = st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.005, 1.02, -0.005, -0.5, 320.0, 5000.0]) | st.floats(0, 1)
point = st.tuples(coordinate, coordinate, st.sampled_from([0.0, 1.0, 2.0, 3.0, 0.5]))
boxes = st.sampled_from([[0, 0.5, 0.5, 0.2, 0.2], [0, 0.1, 0.1, 0.2, 0.2], [0, 0.5, 0.7, 0.05, 0.3]])
row = st.tuples(boxes, point, point, point).map(lambda parts: [float(v) for part in parts for v in part])
images = st.lists(st.lists(row | st.sampled_from([GOOD, OTHER, BOX]), max_size=5), min_size=1, max_size=5)


@settings(deadline=None, max_examples=200)
@given(images)
def test_columns_and_rows_agree(rows: list[list[list[float]]]) -> None:
    of_all = {"keypoint-far", "keypoints-none"}  # which depend on the other rows
    checked = check_dataset(make_context(KEYS, {"val": rows}, "pose"))
    found = [(f.image, f.line, f.code) for f in checked if f.code not in of_all]
    wanted = [
        (f"/data/images/val/{index}.jpg", line, code)
        for index, image in enumerate(rows)
        for line, numbers in enumerate(image, 1)
        for code in judge(numbers)
    ]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    order = [(f[0], f[1]) for f in found]
    assert order == sorted(order, key=str)


@settings(deadline=None, max_examples=150)
@given(st.lists(row | st.sampled_from([GOOD, OTHER, BOX, [*BOX[:4], 7.0, *GOOD[5:]]]), min_size=1, max_size=4))
def test_nothing_that_the_engine_leaves_out_passes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    context = make_context(KEYS, {"val": [rows]}, "pose")
    found = [*detect_checks.check_dataset(context), *check_dataset(context)]
    errors = {f.code for f in found if f.severity == "error"}
    if stock_refuses(folder, rows, 1, (3, 3)):
        assert errors
    else:
        assert errors <= {"box-range", "visibility"}  # which the engine trains on


# --- classes with keypoints of their own ------------------------------------------------------------------------------


SHORT, LONG = [1, *OTHER[1:-3]], [1, *OTHER[1:], 0.5, 0.5, 2]
TWO = {"names": {0: "mouse", 1: "rat"}, "kpt_names": None}


def test_a_class_with_fewer_keypoints_is_reported_how_to_pad_its_rows() -> None:
    (short,) = check(SHORT, **TWO)
    assert "All rows of class 1 have 2 keypoints." in short.message
    assert "add 3 zeros at the end" in short.fix
    (long,) = check(LONG, **TWO)
    assert "kpt_shape: [4, 3]" in long.fix
    assert "0 0 0 at the end of each row with fewer than 4" in long.fix
    mixed = check(SHORT, [1, *OTHER[1:]], **TWO)
    assert ["All rows" in f.message for f in mixed] == [False]


def test_what_is_said_of_a_padded_dataset_is_nothing() -> None:
    assert check([*SHORT, 0, 0, 0], **TWO) == []


@pytest.mark.parametrize("value", [{0: [3, 3], 1: [5, 3]}, [[3, 3], [5, 3]]])
def test_a_shape_for_each_class_is_answered_with_one_for_all(value: Any) -> None:
    (finding,) = check(kpt_shape=value)
    assert finding.code == "kpt-shape"
    assert "kpt_shape: [5, 3]" in finding.fix


def test_names_of_a_class_with_fewer_keypoints_can_be_padded() -> None:
    assert "unused_1" in check(kpt_names={0: ["nose", "ear"]})[0].fix
    assert "unused_1" not in check(kpt_names={0: ["a", "b", "c", "d"]})[0].fix

"""Keypoints far outside of their box: recognized by how the other rows of the dataset have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.splits import make_context
from trainer_host import Finding
from trainer_pose.checks import check_dataset

KEYS: dict[str, Any] = {
    "names": {0: "mouse", 1: "rat"},
    "kpt_shape": [2, 3],
    "flip_idx": [0, 1],
    "kpt_names": {0: ["nose", "tail"], 1: ["nose", "tail"]},
    "kpt_oks_sigmas": [0.05, 0.05],
}
Row = list[float]


def at(away: float, number: int = 0, name: int = 0) -> Row:
    """Return an object whose tail is so many box sizes (128 pixels) to the right of the box."""
    return [name, 0.4, 0.4, 0.2, 0.1, 0.4 + number / 1000, 0.4, 2, 0.5 + away * 0.2, 0.4, 2]


def far(*splits: Sequence[Row]) -> list[Finding]:
    """Return what is said of far keypoints; each row is on an image of its own."""
    made = dict(zip(("train", "val"), ([[row] for row in rows] for rows in splits), strict=False))
    return [f for f in check_dataset(make_context(KEYS, made, "pose")) if f.code == "keypoint-far"]


def rows(count: int, away: float = 0, name: int = 0) -> list[Row]:
    return [at(away, number, name) for number in range(count)]


def test_a_few_rows_that_differ_are_reported_the_furthest_first() -> None:
    found = far([*rows(20), at(0.3), at(2)], [*rows(10), at(1.5)])
    assert [(f.file, f.line) for f in found] == [
        ("/data/labels/train/21.txt", 1),
        ("/data/labels/val/10.txt", 1),
        ("/data/labels/train/20.txt", 1),
    ]
    assert found[0].message.startswith("keypoint 1 (tail) lies far outside of the box, 2 times its longer side")
    assert {f.severity for f in found} == {"warning"}


@pytest.mark.parametrize("away", [0, 0.2, 0.4, 1.5])
def test_where_every_row_has_it_there_it_belongs_there(away: float) -> None:
    assert far(rows(20, away)) == []
    assert far(rows(2, away)) == []
    assert len(far([*rows(20, away), at(2 * away + 0.5)])) == (away < 1.5)  # else beyond the image


@pytest.mark.parametrize(("count", "away", "found"), [(8, 0.5, 0), (8, 1.1, 1), (9, 0.5, 1), (1, 1.1, 1)])
def test_few_rows_say_less(count: int, away: float, found: int) -> None:
    assert len(far([*rows(count), at(away)])) == found


def test_many_rows_are_reported_only_where_they_are_far_in_any_dataset() -> None:
    assert far([*rows(20), *rows(5, 0.5)]) == []
    assert len(far([*rows(20), *rows(5, 1.5)])) == 5


def test_classes_differ_in_what_their_boxes_are_drawn_around() -> None:
    assert far([*rows(20), *rows(3, 1.5, name=1)]) == []
    assert len(far([*rows(20), at(0.5), *rows(12, 0.5, name=1)])) == 1


def test_keypoints_that_are_not_labelled_are_not_judged() -> None:
    hidden = [*at(2)[:-1], 0]
    assert far([*rows(20), hidden]) == []


FOUR = {**KEYS, "kpt_shape": [4, 3], "flip_idx": [0, 1, 2, 3], "kpt_names": {}, "kpt_oks_sigmas": [0.05] * 4}


def tight(*points: tuple[float, float]) -> Row:
    """Return an object whose box is made from its keypoints; one at 0 0 is not labelled."""
    (left, top), (right, bottom) = ([edge(p[axis] for p in points if any(p)) for axis in (0, 1)] for edge in (min, max))
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return [0, *box, *(v for x, y in points for v in (x, y, 2 * bool(x or y)))]


def body(number: int, size: float = 0.1, tail: float = 0.1) -> Row:
    x, y = 0.1 + number / 200, 0.2
    return tight((x, y), (x + size, y), (x, y + size), (x + size + tail, y + size / 2))


def lost(*rows: Row) -> list[int]:
    """Return the images that have keypoints far from the others."""
    found = list(check_dataset(make_context(FOUR, {"train": [[row] for row in rows]}, "pose")))
    assert all("from the other keypoints" in f.message for f in found if f.code == "keypoint-far")
    return sorted(int(str(f.image).rpartition("/")[2][:-4]) for f in found if f.code == "keypoint-far")


def test_a_slip_shows_where_boxes_are_made_from_the_keypoints() -> None:
    usual = [body(n) for n in range(20)]
    assert lost(*usual) == []
    assert lost(*usual, body(3, tail=0.7)) == [20]
    assert lost(*usual[:8], body(3, tail=0.7)) == []  # which is too few to say


def test_objects_of_other_sizes_are_no_slips() -> None:
    usual = [body(n) for n in range(20)]
    assert lost(*usual, body(0, size=0.4, tail=0.4)) == []
    head = [(0.1, 0.1), (0.11, 0.1), (0.1, 0.11), (0.25, 0.1)]
    assert lost(*usual, tight(*head)) == []
    assert lost(*usual, tight((0.1, 0.1), (0, 0), (0, 0), (0.9, 0.9))) == []
    assert lost(*[body(n, tail=0.7) for n in range(20)]) == []

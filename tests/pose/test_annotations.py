"""What a dataset's report shows of keypoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainer_host import Box, DataContext, LabelContext, Line, Point
from trainer_host.data.description import Description, Split
from trainer_pose.annotations import annotate, histograms

NAMES = ["nose", "left", "right"]
ROW = [0, 0.4, 0.5, 0.4, 0.4, 0.3, 0.4, 2, 0.2, 0.6, 1, 0.5, 0.7, 2]
"""A box, the nose in sight at (0.3, 0.4), left hidden at (0.2, 0.6), right in sight at (0.5, 0.7)."""


def dataset(*rows: list[float], **keys: Any) -> Description:
    split, _ = Split.from_rows("train", [Path("/none/0.jpg")], [rows], [Path("/none/0.txt")])
    known = {"names": {0: "fish"}, "kpt_shape": [3, 3], "flip_idx": [0, 2, 1], "kpt_names": {0: NAMES}}
    return Description({**known, **keys}, file="/none/data.yaml", splits={"train": split})


def shapes(data: Description, mirrored: bool = False) -> list[Any]:
    ctx = LabelContext(task="pose", engine_task="pose", args=SimpleNamespace(), data=data, mirrored=mirrored)
    return annotate(ctx)


def points(data: Description, mirrored: bool = False) -> dict[str, tuple[float, float]]:
    found = [s for s in shapes(data, mirrored) if isinstance(s, Point)]
    return {p.label: (round(p.x, 9), round(p.y, 9)) for p in found}


def bars(data: Description) -> dict[str, tuple[int, ...]]:
    ctx = DataContext(task="pose", engine_task="pose", args=SimpleNamespace(), data=data)
    return {h.title: h.counts["train"] for h in histograms(ctx)}


def test_keypoints_are_named_coloured_by_index_and_rings_where_hidden() -> None:
    box, *found = shapes(dataset(ROW))
    assert isinstance(box, Box)
    assert found == [
        Point(0.3, 0.4, "nose", filled=True, colour=0),
        Point(0.2, 0.6, "left", filled=False, colour=1),
        Point(0.5, 0.7, "right", filled=True, colour=2),
    ]


def test_mirrored_keypoints_change_places_as_flip_idx_says() -> None:
    assert points(dataset(ROW), mirrored=True) == {"nose": (0.7, 0.4), "left": (0.5, 0.7), "right": (0.8, 0.6)}
    hidden = [p.label for p in shapes(dataset(ROW), mirrored=True) if isinstance(p, Point) and not p.filled]
    assert hidden == ["right"]


@pytest.mark.parametrize("given", [None, [], [0, 1], [0, 1, 5], [0, 2, True], "021", {0: 0}, [0, 2, "1"]])
def test_without_a_usable_flip_idx_keypoints_keep_their_index(given: Any) -> None:
    found = points(dataset(ROW, flip_idx=given), mirrored=True)
    assert found == {"nose": (0.7, 0.4), "left": (0.8, 0.6), "right": (0.5, 0.7)}


def test_mirroring_is_the_engines_own() -> None:
    from ultralytics.data.augment import RandomFlip
    from ultralytics.utils.instance import Instances

    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0.1, 0.9, (1, 3, 3))
    keypoints[..., 2] = 2
    boxes = rng.uniform(0.3, 0.5, (1, 4))
    instances = Instances(boxes.copy(), keypoints=keypoints.copy(), bbox_format="xywh", normalized=True)
    flip = RandomFlip(p=1.0, direction="horizontal", flip_idx=[0, 2, 1])
    done = flip({"img": np.zeros((8, 8, 3), np.uint8), "instances": instances})["instances"]

    box, *found = shapes(dataset([0, *boxes[0], *keypoints.ravel()]), mirrored=True)
    assert np.allclose([(p.x, p.y) for p in found], done.keypoints[0, :, :2])
    assert np.allclose([box.left + box.width / 2, box.top + box.height / 2], done.bboxes[0, :2])


def test_keypoints_without_a_label_are_not_drawn() -> None:
    row = [*ROW[:7], 0, *ROW[8:]]
    assert list(points(dataset(row))) == ["left", "right"]
    assert list(points(dataset(row), mirrored=True)) == ["left", "right"]


def test_two_numbers_for_a_keypoint_are_labelled_unless_negative() -> None:
    row = [0, 0.4, 0.5, 0.4, 0.4, 0, 0, -0.005, 0.5, 0.5, 0.7]
    data = dataset(row, kpt_shape=[3, 2])
    assert points(data) == {"nose": (0, 0), "right": (0.5, 0.7)}
    assert points(data, mirrored=True) == {"nose": (1, 0), "left": (0.5, 0.7)}
    assert bars(data)["Keypoints without a label"] == (0, 1, 0)


def test_the_skeleton_joins_what_is_labelled() -> None:
    row = [*ROW[:7], 0, *ROW[8:]]
    data = dataset(row, skeleton=[[0, 1], [1, 2], [2, 9], [1], "12", [True, 2]])
    assert [s for s in shapes(data) if isinstance(s, Line)] == [Line(0.2, 0.6, 0.5, 0.7, 1)]


@pytest.mark.parametrize("names", [None, NAMES, {"0": NAMES}, {7: NAMES}, {0: ["nose"]}, "nose", {0: None}])
def test_names_are_taken_as_far_as_they_are_known(names: Any) -> None:
    found = list(points(dataset(ROW, kpt_names=names)))
    assert found in (NAMES, ["nose", "1", "2"], ["0", "1", "2"])


@pytest.mark.parametrize("shape", [None, [3], [0, 3], [3, 4], ["3", 3], "3x3", [2, 3], [3, 2]])
def test_rows_that_do_not_fit_have_their_box_alone(shape: Any) -> None:
    data = dataset(ROW, kpt_shape=shape)
    assert [type(s) for s in shapes(data)] == [Box]
    assert bars(data) == {}


def test_a_row_of_another_length_leaves_the_others_as_they_are() -> None:
    data = dataset(ROW[:-1], ROW, [*ROW[:-1], float("nan")])
    assert [type(s) for s in shapes(data)] == [Box, Box, Point, Point, Point]


def test_keypoints_are_counted_by_visibility() -> None:
    data = dataset(ROW, [*ROW[:7], 0, *ROW[8:]])
    assert bars(data) == {
        "Keypoints in sight": (1, 0, 2),
        "Hidden keypoints": (0, 2, 0),
        "Keypoints without a label": (1, 0, 0),
        "Labelled keypoints of an object": (0, 0, 1, 1),
    }

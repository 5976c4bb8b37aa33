"""What the pose task suggests for a dataset's keypoint keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.splits import make_split
from trainer_host.data.description import Description
from trainer_pose.suggestions import PERSON_SIGMAS, default_sigmas, likely_shape, suggested_flip_idx, yaml_patch

PERSON = ["nose", *(f"{s}_{p}" for p in ("eye", "ear", "shoulder", "elbow", "wrist") for s in ("left", "right"))]


@pytest.mark.parametrize(
    ("names", "flip_idx"),
    [
        (["snout", "leftear", "rightear", "tailbase"], [0, 2, 1, 3]),
        (PERSON, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9]),
        (["leftEar", "rightEar"], [1, 0]),
        (["LeftEar", "tail", "RightEar"], [2, 1, 0]),
        (["ear_l", "ear_r"], [1, 0]),
        (["L_Ear", "R_Ear"], [1, 0]),
        (["earL", "earR", "nose"], [1, 0, 2]),
        (["lEar", "rEar"], [1, 0]),
        (["L1", "L2", "R1", "R2"], [2, 3, 0, 1]),
        (["ear left", "ear RIGHT"], [1, 0]),
        (["front.left.paw", "front.right.paw", "bright spot"], [1, 0, 2]),
        (["bright_left", "bright_right"], [1, 0]),
        (["lear", "rear"], None),
        (["corner1", "corner2"], None),
        (["nose", "left_ear"], None),
        (["left_ear", "right_ear", "r_eye"], None),
        (["left_ear", "right_ear", "left_ear"], None),
        ([], None),
    ],
)
def test_flip_idx_follows_left_and_right(names: list[str], flip_idx: list[int] | None) -> None:
    assert suggested_flip_idx(names) == flip_idx


@given(st.lists(st.text(max_size=8) | st.sampled_from(["left_a", "right_a", "l_b", "r_b", "nose"]), max_size=8))
def test_what_is_suggested_is_an_involution(names: list[str]) -> None:
    flip_idx = suggested_flip_idx(names)
    assert flip_idx is None or [flip_idx[i] for i in flip_idx] == list(range(len(names)))


def test_default_sigmas_are_the_engines() -> None:
    from ultralytics.utils.metrics import OKS_SIGMA

    assert default_sigmas(17) == pytest.approx(OKS_SIGMA.tolist())
    assert tuple(default_sigmas(17)) == PERSON_SIGMAS
    assert default_sigmas(4) == [0.25] * 4
    assert default_sigmas(17, 2) == [round(1 / 17, 6)] * 17


def describe(keys: dict[str, Any], *rows: list[float]) -> Description:
    return Description(keys, file="/data/data.yaml", splits={"train": make_split([list(rows)])})


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        ([[0] * 5 + [0.5, 0.5, 2] * 4], (4, 3)),
        ([[0] * 5 + [0.5, 0.4, 0.3] * 4], (6, 2)),
        ([[0] * 5 + [0.5] * 10], (5, 2)),
        ([[0] * 5 + [0.5, 0.5, 2] * 4, [0] * 5], None),
        ([[0] * 5], None),
        ([], None),
    ],
)
def test_the_shape_is_inferred_from_the_rows(rows: list[list[float]], shape: tuple[int, int] | None) -> None:
    assert likely_shape(describe({}, *rows)) == shape


def test_a_patch_has_what_is_missing_or_surely_wrong() -> None:
    row = [0.0] * 5 + [0.5, 0.5, 2] * 4
    names = {"kpt_names": {0: ["snout", "leftear", "rightear", "tailbase"]}}
    assert yaml_patch(describe(names, row)) == {
        "kpt_shape": [4, 3],
        "flip_idx": [0, 2, 1, 3],
        "kpt_oks_sigmas": [0.25] * 4,
    }
    sound = {**names, "kpt_shape": [4, 3], "flip_idx": [0, 2, 1, 3], "kpt_oks_sigmas": [0.1] * 4, "skeleton": [[0, 1]]}
    assert yaml_patch(describe(sound, row)) == {}
    assert yaml_patch(describe({**sound, "flip_idx": [0, 1, 2, 3]}, row)) == {"flip_idx": [0, 2, 1, 3]}


def test_a_patch_counts_from_zero() -> None:
    keys = {"kpt_shape": [3, 3], "flip_idx": [1, 3, 2], "kpt_oks_sigmas": [1, 1, 1], "skeleton": [[1, 2], [1, 3]]}
    assert yaml_patch(describe(keys)) == {"flip_idx": [0, 2, 1], "skeleton": [[0, 1], [0, 2]]}


def test_a_patch_says_nothing_where_nothing_is_known() -> None:
    assert yaml_patch(describe({"kpt_shape": "x"})) == {}
    assert yaml_patch(describe({"kpt_shape": [10**12, 3]})) == {}

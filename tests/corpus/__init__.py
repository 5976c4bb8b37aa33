"""Datasets that are broken, each in one way, and unusual ones that are not."""

from __future__ import annotations

from tests.corpus import (
    image_cases,
    keypoint_cases,
    label_cases,
    pose_key_cases,
    split_cases,
    statistics_cases,
    valid_cases,
    yaml_cases,
)

THEMES = {
    "The dataset YAML": yaml_cases.CASES,
    "Splits": split_cases.CASES,
    "Keys of keypoints": pose_key_cases.CASES,
    "Label files": label_cases.CASES,
    "Images": image_cases.CASES,
    "Statistics": statistics_cases.CASES,
    "Keypoints of a dataset": keypoint_cases.CASES,
}
"""The broken datasets by theme."""

BROKEN = [case for cases in THEMES.values() for case in cases]
VALID = valid_cases.CASES
CASES = [*BROKEN, *VALID]

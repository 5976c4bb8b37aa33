"""Splits in which no keypoint is labelled at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host import Finding
from trainer_host.data import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_detect.rows import Bools
    from trainer_host import Severity
    from trainer_host.data import Description
    from trainer_pose.checks import Keypoints

EFFECT = {
    "train": "the model cannot learn keypoints",
    "val": "pose metrics are 0 there, and only boxes select best.pt",
}
"""Effects of a split without labelled keypoints."""


def unlabelled_splits(data: Description, points: Mapping[str, Keypoints]) -> Iterator[Finding]:
    """Yield splits whose rows have no keypoint that is labelled anywhere but in the image's corner.

    It is an error of ``train`` alone: a model can be trained without such rows for validation, but none of its
    metrics says anything of keypoints.
    """
    for name, found in points.items():
        labelled = found.labelled
        if not len(labelled) or (labelled & _placed(found)).any():
            continue
        rows = counted(len(labelled), f"{name} row")
        what = f"no keypoint is labelled in the {rows}"
        if labelled.any():
            what = f"every labelled keypoint of the {rows} is at 0 0, the image's corner"
        message = f"{what}, so {EFFECT.get(name, 'pose metrics are 0 there')}."
        fix = "write coordinates and visibility 1 or 2 of the keypoints that are seen; for boxes alone: --task detect"
        if found.dims == 2:
            fix = "write the coordinates of the keypoints; for boxes alone: --task detect"
        severity: Severity = "error" if name == "train" else "warning"
        yield Finding("keypoints-none", message, fix, data.file, data.lines.get(name), severity, name)


def _placed(points: Keypoints) -> Bools:
    found: Bools = (points.xy != 0).any(axis=-1)
    return found

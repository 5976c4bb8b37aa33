"""The engine's validator of boxes and keypoints, on datasets that are read without their label caches."""

from __future__ import annotations

from ultralytics.models.yolo.pose import PoseValidator

from trainer_detect.val import ScannedLabels


class KeypointValidator(ScannedLabels, PoseValidator):
    """Measures boxes and keypoints."""

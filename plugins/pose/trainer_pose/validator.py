"""The engine's validator of boxes and keypoints, on the labels that the host has read."""

from __future__ import annotations

from ultralytics.models.yolo.pose import PoseValidator

from trainer_detect.validator import HostDatasetMixin


class KeypointValidator(HostDatasetMixin, PoseValidator):
    """Measures boxes and keypoints."""

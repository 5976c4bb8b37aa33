"""The engine's validator of boxes, on datasets that are read without their label caches."""

from __future__ import annotations

from typing import Any

from ultralytics.models.yolo.detect import DetectionValidator

from trainer_detect.data import scanned_dataset


class ScannedLabels:
    """Lets a validator of the engine that makes its own loader read the labels themselves."""

    args: Any
    data: Any
    stride: int

    def build_dataset(self, img_path: Any, mode: str = "val", batch: int | None = None) -> Any:
        """Return the dataset of the images at ``img_path``."""
        return scanned_dataset(self.args, img_path, batch, self.data, mode, self.stride, rect=False)


class BoxValidator(ScannedLabels, DetectionValidator):
    """Measures boxes."""

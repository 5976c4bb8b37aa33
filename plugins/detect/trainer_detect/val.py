"""The engine's validator of boxes, on the labels that the host has read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.models.yolo.detect import DetectionValidator

from trainer_detect.dataset import parsed_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReadLabels:
    """Gives a validator of the engine that makes its own loader what was read of the dataset.

    Args:
        read: The dataset; what the engine reads of it again is its YAML alone.
    """

    args: Any
    stride: int

    def __init__(self, *args: Any, read: Mapping[str, Any], **kwargs: Any) -> None:
        self.read = read
        super().__init__(*args, **kwargs)

    def build_dataset(self, img_path: Any, mode: str = "val", batch: int | None = None) -> Any:
        """Return the dataset of the images at ``img_path``."""
        return parsed_dataset(self.args, img_path, batch, self.read, mode, self.stride, rect=False)


class BoxValidator(ReadLabels, DetectionValidator):
    """Measures boxes."""

"""Measuring, predicting and drawing masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ultralytics.models.yolo.segment import SegmentationPredictor, SegmentationValidator

from trainer_detect import BoxPredictor, HostDatasetMixin, draw_boxes


class MaskValidator(HostDatasetMixin, SegmentationValidator):
    """Measures boxes and masks."""


class MaskPredictor(BoxPredictor):
    """Predicts boxes with the outlines of their masks."""

    engine = SegmentationPredictor

    def describe(self, result: Any, index: int) -> dict[str, Any]:
        outline = result.masks.xy[index].astype(float).round(2).tolist()
        return {**super().describe(result, index), "polygon": outline}


def draw_masks(prediction: Any) -> Any:
    image = draw_boxes(prediction)
    for found in prediction.objects:
        outline = np.array(found["polygon"]).round().astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [outline], True, (255, 255, 255), 1, cv2.LINE_AA)
    return image

"""Measuring, predicting and drawing oriented boxes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ultralytics.models.yolo.obb import OBBPredictor, OBBValidator
from ultralytics.utils.plotting import colors

from trainer_detect import BoxPredictor, HostDatasetMixin


class OrientedValidator(HostDatasetMixin, OBBValidator):
    """Measures oriented boxes."""


class OrientedPredictor(BoxPredictor):
    """Predicts oriented boxes: besides the upright box around each, its corners in pixels and angle in radians."""

    engine = OBBPredictor

    def describe(self, result: Any, index: int) -> dict[str, Any]:
        corners = result.obb.xyxyxyxy[index].double().round(decimals=2).tolist()
        angle = round(float(result.obb.xywhr[index, 4]), 5)
        return {**super().describe(result, index), "corners": corners, "angle": angle}


def draw_corners(prediction: Any) -> Any:
    image = prediction.image.copy()
    for found in prediction.objects:
        corners = np.array(found["corners"]).round().astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [corners], True, colors(found["class"], bgr=True), 2, cv2.LINE_AA)
    return image

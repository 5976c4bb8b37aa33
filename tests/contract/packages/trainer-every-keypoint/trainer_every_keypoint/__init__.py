"""The extension `every-keypoint`: keypoints of low confidence are shown as rings, and the least likely dropped.

trainer predict model=best.pt source=images --plugin every-keypoint every-keypoint.least=0.2
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import torch

from trainer_host import Detections, ExtensionSpec, PredictionContext, hookimpl

DRAWN = 0.5
"""Keypoints from this confidence on are drawn by the task."""
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Options:
    """The options."""

    least: float = 0.05  # keypoints of a lower confidence are dropped


class Hooks:
    """Post-processing, and a change of the task's pictures."""

    @hookimpl(wrapper=True)
    def postprocess_predictions(self, ctx: PredictionContext, found: Any) -> Generator[None, Any, list[Detections]]:
        """Set the keypoints that are least likely to 0, 0 with confidence 0."""
        kept = yield
        least = ctx.options_for(Options).least
        return [without(image, least) if ctx.mode == "predict" else image for image in kept]

    @hookimpl(wrapper=True)
    def draw_prediction(self, ctx: PredictionContext, prediction: Any) -> Generator[None, Any, Any]:
        """Draw a ring around each keypoint that the task leaves out of the picture."""
        picture = yield
        for thing in prediction.objects if picture is not None else ():
            for point in thing.get("keypoints", ()):
                if 0 < point.get("confidence", 0) < DRAWN:
                    cv2.circle(picture, (round(point["x"]), round(point["y"])), 4, WHITE, 1, cv2.LINE_AA)
        return picture


def without(found: Detections, least: float) -> Detections:
    """Return the predictions on an image without the keypoints that are less likely."""
    if found.points is None or found.points.shape[-1] < 3:
        return found
    return replace(found, points=torch.where(found.points[..., 2:] < least, 0.0, found.points))


EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)

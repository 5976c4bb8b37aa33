"""Predicting keypoints, and drawing them with the dataset's own names and skeleton."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import cv2
from ultralytics.models.yolo.pose import PosePredictor
from ultralytics.utils.plotting import Annotator, colors

from trainer_detect.predictor import FONT, BoxPredictor, draw_boxes, drawable, line_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host import PredictionContext

VISIBLE = 0.5
"""Keypoints of a lower confidence are not drawn."""
NAME_PX = 16
"""Names are written where an object has this many pixels for each keypoint; closer ones would hide each other."""


class KeypointPredictor(BoxPredictor):
    """Predicts boxes with keypoints."""

    engine: ClassVar[type[Any]] = PosePredictor

    def point_names(self, result: Any) -> dict[int, tuple[str, ...]]:
        """Return the names of the keypoints of each class."""
        return {number: tuple(keypoint_names(self.ctx.model, number)) for number in result.names}

    def describe(self, result: Any, index: int) -> dict[str, Any]:
        """Return one object with its keypoints: name, x and y in pixels, and a confidence where there is one."""
        found = super().describe(result, index)
        names = keypoint_names(self.ctx.model, found["class"])
        points = result.keypoints.data[index].tolist()
        found["keypoints"] = [_describe(point, names, i) for i, point in enumerate(points)]
        return found


def _describe(point: Sequence[float], names: Sequence[str], index: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": names[index] if index < len(names) else str(index),
        "x": round(point[0], 2),
        "y": round(point[1], 2),
    }
    return {**described, "confidence": round(point[2], 5)} if len(point) > 2 else described


def keypoint_names(model: Any, number: int) -> Sequence[str]:
    """Return the names of a class's keypoints, as the model holds them."""
    names = getattr(model, "kpt_names", None)
    if isinstance(names, dict) and names:
        names = names.get(number) or names.get(str(number)) or next(iter(names.values()))
    return [str(n) for n in names] if isinstance(names, (list, tuple)) else []  # a file may hold anything


def skeleton_of(ctx: PredictionContext, keypoints: int) -> list[tuple[int, int]]:
    """Return pairs of keypoints that are joined, counted from 0: the dataset's, or COCO's for its 17 keypoints."""
    given = ctx.data.get("skeleton")
    if given:
        return [(int(a), int(b)) for a, b in given if 0 <= int(a) < keypoints and 0 <= int(b) < keypoints]
    return [(a - 1, b - 1) for a, b in _coco_skeleton()] if keypoints == 17 else []


def _coco_skeleton() -> list[tuple[int, int]]:
    import numpy as np

    pairs: list[tuple[int, int]] = Annotator(np.zeros((8, 8, 3), np.uint8)).skeleton
    return pairs


def draw_keypoints(ctx: PredictionContext, prediction: Any) -> Any:
    """Return a copy of the image with boxes, skeletons, keypoints and their names on it."""
    image = draw_boxes(prediction, ctx.args)
    width = line_width(image, ctx.args)
    for found in prediction.objects:
        points = found["keypoints"]
        seen = [p.get("confidence", 1.0) >= VISIBLE and (p["x"] or p["y"]) for p in points]
        places = [(round(p["x"]), round(p["y"])) for p in points]
        for a, b in skeleton_of(ctx, len(points)):
            if seen[a] and seen[b]:
                cv2.line(image, places[a], places[b], colors(a, bgr=True), width, cv2.LINE_AA)
        large = max(found["box"][2] - found["box"][0], found["box"][3] - found["box"][1]) >= NAME_PX * len(points)
        for i, point in enumerate(points):
            if seen[i]:
                cv2.circle(image, places[i], width + 2, (255, 255, 255), -1, cv2.LINE_AA)
                cv2.circle(image, places[i], width + 1, colors(i, bgr=True), -1, cv2.LINE_AA)
                if large and getattr(ctx.args, "show_labels", True):
                    _name(image, point["name"], places[i], width)
    return image


def _name(image: Any, text: str, place: tuple[int, int], width: int) -> None:
    text = drawable(text)
    where, scale = (place[0] + width + 3, place[1] - width - 2), max(0.3, width / 5)
    cv2.putText(image, text, where, FONT, scale, (0, 0, 0), width + 2, cv2.LINE_AA)
    cv2.putText(image, text, where, FONT, scale, (255, 255, 255), max(1, width // 2), cv2.LINE_AA)

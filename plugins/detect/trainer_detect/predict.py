"""Predicting boxes, and drawing them."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
from ultralytics.data.utils import VID_FORMATS
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.utils.plotting import colors

from trainer_detect.channels import FittingChannels
from trainer_detect.detections import from_result, postprocessed, to_result
from trainer_host import ImagePrediction
from trainer_host.engine.drawing import drawable_image
from trainer_host.engine.trackers import engine_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import PredictionContext

FONT = cv2.FONT_HERSHEY_SIMPLEX
QUIET = {"save": False, "save_txt": False, "show": False, "verbose": False}


class FittingDetectionPredictor(FittingChannels, DetectionPredictor):
    """The engine's predictor of boxes, on images with the model's channels."""


class BoxPredictor:
    """Runs the engine's predictor and returns what it finds as plain data.

    Args:
        ctx: The model and the settings.
    """

    engine: ClassVar[type[Any]] = FittingDetectionPredictor

    def __init__(self, ctx: PredictionContext) -> None:
        self.ctx = ctx
        self.predictor = self.engine(overrides={**vars(ctx.args), **QUIET}, _callbacks=engine_callbacks())

    def __call__(self, source: Any) -> Iterator[ImagePrediction]:
        """Yield what is found, image by image."""
        frames: Counter[Path] = Counter()  # the engine reads ahead, so that its own number is that of a later frame
        # One by one, because the engine opens the images of a list by another library, which knows 1 and 3 channels.
        sources = source if isinstance(source, (list, tuple)) else [source]
        for found in chain.from_iterable(self.predictor(one, model=self.ctx.model, stream=True) for one in sources):
            result = self.kept(found)
            path = Path(result.path)
            video = path.suffix[1:].lower() in VID_FORMATS
            frames[path] += self.ctx.args.vid_stride
            yield ImagePrediction(
                path=path,
                image=result.orig_img,
                objects=[self.describe(result, i) for i in range(len(result))],
                frame=frames[path] if video else None,
                fps=float(self.predictor.dataset.fps) / self.ctx.args.vid_stride if video else None,
            )

    def kept(self, result: Any) -> Any:
        """Return what plugins keep of the engine's result for an image."""
        if self.ctx.postprocess is None:
            return result
        return to_result(postprocessed(self.ctx.postprocess, [from_result(result)])[0], result)

    def describe(self, result: Any, index: int) -> dict[str, Any]:
        """Return one object as plain data: class, name, confidence, and the box as x1, y1, x2, y2 in pixels.

        The box of an oriented one is the upright box around it.
        """
        box = (result.boxes if result.obb is None else result.obb)[index]
        number = int(box.cls)
        return {
            "class": number,
            "name": str(result.names.get(number, number)),
            "confidence": round(float(box.conf), 5),
            "box": [round(float(v), 2) for v in box.xyxy[0]],
        }


def draw_boxes(prediction: Any) -> Any:
    """Return a copy of the image, in three channels, with boxes, classes and confidences on it."""
    image = drawable_image(prediction.image)
    width = line_width(image)
    for found in prediction.objects:
        color = colors(found["class"], bgr=True)
        x1, y1, x2, y2 = (round(v) for v in found["box"])
        cv2.rectangle(image, (x1, y1), (x2, y2), color, width, cv2.LINE_AA)
        write(image, f"{found['name']} {found['confidence']:.2f}", (x1, y1), color, width)
    return image


def line_width(image: Any) -> int:
    """Return a line's width in pixels that suits the image."""
    height, width = image.shape[:2]
    wide: int = round((height + width) * 0.0015)
    return max(1, wide)


def drawable(text: str) -> str:
    """Return a text that OpenCV can draw: half of a pair of surrogates ends the process there."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write(image: Any, text: str, place: tuple[int, int], color: tuple[int, int, int], width: int) -> None:
    """Write a text on a ground of its own, with its lower left corner at a place, kept inside the image."""
    text = drawable(text)
    scale = max(0.3, width / 4)
    (w, h), below = cv2.getTextSize(text, FONT, scale, max(1, width // 2))
    x = min(max(place[0], 0), max(image.shape[1] - w, 0))
    y = max(place[1], h + below)
    cv2.rectangle(image, (x, y - h - below), (x + w, y), color, -1)
    light = sum(color) > 380
    ink = (0, 0, 0) if light else (255, 255, 255)
    cv2.putText(image, text, (x, y - below // 2), FONT, scale, ink, max(1, width // 2), cv2.LINE_AA)

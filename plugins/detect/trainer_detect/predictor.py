"""Predicting boxes, and drawing them."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.utils.plotting import colors, save_one_box

from trainer_detect.detections import as_arrays, from_result, postprocessed, to_result
from trainer_detect.prediction_loader import FileLoader, open_stream
from trainer_host import ImagePrediction, UnreadableImage
from trainer_host.ultralytics import drawable_image, engine_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import PredictionContext

FONT = cv2.FONT_HERSHEY_SIMPLEX
QUIET: dict[str, Any] = {
    **dict.fromkeys(("save", "save_txt", "save_crop", "save_frames", "show", "verbose", "visualize"), False),
    "embed": None,
}
"""Settings that the host honours itself, or refuses."""


class BoxPredictor:
    """Runs the engine's predictor and yields its predictions as plain data.

    Args:
        ctx: The model and the settings.
    """

    engine: ClassVar[type[Any]] = DetectionPredictor

    def __init__(self, ctx: PredictionContext) -> None:
        self.ctx = ctx
        self.predictor = self.engine(overrides={**vars(ctx.args), **QUIET}, _callbacks=engine_callbacks())

    def __call__(self, source: Any) -> Iterator[ImagePrediction | UnreadableImage]:
        """Yield what is found, image by image, and what cannot be read."""
        self._take_prepared()
        try:
            yield from self._found(source)
        finally:
            self._give_prepared()

    def _take_prepared(self) -> None:
        """Use the model as an earlier prediction made it ready: copied, fused, on its device.

        It is taken away, so that predictions that overlap have a copy each: the engine sets limits on its head.
        """
        kept = self.ctx.prepared.pop(self.engine.__name__, None)
        if kept is not None:
            self.predictor.model, self.predictor.device, self.predictor.done_warmup = kept

    def _give_prepared(self) -> None:
        if self.predictor.model is not None:
            kept = self.predictor.model, self.predictor.device, self.predictor.done_warmup
            self.ctx.prepared[self.engine.__name__] = kept
            self.predictor.model = None

    def _found(self, source: Any) -> Iterator[ImagePrediction | UnreadableImage]:
        args, channels = self.ctx.args, channels_of(self.ctx.model)
        if isinstance(source, (list, tuple)):
            loader = FileLoader(source, args.batch, args.vid_stride, channels)
        else:
            loader = open_stream(str(source), args, channels)
        frames: Counter[str] = Counter()  # the engine reads ahead, so that its own number is that of a later frame
        with closing(self.predictor(loader, model=self.ctx.model, stream=True)) as results:
            for found in results:
                self.predictor.args.imgsz = self.predictor.imgsz  # as checked, which warns of a change once
                yield from loader.taken() if isinstance(loader, FileLoader) else ()
                result = self.kept(found)
                fps = self._fps(result.path)
                frames[result.path] += args.vid_stride
                yield self._prediction(result, frames[result.path] if fps is not None else None, fps)
        yield from loader.taken() if isinstance(loader, FileLoader) else ()

    def _prediction(self, result: Any, frame: int | None, fps: float | None) -> ImagePrediction:
        args = self.ctx.args
        return ImagePrediction(
            path=Path(result.path),
            image=result.orig_img,
            objects=[self.describe(result, i) for i in range(len(result))],
            frame=frame,
            fps=fps,
            label_rows=label_rows(result, args.save_conf) if args.save_txt else None,
            crops=crops(result) if args.save_crop else None,
            detections=as_arrays(result),
            names=result.names,
            point_names=self.point_names(result),
        )

    def _fps(self, path: str) -> float | None:
        """Return the frames per second of a video or a stream, less those that are passed over; None for an image."""
        loader = self.predictor.dataset
        if loader.mode == "image":
            return None
        fps = float(loader.fps[loader.sources.index(path)] if isinstance(loader.fps, list) else loader.fps)
        return fps / int(self.ctx.args.vid_stride)

    def kept(self, result: Any) -> Any:
        """Return the engine's result for an image, without what plugins remove."""
        if self.ctx.postprocess is None:
            return result
        return to_result(postprocessed(self.ctx.postprocess, [from_result(result)])[0], result)

    def point_names(self, result: Any) -> dict[int, tuple[str, ...]]:
        """Return the names of the points of each class; boxes have none."""
        return {}

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


def channels_of(model: Any) -> int:
    """Return how many channels the images of a model have."""
    architecture = getattr(model, "yaml", None)
    channels = architecture.get("channels", 3) if isinstance(architecture, dict) else 3
    return channels if isinstance(channels, int) else 3


def label_rows(result: Any, with_confidence: bool) -> tuple[str, ...]:
    """Return a result of the engine as the rows that it writes into a label file."""
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        file = Path(folder) / "labels.txt"
        result.save_txt(file, save_conf=with_confidence)
        return tuple(file.read_text(encoding="utf-8").splitlines()) if file.exists() else ()


def crops(result: Any) -> tuple[tuple[str, Any], ...]:
    """Return the part of the image around each object, as the engine cuts it, with the name of its class."""
    boxes = result.boxes if result.obb is None else result.obb
    cut = []
    for box in boxes.cpu() if boxes is not None else ():
        place, number = (box.xyxy if result.obb is None else box.xyxyxyxy), int(box.cls)
        image = save_one_box(place, result.orig_img.copy(), BGR=True, save=False)
        if image.size:
            cut.append((str(result.names.get(number, number)), image))
    return tuple(cut)


def draw_boxes(prediction: Any, args: Any = None) -> Any:
    """Return a copy of the image, in three channels, with boxes, classes and confidences on it.

    Args:
        prediction: The image and its objects.
        args: The engine's settings, of which ``line_width``, ``show_boxes``, ``show_labels`` and ``show_conf`` count.
    """
    image = drawable_image(prediction.image)
    width = line_width(image, args)
    for found in prediction.objects if getattr(args, "show_boxes", True) else ():
        color = colors(found["class"], bgr=True)
        x1, y1, x2, y2 = (round(v) for v in found["box"])
        cv2.rectangle(image, (x1, y1), (x2, y2), color, width, cv2.LINE_AA)
        name = found["name"] if getattr(args, "show_labels", True) else ""
        confidence = f"{found['confidence']:.2f}" if name and getattr(args, "show_conf", True) else ""
        if text := f"{name} {confidence}".strip():
            write(image, text, (x1, y1), color, width)
    return image


def line_width(image: Any, args: Any = None) -> int:
    """Return a line's width in pixels: that of the settings, or one that suits the image."""
    if getattr(args, "line_width", None):
        return int(args.line_width)
    height, width = image.shape[:2]
    wide: int = round((height + width) * 0.0015)
    return max(1, wide)


def drawable(text: str) -> str:
    """Return a text that OpenCV can draw: half of a pair of surrogates ends the process there."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write(image: Any, text: str, place: tuple[int, int], color: tuple[int, int, int], width: int) -> None:
    """Write a text on a filled background, with its lower left corner at a place, kept inside the image."""
    text = drawable(text)
    scale = max(0.3, width / 4)
    (w, h), below = cv2.getTextSize(text, FONT, scale, max(1, width // 2))
    x = min(max(place[0], 0), max(image.shape[1] - w, 0))
    y = max(place[1], h + below)
    cv2.rectangle(image, (x, y - h - below), (x + w, y), color, -1)
    light = sum(color) > 380
    ink = (0, 0, 0) if light else (255, 255, 255)
    cv2.putText(image, text, (x, y - below // 2), FONT, scale, ink, max(1, width // 2), cv2.LINE_AA)

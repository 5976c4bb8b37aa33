"""What runs return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What an engine returns when a training has ended.

    Attributes:
        epochs: Epochs that were trained.
        metrics: The metrics of the best checkpoint.
        best: The best checkpoint, or None where none was written.
        last: The last checkpoint, or None where none was written.
        interrupted: Whether it ended early, on request.
        held_out: Images that were not trained on.
        threads: Processor threads that computed.
    """

    epochs: int
    metrics: dict[str, float]
    best: Path | None
    last: Path | None
    interrupted: bool
    held_out: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class RunResult:
    """The outcome of a training.

    Attributes:
        task: Name of the task.
        save_dir: The run's folder.
        best: The best checkpoint, or None where none was written.
        last: The last checkpoint, or None where none was written.
        epochs: Epochs that were trained.
        metrics: The metrics of the best checkpoint under the engine's names.
        predictions: A picture of predictions on held-out images, or None.
    """

    task: str
    save_dir: Path
    best: Path | None
    last: Path | None
    epochs: int
    metrics: dict[str, float]
    predictions: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return {
            "status": "done",
            "task": self.task,
            "save_dir": str(self.save_dir),
            "best": str(self.best) if self.best else None,
            "last": str(self.last) if self.last else None,
            "epochs": self.epochs,
            "metrics": self.metrics,
            "retryable": False,
        }


@dataclass(frozen=True)
class ValResult:
    """The outcome of a validation.

    Attributes:
        task: Name of the task.
        model: The checkpoint that was measured.
        save_dir: The folder of its plots.
        metrics: The metrics under the engine's names.
    """

    task: str
    model: Path
    save_dir: Path
    metrics: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return {
            "status": "done",
            "task": self.task,
            "model": str(self.model),
            "save_dir": str(self.save_dir),
            "metrics": self.metrics,
            "retryable": False,
        }


@dataclass(frozen=True)
class ImagePrediction:
    """What was found in one image or video frame.

    Attributes:
        path: The file that the image came from.
        image: The image, height x width x 3, uint8, BGR.
        objects: The things found, as plain data that JSON can hold.
        frame: The frame's number in a video, counted from 1; None for an image.
        fps: Frames per second of the video; None for an image.
        label_rows: The objects as rows of a label file, for ``save_txt``; None if the predictor writes none.
        crops: The part of the image around each object, with the name of its class, for ``save_crop``; None if the
            predictor cuts none.
    """

    path: Path
    image: Any = field(repr=False)
    objects: list[dict[str, Any]] = field(default_factory=list)
    frame: int | None = None
    fps: float | None = None
    label_rows: tuple[str, ...] | None = field(default=None, repr=False)
    crops: tuple[tuple[str, Any], ...] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON can hold it."""
        height, width = self.image.shape[:2]
        found: dict[str, Any] = {"image": str(self.path), "width": width, "height": height}
        if self.frame is not None:
            found["frame"] = self.frame
        return {**found, "objects": self.objects}


@dataclass(frozen=True)
class LoadedImage:
    """An image that was given as an array, and not as a file.

    Attributes:
        path: Its name: that of the file it came from, or ``image0.jpg``, ``image1.jpg`` by its position.
        image: Array of shape (H, W, 3), uint8, BGR; or with the further channels that were given.
    """

    path: Path
    image: Any = field(repr=False)


@dataclass(frozen=True)
class UnreadableImage:
    """An image or a video that could not be read, or not to its end.

    Attributes:
        path: The file.
        reason: What is wrong with it.
    """

    path: Path
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"image": str(self.path), "reason": self.reason}


@dataclass(frozen=True)
class PredictResult:
    """The outcome of a prediction.

    Attributes:
        task: Name of the task.
        model: The checkpoint that was used.
        save_dir: The folder of pictures, labels and crops, or None if none were asked for.
        predictions: What was found, image by image.
        files: The files that were written.
        unreadable: The images that could not be read.
        images: The number of images and video frames that were read.
        objects: The number of objects that were found.
    """

    task: str
    model: Path
    save_dir: Path | None
    predictions: list[dict[str, Any]]
    files: list[Path]
    unreadable: list[UnreadableImage] = field(default_factory=list)
    images: int = 0
    objects: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return {
            "status": "incomplete" if self.unreadable else "done",
            "task": self.task,
            "model": str(self.model),
            "save_dir": str(self.save_dir) if self.save_dir else None,
            "files": [str(f) for f in self.files],
            "predictions": self.predictions,
            "unreadable": [u.as_json() for u in self.unreadable],
            "retryable": False,
        }

"""Results of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainer_host.base.type_aliases import Array, Image
    from trainer_host.base.vision import Detections

MOST_PARTS = 8
"""Parts of a model to name one by one."""


@dataclass(frozen=True)
class StartingWeights:
    """The weights that a training starts from.

    Attributes:
        source: The checkpoint that they come from; None if they are random.
        tensors: Tensors of the model.
        transferred: Those that have the checkpoint's values.
        partly: Those that have them in part, such as the rows of classes that both have.
        new: The others by part of the model, such as ``model.23.cv3``, with their numbers.
        differences: Values in which the architectures differ, as (here, in the checkpoint).
        architecture: Another checkpoint that only the architecture comes from.
        teacher: The model to distil from.
    """

    source: Path | None
    tensors: int
    transferred: int = 0
    partly: int = 0
    new: Mapping[str, int] = field(default_factory=dict)
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    architecture: Path | None = None
    teacher: Path | None = None

    @property
    def lines(self) -> list[str]:
        """The same for people, in one line or two."""
        only = f"; of {self.architecture} only the architecture is used" if self.architecture else ""
        teacher = [f"Teacher: {self.teacher}, to distil from."] if self.teacher else []
        if self.source is None:
            return [f"Weights: random{only}.", *teacher]
        because = ", ".join(f"{k} is {here} instead of {there}" for k, (here, there) in self.differences.items())
        because = f", because {because}" if because else ""
        partly = f", {self.partly} in part{'' if self.new else because}" if self.partly else ""
        first = f"Weights: {self.transferred} of {self.tensors} tensors from {self.source}{partly}{only}."
        second = [f"Not transferred: {self._missing()}{because}."] if self.new else []
        return [first, *second, *teacher]

    def _missing(self) -> str:
        """Return the parts that were not transferred; layers in place of their parts if there are many."""
        if len(self.new) <= MOST_PARTS:
            return ", ".join(f"{name} ({count})" for name, count in self.new.items())
        numbers = sorted({int(n) for name in self.new for n in name.split(".")[1:2] if n.isdigit()})
        firsts = [n for n in numbers if n - 1 not in numbers]
        lasts = [n for n in numbers if n + 1 not in numbers]
        ranges = [str(a) if a == b else f"{a}-{b}" for a, b in zip(firsts, lasts, strict=True)]
        layers = f" of layers {', '.join(ranges)}" if ranges else ""
        return f"{sum(self.new.values())} tensors{layers}"

    def as_data(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "source": str(self.source) if self.source else None,
            "tensors": self.tensors,
            "transferred": self.transferred,
            "partly": self.partly,
            "new": dict(self.new),
            "differences": {k: [here, there] for k, (here, there) in self.differences.items()},
            "architecture": str(self.architecture) if self.architecture else None,
            "teacher": str(self.teacher) if self.teacher else None,
        }

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> StartingWeights:
        """Return what `as_data` made this data of, as far as somebody left it as it was."""
        path = {key: Path(data[key]) if data.get(key) else None for key in ("source", "architecture", "teacher")}
        counts = {key: int(data.get(key) or 0) for key in ("tensors", "transferred", "partly")}
        differences = {key: tuple(pair) for key, pair in (data.get("differences") or {}).items()}
        return cls(**path, **counts, new=data.get("new") or {}, differences=differences)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ending:
    """The end of a training.

    Attributes:
        reason: ``epochs`` if it was trained to its end, ``patience``, ``time``, ``plugin`` or ``signal``.
        message: The same for people; None if it was trained to its end.
        planned: Epochs that were asked for; None if a time was.
    """

    reason: str
    message: str | None = None
    planned: int | None = None


@dataclass(frozen=True)
class TrainingOutcome:
    """The outcome of a training, from its engine.

    Attributes:
        epochs: Epochs that were trained.
        metrics: The metrics of the best checkpoint; those of the last epoch if there is none.
        best: The best checkpoint, or None if none was written.
        last: The last checkpoint, or None if none was written.
        interrupted: Whether it ended early, on request.
        held_out: Images that were not trained on.
        threads: Processor threads that computed.
        best_epoch: The epoch of the best checkpoint, counted from 1; None if none was written.
        ending: How the training ended.
        weights: The weights that it started from; None if the engine cannot say.
        reduced_batch: The batch size that fitted the device, if the one that was asked for did not.
        thread_changes: Numbers of threads that were chosen while it trained, with ``epoch`` and ``batch``, counted
            from 1.
        kept_evaluation: The epoch, counted from 1, whose own evaluation gave the metrics of the best checkpoint; None
            if that was evaluated after the training.
    """

    epochs: int
    metrics: dict[str, float]
    best: Path | None
    last: Path | None
    interrupted: bool
    held_out: tuple[str, ...]
    threads: int
    best_epoch: int | None = None
    ending: Ending = Ending("epochs")
    weights: StartingWeights | None = None
    reduced_batch: int | None = None
    thread_changes: tuple[Mapping[str, int], ...] = ()
    kept_evaluation: int | None = None


@dataclass(frozen=True)
class RunResult:
    """The outcome of a training.

    Attributes:
        task: Name of the task.
        save_dir: The run's folder.
        best: The best checkpoint, or None if none was written.
        last: The last checkpoint, or None if none was written.
        epochs: Epochs that were trained.
        metrics: The metrics of the best checkpoint under the engine's names; those of the last epoch if there is none.
        predictions: A picture of predictions on held-out images, or None.
        best_epoch: The epoch of the best checkpoint, counted from 1; None if none was written.
        ending: How the training ended.
        weights: The weights that it started from; None if the engine cannot say.
        resumed_from: The position that it was resumed from last: epoch in progress, counted from 1, and batches of it
            that were done; None if it was not resumed.
        nothing_done: Whether it was finished before, so that nothing was left to do.
    """

    task: str
    save_dir: Path
    best: Path | None
    last: Path | None
    epochs: int
    metrics: dict[str, float]
    predictions: Path | None = None
    best_epoch: int | None = None
    ending: Ending = Ending("epochs")
    weights: StartingWeights | None = None
    resumed_from: Mapping[str, Any] | None = None
    nothing_done: bool = False

    @property
    def metrics_of(self) -> str:
        """Source of the metrics: ``best`` for the best checkpoint, ``last`` for the last epoch."""
        return "best" if self.best is not None else "last"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return {
            "status": "done",
            "task": self.task,
            "save_dir": str(self.save_dir),
            "best": str(self.best) if self.best else None,
            "last": str(self.last) if self.last else None,
            "epochs": self.epochs,
            "planned_epochs": self.ending.planned,
            "stop_reason": self.ending.reason,
            "stop_message": self.ending.message,
            "best_epoch": self.best_epoch,
            "metrics": self.metrics,
            "metrics_of": self.metrics_of,
            "weights": self.weights.as_data() if self.weights else None,
            "resumed_from": dict(self.resumed_from) if self.resumed_from else None,
            "nothing_done": self.nothing_done,
            "retryable": False,
        }


@dataclass(frozen=True)
class ValResult:
    """The outcome of a validation.

    Attributes:
        task: Name of the task.
        model: The checkpoint that was evaluated.
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
    """The predictions of one image or video frame: a sequence of its objects, with arrays of what they have.

    Attributes:
        path: The file that the image came from.
        image: The image, height x width x 3, uint8, BGR.
        objects: The things found, as plain data that JSON can hold.
        frame: The frame's number in a video, counted from 1; None for an image.
        fps: Frames per second of the video; None for an image.
        label_rows: The objects as rows of a label file, for ``save_txt``; None if the predictor writes none.
        crops: The part of the image around each object, with the name of its class, for ``save_crop``; None if the
            predictor cuts none.
        detections: The objects as arrays of numpy, not rounded; None if the predictor gives none.
        names: The names of the classes by number.
        point_names: For each class, the names of its points; empty for a task without points.
        drawn: Draws the picture that ``plot()`` returns; set by the host.
    """

    path: Path
    image: Image = field(repr=False)
    objects: list[dict[str, Any]] = field(default_factory=list)
    frame: int | None = None
    fps: float | None = None
    label_rows: tuple[str, ...] | None = field(default=None, repr=False)
    crops: tuple[tuple[str, Image], ...] | None = field(default=None, repr=False)
    detections: Detections | None = field(default=None, repr=False)
    names: Mapping[int, str] = field(default_factory=dict, repr=False)
    point_names: Mapping[int, tuple[str, ...]] = field(default_factory=dict, repr=False)
    drawn: Callable[[ImagePrediction], Image | None] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.objects)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one object as plain data."""
        return self.objects[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the objects."""
        return iter(self.objects)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        height, width = self.image.shape[:2]
        return width, height

    @property
    def boxes(self) -> Array:
        """Array of shape (N, 4), float32: x1, y1, x2, y2 in pixels of the image; upright also around oriented ones."""
        boxes: Array = self._arrays.boxes
        return boxes

    @property
    def scores(self) -> Array:
        """Array of shape (N,), float32: confidences from 0 to 1."""
        scores: Array = self._arrays.scores
        return scores

    @property
    def classes(self) -> Array:
        """Array of shape (N,), int64: class numbers, which `names` has the names of."""
        classes: Array = self._arrays.classes
        return classes

    @property
    def points(self) -> Array | None:
        """Array of shape (N, K, 2) or (N, K, 3), float32: x, y in pixels and a confidence; None without points."""
        points: Array | None = self._arrays.points
        return points

    @property
    def _arrays(self) -> Any:  # `Detections` whose tensors are arrays
        if self.detections is None:
            raise AttributeError("the predictor of this task gives no arrays. Fix: use .objects")
        return self.detections

    def plot(self) -> Image:
        """Return a copy of the image with what was found drawn on it, as the task draws it: (H, W, 3), uint8, BGR."""
        picture = self.drawn(self) if self.drawn is not None else None
        return self.image.copy() if picture is None else picture

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON can hold it."""
        width, height = self.size
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
    image: Image = field(repr=False)


@dataclass(frozen=True)
class UnreadableImage:
    """An image or a video that could not be read, or not to its end.

    Attributes:
        path: The file.
        reason: The problem.
        fix: How to fix it.
    """

    path: Path
    reason: str
    fix: str = "replace or remove it"

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
        predictions: The predictions, image by image.
        files: The files that were written.
        unreadable: The images that could not be read.
        images: The number of images and video frames that were read.
        objects: The number of objects that were found.
        empty: The images and videos in which nothing was found.
    """

    task: str
    model: Path
    save_dir: Path | None
    predictions: list[dict[str, Any]]
    files: list[Path]
    unreadable: list[UnreadableImage] = field(default_factory=list)
    images: int = 0
    objects: int = 0
    empty: list[Path] = field(default_factory=list)

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

"""The shapes of objects that cross the border between host, plugins and engine, without importing the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trainer_host.base.results import StartingWeights, TrainingOutcome, UnreadableImage
    from trainer_host.base.vision import AnnotatedImage, Detections

Module: TypeAlias = Any
"""A `torch.nn.Module`."""
Image: TypeAlias = Any
"""A picture as `numpy.ndarray`, height x width x 3, uint8, BGR."""
Optimizer: TypeAlias = Any
"""A `torch.optim.Optimizer`."""
Device: TypeAlias = Any
"""A `torch.device`."""
Trainer: TypeAlias = Any
"""The engine's trainer, a subclass of `ultralytics.engine.trainer.BaseTrainer`."""
Batch: TypeAlias = dict[str, Any]
"""What the loader's collate function returns; ``img`` is a tensor of shape (N, C, H, W)."""
Tensor: TypeAlias = Any
"""A `torch.Tensor`."""
Sampler: TypeAlias = Any
"""A `torch.utils.data.Sampler`."""
Augmentation: TypeAlias = "Callable[[AnnotatedImage], AnnotatedImage]"
"""Returns a changed image with its labels; draws its random numbers from `random` or `numpy.random`."""
Postprocess: TypeAlias = "Callable[[Sequence[Detections]], Sequence[Detections]]"
"""Returns what is kept of the predictions on a batch of images, one entry for each."""
Loss: TypeAlias = "Callable[[Any, Batch], tuple[Tensor, dict[str, Tensor]]]"
"""Of a model's outputs and a batch it returns the loss, summed over the batch, and its parts by name, detached."""
LossTerm: TypeAlias = "Callable[[Any, Batch], Tensor]"
"""Of a model's outputs and a batch it returns a scalar, summed over the batch."""


class Dataset(Protocol):
    """A map-style dataset, as torch defines it."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""
        ...


class Loader(Protocol):
    """A data loader: an iterable of batches with the attributes that the training loop reads."""

    dataset: Any
    sampler: Any
    batch_size: int | None
    num_workers: int

    def __len__(self) -> int:
        """Return the number of batches."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the batches of one epoch."""
        ...


class Validator(Protocol):
    """Measures a model: called with ``trainer`` while training and with ``model`` on its own.

    Attributes:
        metrics: An object whose ``keys`` are the names of the metrics, those of plugins (``ctx.metrics``) included.
    """

    metrics: Any

    def __call__(self, trainer: Trainer | None = None, model: Module | None = None) -> dict[str, float]:
        """Return the metrics, with ``fitness`` among them: the larger, the better."""
        ...


class Metric(Protocol):
    """Measures predictions against labels, image by image. Metrics of torchmetrics have the same methods."""

    def reset(self) -> None:
        """Begin a new measurement."""
        ...

    def update(self, found: Detections, truth: Detections) -> None:
        """Take in one image: what was found, and its labels, both in pixels of the image that the model saw."""
        ...

    def compute(self) -> float:
        """Return the figure for all images since `reset`."""
        ...


class Predictor(Protocol):
    """Finds objects in images, one prediction for each image or video frame."""

    def __call__(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what is found, image by image."""
        ...


class Prediction(Protocol):
    """What a predictor found in one image.

    Attributes:
        path: The file that the image came from.
        frame: The frame's number in a video, counted from 1; None for an image.
        fps: Frames per second of the video; None for an image.
        image: The image.
        objects: The things found, as plain data that JSON can hold.
    """

    path: Path
    frame: int | None
    fps: float | None
    image: Image
    objects: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON can hold it."""
        ...


class Training(Protocol):
    """What a session asks of an engine to train with. Another engine has to give no more than this."""

    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up what training needs; return what the run's record says of it."""
        ...

    def describe(self) -> str:
        """Return in a few words what is going to be trained, and on what."""
        ...

    def warnings(self) -> list[str]:
        """Return what the settings do that is easily missed."""
        ...

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from; None while they are not known."""
        ...

    def train(self) -> TrainingOutcome:
        """Train, and return the outcome."""
        ...


class Finished(Protocol):
    """What a session asks of an engine for a finished model."""

    def validate(self) -> dict[str, float]:
        """Measure the model."""
        ...

    def predict(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image."""
        ...

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None where there is none."""
        ...

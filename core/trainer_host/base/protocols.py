"""Types that cross the border between host, plugins and engine, without importing the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import UnreadableImage
    from trainer_host.base.type_aliases import Batch, Image, Module, Tensor, Trainer
    from trainer_host.base.vision import AnnotatedImage, Detections

Augmentation: TypeAlias = "Callable[[AnnotatedImage], AnnotatedImage]"
"""Returns a changed image with its labels; draws its random numbers from `random` or `numpy.random`."""
Postprocess: TypeAlias = "Callable[[Sequence[Detections]], Sequence[Detections]]"
"""Filters or changes the predictions on a batch of images; returns one entry for each image."""
Loss: TypeAlias = "Callable[[Any, Batch], tuple[Tensor, dict[str, Tensor]]]"
"""Takes a model's outputs and a batch; returns the loss, summed over the batch, and its parts by name, detached.

A task may declare that its loss is a mean instead: `TaskSpec.loss_reduction`.
"""
LossTerm: TypeAlias = "Callable[[Any, Batch], Tensor]"
"""Takes a model's outputs and a batch; returns a scalar, summed over the batch."""


class TrainingArgs(Protocol):
    """Settings of a run by attribute. Those below exist with every engine; others depend on it. Read-only.

    Attributes:
        model: Model file or architecture; None if the task builds its own.
        data: Dataset, as the user gave it or as the YAML that it was resolved to.
        epochs: Planned epochs.
        time: Hours after which training ends, or None.
        batch: Images per batch; before set-up also -1 or a fraction of the device's memory, if the engine chooses.
        imgsz: Image size in pixels; training takes one number.
        device: Device as the user gave it; ``ctx.device`` is the one in use.
        workers: Worker processes of a loader.
        seed: Seed of the random generators.
        optimizer: Name of the optimizer, or ``auto``.
        lr0: Initial learning rate.
        patience: Epochs without improvement after which training ends.
        split: Split to evaluate on.
        fraction: Fraction or number of the training images to use.
        classes: Indices of the classes to use, or None for all.
        single_cls: Whether all classes count as one.
        fliplr: Probability of a left-right flip.
        flipud: Probability of an upside-down flip.
        plots: Whether to write pictures and curves.
    """

    model: str | None
    data: str | None
    epochs: int
    time: float | None
    batch: int
    imgsz: Any
    device: Any
    workers: int
    seed: int
    optimizer: str
    lr0: float
    patience: int
    split: str
    fraction: Any
    classes: Any
    single_cls: bool
    fliplr: float
    flipud: float
    plots: bool

    def __getattr__(self, name: str, /) -> Any:
        """Return a setting that only some engines have."""
        ...


class Dataset(Protocol):
    """A map-style dataset, as torch defines it."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""
        ...


class Loader(Protocol):
    """An iterable of batches with the attributes that the training loop reads, such as a torch `DataLoader`."""

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
    """Evaluates a model: called with ``trainer`` during training, with ``model`` otherwise.

    Attributes:
        metrics: An object whose ``keys`` are the names of the metrics, including those of plugins (``ctx.metrics``).
    """

    metrics: Any

    def __call__(self, trainer: Trainer | None = None, model: Module | None = None) -> dict[str, float]:
        """Return the metrics by name, including ``fitness``: higher is better."""
        ...


class Metric(Protocol):
    """Compares predictions with labels, image by image. Metrics of torchmetrics have the same methods.

    In several processes it is updated with all images in each of them. If it also has ``state()``, which returns plain
    data and tensors, and ``merge(states)``, it is updated where an image is evaluated, and takes over those of all.
    """

    def reset(self) -> None:
        """Begin a new evaluation."""
        ...

    def update(self, found: Detections, truth: Detections) -> None:
        """Add one image: its predictions and its labels, both in pixels of the image that the model saw."""
        ...

    def compute(self) -> float:
        """Return the value for all images since `reset`."""
        ...


class Predictor(Protocol):
    """Finds objects in images or video frames."""

    def __call__(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield one prediction for each image or frame; see the hook `build_predictor` for ``source``."""
        ...


class Prediction(Protocol):
    """Result of a predictor on one image.

    Attributes:
        path: File that the image was read from.
        frame: Number of the frame in a video, counted from 1; None for an image.
        fps: Frames per second of the video; None for an image.
        image: The image.
        objects: The objects found, as plain data that JSON can hold.
    """

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def frame(self) -> int | None: ...  # noqa: D102
    @property
    def fps(self) -> float | None: ...  # noqa: D102
    @property
    def image(self) -> Image: ...  # noqa: D102
    @property
    def objects(self) -> list[dict[str, Any]]: ...  # noqa: D102

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as plain data that JSON can hold."""
        ...


@dataclass(frozen=True, kw_only=True)
class LaunchContext:
    """Processes to start, which train one run together.

    Attributes:
        run_file: The resolved run.
        save_dir: The run folder.
        processes: Number of processes, on all machines together.
        devices: Devices of the processes on one machine, as the user gave them; empty for the default.
        max_restarts: How often to start all processes again after one of them failed.
        command: Words of the command of one process. Given again, it goes on from the newest state of the run.
        environment: Variables of the processes, besides those that say their ranks.
        reporter: Shows where the processes are.
        options: Options of each plugin of the run, by the plugin's name.
    """

    run_file: Path
    save_dir: Path
    processes: int
    devices: tuple[str, ...] = ()
    max_restarts: int = 0
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    reporter: Reporter
    options: Mapping[str, Any] = field(default_factory=dict)


class Launcher(Protocol):
    """Starts the processes of a run.

    Each gets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT in its environment.
    """

    def launch(self, ctx: LaunchContext) -> int:
        """Start the processes, wait for them, and return the exit code of the command.

        A launcher that hands the run to a queue may return when it is queued.
        """
        ...

    def preview(self, ctx: LaunchContext) -> str:
        """Return what `launch` would start, as text for ``--dry-run``; nothing is started or written."""
        ...

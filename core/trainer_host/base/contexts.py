"""What hooks are given: frozen, typed views of a run. ``engine`` is the one way to the engine's own object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.protocols import (
        Augmentation,
        Batch,
        Device,
        Loader,
        Metric,
        Module,
        Optimizer,
        Postprocess,
        Sampler,
        Trainer,
    )

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run, as every hook sees it.

    Attributes:
        task: Name of the selected task.
        engine_task: The kind of task that the engine is told, which its own tables know.
        args: The engine's settings by attribute (``args.imgsz``, ``args.epochs``). Read them, do not write them.
        options: The options of each plugin of the run, by the plugin's name.
        data: The dataset's description, as `read_dataset` returned it; empty before that.
        save_dir: The run's folder, or None where nothing is written.
        exact: Whether the run promises the stock engine's arithmetic, bit for bit.
        offline: Whether nothing may be fetched from a network.
        device: The `torch.device` that computes.
        engine: The engine's trainer; None in `val` and `predict`, but for tasks made of a trainer class. It carries no
            promise of stability.
    """

    task: str
    engine_task: str
    args: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    save_dir: Path | None = None
    exact: bool = False
    offline: bool = False
    device: Device = None
    engine: Trainer = None

    def options_for(self, kind: type[T]) -> T:
        """Return the options of the plugin that declared ``kind`` as its options.

        Raises:
            PluginError: If no plugin of this run declared them.
        """
        for value in self.options.values():
            if isinstance(value, kind):
                return value
        raise PluginError(f"no plugin of this run declares the options {kind.__qualname__}.")


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """A model as it describes itself, before it is built.

    Attributes:
        name: The file, as the user gave it.
        setting: The setting that names it: ``model``, or ``pretrained`` if only its weights are taken.
        trained: Whether it has weights; otherwise it is an architecture.
        published: Whether it is the engine's own, of which everybody knows that it was made for another dataset.
        keys: The keys of the architecture, the attributes of a trained model that are plain data, and the keys of the
            dataset that the host trained it on. ``names`` (class index to name) is missing if the model has no names,
            ``nc`` and ``channels`` if it does not say them. A file may hold anything: check types.
    """

    name: str
    setting: str = "model"
    trained: bool = True
    published: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataContext(RunContext):
    """A dataset or a loader that is to be built.

    Attributes:
        source: What the user gave as ``data``.
        images: Folders that hold the images, where the source does not say it: one for all, or one for each split.
        split: The split that has to exist: ``val``, ``test``, or ``train``.
        path: The images of the split: a folder, a list file, or several of them.
        mode: ``train`` or ``val``.
        batch_size: Images in a batch.
        stride: The model's largest stride in pixels, at least 32; image sizes are multiples of it.
        rank: The process's rank in a group of several, -1 where there is one.
        augmentations: Functions that the dataset applies to each training image, after the engine's own.
        sampler: What chooses the images of an epoch, or None for all of them in random order.
        models: The models that are to be trained or evaluated on the dataset, as they describe themselves: that of
            ``model``, and of ``pretrained``. Empty if a dataset is checked alone, and for loaders.
    """

    source: str = ""
    images: tuple[str, ...] = ()
    split: str = "val"
    path: Any = None
    mode: str = "train"
    batch_size: int = 16
    stride: int = 32
    rank: int = -1
    augmentations: tuple[Augmentation, ...] = ()
    sampler: Sampler | None = None
    models: tuple[ModelFacts, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LabelContext(RunContext):
    """An image of a dataset, whose labels are to be drawn.

    Attributes:
        split: The split.
        image: The image's index in ``data.splits[split]``.
        mirrored: Whether to return the labels as they are after the image was flipped from left to right, which is
            what training sees of it half of the time.
    """

    split: str = "train"
    image: int = 0
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelContext(RunContext):
    """A model that is to be built, or to be told about its dataset.

    Attributes:
        cfg: The architecture: the name of a YAML file, or its content; None where the user gave no model.
        weights: A model whose weights the new one starts from, or None.
        model: The model, once it is built.
        verbose: Whether to log the model's layers.
        layers: Layers that plugins bring, by the name that a model YAML gives them.
    """

    cfg: str | dict[str, Any] | None = None
    weights: Module | None = None
    model: Module = None
    verbose: bool = False
    layers: Mapping[str, Layer] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OptimizerContext(RunContext):
    """An optimizer that is to be built.

    Attributes:
        model: The model to optimise.
        name: The optimizer's name, or ``auto``.
        lr: Learning rate.
        momentum: Momentum, or the first beta.
        decay: Weight decay, scaled to the batch size.
        iterations: Optimizer steps that are planned.
    """

    model: Module
    name: str
    lr: float
    momentum: float
    decay: float
    iterations: float


@dataclass(frozen=True, kw_only=True)
class LossContext(RunContext):
    """A loss that is to be built.

    Attributes:
        model: The model whose outputs it judges.
    """

    model: Module


@dataclass(frozen=True, kw_only=True)
class ScheduleContext(RunContext):
    """A schedule of learning rates that is to be built.

    Attributes:
        optimizer: The optimizer.
        epochs: Epochs that are planned; more or fewer where ``time=`` limits the run, which asks again.
    """

    optimizer: Optimizer
    epochs: int


@dataclass(frozen=True, kw_only=True)
class ValidationContext(RunContext):
    """A validator that is to be built.

    Attributes:
        loader: The loader of the validation images while training; None where the validator makes its own.
        callbacks: The engine's callbacks by event.
        model: The model to measure where it is measured on its own.
        metrics: Metrics of plugins by name, which the validator updates besides its own.
        postprocess: What becomes of the model's predictions before they are measured.
    """

    loader: Loader | None = None
    callbacks: Any = None
    model: Module = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    postprocess: Postprocess | None = None


@dataclass(frozen=True, kw_only=True)
class LogContext(RunContext):
    """Figures of a training that are to be logged.

    Attributes:
        epoch: The epoch that ended, counted from 1; None for the figures of the best checkpoint, after training.
        values: Losses, metrics and learning rates by the names that ``results.csv`` has; no metrics of an epoch
            that was not evaluated.
    """

    epoch: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlotContext(RunContext):
    """A picture of the training data that is to be drawn into ``save_dir``.

    Attributes:
        batch: The batch to draw, or None for a picture of the whole dataset's labels.
        step: The number of the batch since training began.
    """

    batch: Batch | None = None
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class PredictionContext(RunContext):
    """A predictor that is to be built, predictions that are to be post-processed, or one that is to be drawn.

    Attributes:
        model: The model.
        mode: ``predict``, or ``val`` while a model is measured.
        postprocess: What becomes of the model's predictions before they are returned.
        prepared: What a predictor keeps for later ones of the same model, such as the model made ready to compute;
            empty at first. The device and the precision stay the same, all other settings may differ.
    """

    model: Module = None
    mode: str = "predict"
    postprocess: Postprocess | None = None
    prepared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SampleContext:
    """A built-in sample dataset that is to be drawn.

    Attributes:
        folder: The folder to draw it into; it exists and is empty.
    """

    folder: Path


@dataclass(frozen=True)
class Sample:
    """A built-in sample dataset.

    Attributes:
        data: The dataset YAML.
        settings: Engine keys that suit it; what the user gives goes before.
    """

    data: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class AutobatchHints:
    """What the engine's choice of a batch size needs to know of a dataset.

    Attributes:
        max_objects: The most objects that one training image can hold, augmentation included.
        images: The number of training images.
    """

    max_objects: int = 0
    images: int = 0

"""Arguments of hooks: frozen, typed views of a run. ``engine`` is the one way to the engine's own object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.protocols import Augmentation, Loader, Metric, Postprocess, TrainingArgs
    from trainer_host.base.type_aliases import Batch, Device, Module, Optimizer, Sampler, Tensor, Trainer
    from trainer_host.data.description import Description

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run, as every hook sees it.

    Attributes:
        task: Name of the selected task.
        engine_task: The engine's kind of task, by which it knows this one.
        args: The engine's settings by attribute (``args.imgsz``, ``args.epochs``). Read-only.
        options: Options of each plugin of the run, by the plugin's name.
        data: The dataset's description, as `read_dataset` returned it; empty before that.
        save_dir: The run folder, or None if nothing is written.
        exact: Whether the run keeps the stock engine's arithmetic, bit for bit.
        offline: Whether downloads are forbidden.
        device: The device that computes; None before there is one, as when a dataset is checked.
        engine: The engine's trainer; None in ``val`` and ``predict``, except for tasks made from a trainer class. It
            carries no promise of stability.
        rank: The number of this process among those of the run, counted from 0.
        world_size: The number of processes of the run.
    """

    task: str
    engine_task: str
    args: TrainingArgs
    options: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    save_dir: Path | None = None
    exact: bool = False
    offline: bool = False
    device: Device | None = None
    engine: Trainer = None
    rank: int = 0
    world_size: int = 1

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
        setting: The setting that names it: ``model``, or ``pretrained`` if only its weights are used.
        trained: Whether it has weights; otherwise it is an architecture.
        published: Whether the engine publishes it, so that another dataset is expected.
        keys: Keys of the architecture, plain attributes of a trained model, and keys of the dataset that the host
            trained it on. ``names`` (class index to name) is missing if the model has no names, ``nc`` and
            ``channels`` if it does not say them. Files may hold anything: check types.
    """

    name: str
    setting: str = "model"
    trained: bool = True
    published: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataContext(RunContext):
    """A dataset to read or to check.

    Attributes:
        source: The value of ``data`` as the user gave it.
        images: Folders of the images, if ``source`` does not name them: one for all splits, or one for each.
        split: The split that has to exist besides ``train``: ``val``, ``test`` or ``train``.
        mode: ``train``, or ``val`` if trained models are evaluated on the dataset.
        data: The dataset as it was read; empty for `read_dataset`.
        models: The models of the run, before they are built: ``model``, and ``pretrained`` if given. Empty if a
            dataset is checked without a model.
    """

    source: str = ""
    images: tuple[str, ...] = ()
    split: str = "val"
    mode: str = "train"
    data: Description = field(default_factory=dict)  # type: ignore[assignment]  # empty before it is read
    models: tuple[ModelFacts, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LoaderContext(RunContext):
    """A loader to build, with its dataset, sampler and augmentations.

    Attributes:
        path: The value of the split's key in ``data``: a folder, a list file, several of them, or whatever the reader
            of the dataset put there.
        mode: ``train`` or ``val``.
        batch_size: Images per batch, of all processes together: the host gives each its part.
        stride: The model's largest stride in pixels, at least 32; image sizes are multiples of it.
        augmentations: Functions that the dataset applies to each training image, after the engine's own.
        sampler: The sampler of the training images, or None for all images in random order.
    """

    path: Any = None
    mode: str = "train"
    batch_size: int = 16
    stride: int = 32
    augmentations: tuple[Augmentation, ...] = ()
    sampler: Sampler | None = None


@dataclass(frozen=True, kw_only=True)
class LabelContext(RunContext):
    """Labels of an image to draw.

    Attributes:
        data: The dataset as it was read.
        split: The split's name.
        image: Index of the image in ``data.splits[split]``.
        mirrored: Whether to return the labels as they are after a left-right flip of the image, which training sees
            about half of the time.
    """

    data: Description = field(default_factory=dict)  # type: ignore[assignment]  # always given
    split: str = "train"
    image: int = 0
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelContext(RunContext):
    """A model to build, or to give attributes of its dataset.

    Attributes:
        cfg: The architecture: name of a YAML file, or its content; None if the user gave no model.
        weights: A model to start from, or None.
        model: The model; None before it is built.
        verbose: Whether to log the model's layers.
        layers: Layers of plugins, by the name that a model YAML gives them.
    """

    cfg: str | dict[str, Any] | None = None
    weights: Module | None = None
    model: Module = None  # type: ignore[assignment]  # every hook that uses it is called when it is there
    verbose: bool = False
    layers: Mapping[str, Layer] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OptimizerContext(RunContext):
    """An optimizer to build.

    Attributes:
        model: The model to optimize.
        name: The optimizer's name, or ``auto``.
        lr: Learning rate.
        momentum: Momentum, or the first beta.
        decay: Weight decay, scaled to the batch size.
        iterations: Planned optimizer steps.
    """

    model: Module
    name: str
    lr: float
    momentum: float
    decay: float
    iterations: float


@dataclass(frozen=True, kw_only=True)
class LossContext(RunContext):
    """A loss to build.

    Attributes:
        model: The model whose outputs the loss takes.
        sum_over_ranks: Returns the sums of a few numbers over all processes, without gradients. A loss that divides by
            a count of its batch, such as its objects, divides by this one, so that all processes together train as one.
            All have to call it equally often in a batch. It returns its argument in one process, and for the EMA.
    """

    model: Module
    sum_over_ranks: Callable[[Tensor], Tensor] = lambda numbers: numbers


@dataclass(frozen=True, kw_only=True)
class ScheduleContext(RunContext):
    """A learning-rate schedule to build.

    Attributes:
        optimizer: The optimizer.
        epochs: Planned epochs. ``time=`` may change the number, and the hook is called again.
    """

    optimizer: Optimizer
    epochs: int


@dataclass(frozen=True, kw_only=True)
class ValidationContext(RunContext):
    """A validator to build.

    Attributes:
        loader: The loader of the validation images during training; None if the validator makes its own.
        part: In one of several processes, the batches of that loader that are its own: one in as many as there are
            processes. A validator that takes it joins what it found with `gather`; any other evaluates all images in
            every process.
        gather: Returns plain data and tensors of all processes, by rank.
        callbacks: The engine's callbacks, by event.
        model: The model to evaluate; None during training, where the trainer has it.
        metrics: Metrics of plugins by name, which the validator updates besides its own.
        postprocess: Filters or changes predictions before they are evaluated; None if no plugin does.
    """

    loader: Loader | None = None
    part: Loader | None = None
    gather: Callable[[Any], list[Any]] = lambda value: [value]
    callbacks: Any = None
    model: Module | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    postprocess: Postprocess | None = None


@dataclass(frozen=True, kw_only=True)
class LogContext(RunContext):
    """Metrics of a training to log.

    Attributes:
        epoch: The epoch that ended, counted from 1; None for the best checkpoint, after training.
        values: Losses, metrics and learning rates by their names in the table of results; no metrics of an epoch that
            was not evaluated.
    """

    epoch: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlotContext(RunContext):
    """A picture of the training data to write into ``save_dir``.

    Attributes:
        batch: The batch to draw, or None for the labels of the whole dataset.
        step: Number of the batch since training began.
    """

    batch: Batch | None = None
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class PredictionContext(RunContext):
    """A predictor to build, or predictions to post-process or to draw.

    Attributes:
        model: The model.
        mode: ``predict``, or ``val`` while a model is evaluated.
        postprocess: Filters or changes predictions before they are returned; None if no plugin does.
        prepared: What a predictor keeps for later ones of the same model, such as the model made ready to compute;
            empty at first. The device and the precision stay the same, all other settings may differ.
    """

    model: Module
    mode: str = "predict"
    postprocess: Postprocess | None = None
    prepared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SampleContext:
    """A sample dataset to generate.

    Attributes:
        folder: The folder to write to; it exists and is empty.
    """

    folder: Path


@dataclass(frozen=True)
class Sample:
    """A generated sample dataset.

    Attributes:
        data: The dataset YAML.
        settings: Engine keys that suit it; values of the user take precedence.
    """

    data: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class AutobatchHints:
    """Facts about a dataset for the engine's choice of a batch size.

    Attributes:
        max_objects: Largest number of objects in one training image, augmentation included.
        images: Number of training images.
    """

    max_objects: int = 0
    images: int = 0

"""The hooks of a run.

A hook is *first result* where one answer is wanted: the selected task is asked first, then its base, and None
means 'ask my base'. Every other hook is answered by all, from the base to the task and then the extensions in the
order in which they were named, so that each can build on what came before. Extensions answer first-result hooks
only as wrappers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.markers import Done, hookspec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from trainer_host.base.annotations import Histogram, Shape
    from trainer_host.base.contexts import (
        AutobatchHints,
        DataContext,
        LabelContext,
        LogContext,
        LossContext,
        ModelContext,
        OptimizerContext,
        PlotContext,
        PredictionContext,
        RunContext,
        Sample,
        SampleContext,
        ScheduleContext,
        ValidationContext,
    )
    from trainer_host.base.findings import Finding
    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.protocols import (
        Augmentation,
        Batch,
        Dataset,
        Image,
        Loader,
        Loss,
        LossTerm,
        Metric,
        Module,
        Optimizer,
        Prediction,
        Predictor,
        Sampler,
        Validator,
    )
    from trainer_host.base.vision import Detections


class HookSpecs:
    """Every hook that a plugin may implement."""

    @hookspec(firstresult=True)
    def read_dataset(self, ctx: DataContext) -> Mapping[str, Any] | None:
        """Read what ``ctx.source`` names and return the dataset's description; None for another's format.

        The description has at least ``names`` (class index to name), ``train`` and ``val`` (what `build_dataset` is
        given as ``ctx.path``), and ``channels``; the split ``ctx.split`` has to be there too. Every other key is the
        task's own. What of it is plain data is stored in the checkpoint. A dict is enough; a ``Description`` also has
        the images and labels that were read, which are then checked, drawn in reports, and trained on as they are. What
        is wrong with them is put among its ``findings``, so that everything is told at once. Extensions are asked
        before the tasks.

        Called: when a run, a validation, a check or a conversion begins.

        Raises:
            DatasetError: If it cannot be read.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description of a dataset will have, without reading it; None for another's format.

        The task of whose ``dataset_keys`` most are among them is taken. Dataset YAMLs need no answer: the host looks at
        their keys.

        Called: where neither the user nor the model names the task.

        .. versionadded:: 0.1
        """

    @hookspec
    def check_dataset(self, ctx: DataContext) -> Iterable[Finding]:  # type: ignore[empty-body]
        """Yield what is wrong with ``ctx.data``.

        All findings of all plugins are collected and shown together. Errors stop the run, in one `DatasetError`; those
        of a split that the run does not use count as warnings. Keys may be missing after an error of reading, and
        ``ctx.data.splits`` is empty where the reader gave a plain dict: a check tolerates that.

        A task that compares the dataset with the model does it here: ``ctx.models`` describes the models that are to be
        trained (``ctx.mode`` is ``train``) or evaluated (``val``) on it.

        Called: after `read_dataset`, before a model is built.

        .. versionadded:: 0.1
        """

    @hookspec
    def suggest_keys(self, ctx: DataContext) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Return keys that the dataset's YAML lacks or has wrong, with what they are likely to be, as plain data.

        Where several suggest a key, the task goes before its base, and an extension before both.

        Called: for ``trainer check --fix``.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def annotate(self, ctx: LabelContext) -> Sequence[Shape] | None:
        """Return what to draw for the labels of an image: boxes, points and lines.

        Rows that cannot be drawn are left out. Without an answer images are shown bare.

        Called: for each image, and each mirror image, in the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec
    def histograms(self, ctx: DataContext) -> Iterable[Histogram]:  # type: ignore[empty-body]
        """Yield histograms of the dataset ``ctx.data``; sizes of images and objects in an image are the host's own.

        Called: for the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec
    def augmentations(self, ctx: DataContext) -> Iterable[Augmentation]:  # type: ignore[empty-body]
        """Return functions that change training images with their labels, in the order in which they are applied.

        They come after the engine's own augmentations. Each image goes through plain functions: no hook is called for
        it.

        Called: for the training split, at set-up, before `build_dataset`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataset(self, ctx: DataContext) -> Dataset | None:
        """Return the dataset of the images at ``ctx.path``, augmented where ``ctx.mode`` is ``train``.

        An attribute ``im_files``, a list of paths, lets the host draw predictions on images that were held out.

        Called: for each split, at set-up; again where the batch was halved for want of memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_sampler(self, ctx: DataContext, dataset: Dataset) -> Sampler | None:
        """Return what chooses the training images of an epoch; without an answer all come once, in random order.

        Called: for the training split, at set-up, between `build_dataset` and `build_dataloader`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataloader(self, ctx: DataContext, dataset: Dataset) -> Loader | None:
        """Return the loader of a dataset, shuffled where ``ctx.mode`` is ``train``.

        `torch.utils.data.DataLoader` is one. For validation ``ctx.batch_size`` is twice that of the training.

        Called: for each split, at set-up.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def preprocess_batch(self, ctx: RunContext, batch: Batch) -> Batch | None:
        """Move a training batch to the device and make it ready for the model.

        Without an answer of a plugin tensors are moved to the device, and that is all. Validators prepare their own
        batches.

        Called: for each training batch.

        .. versionadded:: 0.1
        """

    @hookspec
    def layers(self, ctx: ModelContext) -> Mapping[str, Layer]:  # type: ignore[empty-body]
        """Return layers by the name that a model YAML gives them.

        Called: before `build_model`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_model(self, ctx: ModelContext) -> Module | None:
        """Return the model for ``ctx.cfg`` and the dataset ``ctx.data``, starting from ``ctx.weights`` if given.

        The model is a `torch.nn.Module` that returns ``(loss, items)`` for a batch: the loss summed over the batch (the
        engine multiplies it by the number of processes), and each part of it by name, detached. For images it returns
        what the task's validator and predictor understand. A model with classes outside of torch and the engine is
        stored as a state dict; its attribute ``yaml``, if it is a dict, is stored too and comes back as ``ctx.cfg``.

        Called: at set-up, and when a state dict is restored.

        Raises:
            SettingsError: If ``ctx.cfg`` is a model that the task cannot train.

        .. versionadded:: 0.1
        """

    @hookspec
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Tell ``ctx.model`` about the dataset. What is set travels in the checkpoint and must be plain data.

        Called: after `build_model`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_loss(self, ctx: LossContext) -> Loss | None:
        """Return the loss of ``ctx.model``. The model's own answers where no task does.

        It is asked once for the model that is trained, and once for the moving average that is measured.

        Called: at set-up.

        .. versionadded:: 0.1
        """

    @hookspec
    def loss_terms(self, ctx: LossContext) -> Mapping[str, LossTerm]:  # type: ignore[empty-body]
        """Return terms that are added to the loss, by the name that progress and ``results.csv`` show.

        Called: at set-up, after `build_loss`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_optimizer(self, ctx: OptimizerContext) -> Optimizer | None:
        """Return the optimizer. The engine's own choice answers where no task does.

        Called: at set-up, once.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_schedule(self, ctx: ScheduleContext) -> Callable[[float], float] | None:
        """Return a function that gives, for an epoch counted from 0, the factor of the initial learning rates.

        The engine's own, by ``lrf`` and ``cos_lr``, answers where no task does. Warm-up rises to what it gives.

        Called: at set-up, and again where ``time=`` changes the number of epochs.

        .. versionadded:: 0.1
        """

    @hookspec
    def after_setup(self, ctx: RunContext) -> None:
        """Act once loaders, model and optimizer exist.

        The validator and the moving average of the weights may not exist yet.

        Called: at set-up; again after the batch was halved for want of memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def autobatch_hints(self, ctx: RunContext) -> AutobatchHints | None:
        """Return what the engine's choice of a batch size needs to know; without an answer both numbers are 0.

        Called: at set-up, with ``batch=-1`` or a share of the memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_validator(self, ctx: ValidationContext) -> Validator | None:
        """Return the validator, with ``ctx.loader`` while training and without one for a finished model.

        It is called with ``trainer=`` while training and with ``model=`` on its own, and returns the metrics by name,
        ``fitness`` among them; without it the loss selects ``best.pt``. Its attribute ``metrics.keys`` lists
        the metrics' names.

        Called: at set-up, and for a validation.

        .. versionadded:: 0.1
        """

    @hookspec
    def metrics(self, ctx: ValidationContext) -> Mapping[str, Metric]:  # type: ignore[empty-body]
        """Return metrics by name, which are measured in every validation besides the task's own.

        A name such as ``metrics/PCK`` becomes a column of ``results.csv``, and can be given to ``--best-metric``.

        Called: before `build_validator`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def postprocess(self, ctx: PredictionContext, found: Sequence[Detections]) -> Sequence[Detections] | None:
        """Return what is kept of the predictions on a batch of images.

        In a validation (``ctx.mode`` is ``val``) coordinates are in pixels of the images that the model saw, in a
        prediction in those of the files.

        Called: for each batch of a validation or a prediction.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def fitness(self, ctx: RunContext, metrics: Mapping[str, float]) -> float | None:
        """Return how good a model with these metrics is: the larger, the better. It selects ``best.pt``.

        ``metrics`` has the value that selects otherwise as ``fitness``: that of the task's ``best_metric``, or else of
        the validator. If the user names a metric, it takes the place of every answer; wrappers still see its value
        (negative if the lowest is the best), and what they return selects ``best.pt``.

        Called: after each validation of a training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def final_eval(self, ctx: RunContext) -> Mapping[str, float] | Done | None:
        """Measure the best checkpoint after training; return its metrics, or `DONE` to keep the last ones.

        Without an implementation the validator measures it; ``ctx.engine.measure_best()`` does that for an
        implementation that only adds something.

        Called: after the last epoch, unless a signal stopped the run.

        .. versionadded:: 0.1
        """

    @hookspec
    def callbacks(self, ctx: RunContext) -> Mapping[str, Callable[[Any], None]]:  # type: ignore[empty-body]
        """Return functions by the engine's event, such as ``on_train_epoch_end``; each gets the trainer.

        The functions of an event are called base first. An event that the engine does not have is a `PluginError`.

        Called: when a run or a validation begins.

        .. versionadded:: 0.1
        """

    @hookspec
    def log(self, ctx: LogContext) -> None:
        """Write down the figures of an epoch, and after training those of the best checkpoint.

        Called: after each epoch, before its checkpoint is written, and once after the final measurement.

        .. versionadded:: 0.1
        """

    @hookspec
    def state_dict(self, ctx: RunContext) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Return what the checkpoint keeps for the plugin: numbers, text, lists, dicts and tensors.

        Called: when a checkpoint is written.

        .. versionadded:: 0.1
        """

    @hookspec
    def load_state_dict(self, ctx: RunContext, state: Mapping[str, Any]) -> None:
        """Take back what the plugin's `state_dict` returned, of a training that is resumed or a model that is used.

        Called: when a checkpoint that keeps something for the plugin is restored.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def plot(self, ctx: PlotContext) -> Done | None:
        """Draw the training batch ``ctx.batch``, or the labels of the whole dataset where it is None; return `DONE`.

        Called: for some training batches and for the labels, with ``plots=True``.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_predictor(self, ctx: PredictionContext) -> Predictor | None:
        """Return the predictor of ``ctx.model``; without an answer the task does not predict.

        It is called with a list of images, each a path or a `LoadedImage`, or with a list of one video, as often as
        there are images; for a camera, an address or the screen with its name. It yields an `ImagePrediction`, or what
        has the same attributes, for each image or frame, and an `UnreadableImage` for one that cannot be read.

        Called: for a prediction, and for the picture after training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def draw(self, ctx: PredictionContext, prediction: Prediction) -> Image | None:
        """Return ``prediction.image`` with what was found drawn on a copy of it; without an answer none is written.

        Called: for each image of a prediction.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def sample(self, ctx: SampleContext) -> Sample | None:
        """Draw the task's built-in sample dataset into ``ctx.folder``. What the user sets goes before its settings.

        Called: where there is no dataset; once for each release of the host and each working folder.

        .. versionadded:: 0.1
        """


BASE_FIRST = frozenset(
    name
    for name, hook in vars(HookSpecs).items()
    if not name.startswith("_") and not hook.trainer_host_spec["firstresult"]
)
"""Hooks that everybody answers, from the base to the task, and then the extensions. Authors write nothing for it."""

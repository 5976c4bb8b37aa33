"""The hooks of a run.

Names follow one pattern: a verb and its object (``build_model``) for a hook that acts or gives one answer, a plural
noun (``layers``, and torch's ``state_dict``) for a hook that collects what all plugins contribute.

A *first result* hook takes one answer: the selected task is called first, then its base, and None means 'ask my base'.
All other hooks are answered by everybody, from the base to the task and then the extensions in the order in which they
were named, so that each can build on what came before. Extensions implement first-result hooks only as wrappers.
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
        LoaderContext,
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
        Dataset,
        Loader,
        Loss,
        LossTerm,
        Metric,
        Prediction,
        Predictor,
        Validator,
    )
    from trainer_host.base.type_aliases import Batch, Image, Module, Optimizer, Sampler
    from trainer_host.base.vision import Detections


class HookSpecs:
    """Every hook that a plugin may implement."""

    @hookspec(firstresult=True)
    def read_dataset(self, ctx: DataContext) -> Mapping[str, Any] | None:
        """Read the dataset that ``ctx.source`` names and return its description; None for an unknown format.

        The description has at least ``names`` (class index to name), ``channels``, ``train`` and ``val`` (passed to
        `build_dataset` as ``ctx.path``), and ``ctx.split``. Other keys are the task's own; plain data among them is
        stored in the checkpoint. A dict is enough. A ``Description`` also carries the images and labels, which are then
        checked, drawn in reports and trained on without being read again; put problems among its ``findings``, so that
        all are reported together. Extensions are called before the tasks.

        Called: at the start of a run, a validation, a check or a conversion.

        Raises:
            DatasetError: If the dataset cannot be read.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that a dataset's description will have, without reading it; None for an unknown format.

        The task with the most ``dataset_keys`` among them is selected. Dataset YAMLs need no answer: the host looks at
        their keys.

        Called: if neither the user nor the model names the task.

        .. versionadded:: 0.1
        """

    @hookspec
    def check_dataset(self, ctx: DataContext) -> Iterable[Finding]:  # type: ignore[empty-body]
        """Yield the problems of ``ctx.data``.

        The findings of all plugins are reported together. Errors stop the run with one `DatasetError`; those of a split
        that the run does not use count as warnings. After an error of reading keys may be missing, and
        ``ctx.data.splits`` is empty if the reader returned a plain dict: a check tolerates both.

        This is also the place to compare the dataset with the model: ``ctx.models`` describes the models that are
        trained (``ctx.mode`` is ``train``) or evaluated (``val``) on it.

        Called: after `read_dataset`, before a model is built.

        .. versionadded:: 0.1
        """

    @hookspec
    def suggest_keys(self, ctx: DataContext) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Return likely values for keys that are missing or wrong in the dataset's YAML, as plain data.

        If several plugins suggest a key, the task takes precedence over its base, and an extension over both.

        Called: for ``trainer check --fix``.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def annotate_image(self, ctx: LabelContext) -> Sequence[Shape] | None:
        """Return the shapes to draw for the labels of an image: boxes, points and lines.

        Skip rows that cannot be drawn. Without an answer the report shows images without labels.

        Called: for each image, and its mirror image, in the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec
    def histograms(self, ctx: DataContext) -> Iterable[Histogram]:  # type: ignore[empty-body]
        """Yield histograms of the dataset ``ctx.data``; the host adds those of image sizes and objects per image.

        Called: for the report of a dataset.

        .. versionadded:: 0.1
        """

    @hookspec
    def augmentations(self, ctx: LoaderContext) -> Iterable[Augmentation]:  # type: ignore[empty-body]
        """Return functions that change training images with their labels, in the order in which they are applied.

        They follow the engine's own augmentations. The functions are called directly, since a hook call for each image
        would be slow.

        Called: for the training split, at set-up, before `build_dataset`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataset(self, ctx: LoaderContext) -> Dataset | None:
        """Return the dataset of the images at ``ctx.path``, augmented if ``ctx.mode`` is ``train``.

        With an attribute ``im_files``, a list of paths, the host draws predictions on validation images after training.

        Called: for each split, at set-up; again if the batch is halved after running out of memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_sampler(self, ctx: LoaderContext, dataset: Dataset) -> Sampler | None:
        """Return the sampler of the training images; without an answer every image occurs once, in random order.

        Called: for the training split, at set-up, between `build_dataset` and `build_dataloader`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_dataloader(self, ctx: LoaderContext, dataset: Dataset) -> Loader | None:
        """Return the loader of a dataset, shuffled if ``ctx.mode`` is ``train``.

        A `torch.utils.data.DataLoader` will do. For validation ``ctx.batch_size`` is twice that of training.

        Called: for each split, at set-up.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def preprocess_batch(self, ctx: RunContext, batch: Batch) -> Batch | None:
        """Move a training batch to the device and prepare it for the model.

        The default moves its tensors to the device. Validators prepare their own batches.

        Called: for each training batch.

        .. versionadded:: 0.1
        """

    @hookspec
    def layers(self, ctx: ModelContext) -> Mapping[str, Layer]:  # type: ignore[empty-body]
        """Return layers by the name that a model YAML gives them.

        Called: before `build_model`, and before that to check the model YAML, when the dataset is not read yet.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_model(self, ctx: ModelContext) -> Module | None:
        """Return the model for ``ctx.cfg`` and the dataset ``ctx.data``, starting from ``ctx.weights`` if given.

        The model is a `torch.nn.Module`. For a batch it returns ``(loss, items)``: the loss summed over the batch (the
        engine multiplies it by the number of processes), and its parts by name, detached. For images it returns
        whatever the task's validator and predictor take. A model with classes from outside torch and the engine is
        stored as a state dict; its attribute ``yaml``, if it is a dict, is stored too and comes back as ``ctx.cfg``.

        Called: at set-up, and when a state dict is restored.

        Raises:
            SettingsError: If the task cannot train the model ``ctx.cfg``.

        .. versionadded:: 0.1
        """

    @hookspec
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Set attributes of ``ctx.model`` that depend on the dataset: plain data, which the checkpoint keeps.

        Called: after `build_model`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_loss(self, ctx: LossContext) -> Loss | None:
        """Return the loss of ``ctx.model``; the default is the model's own.

        It is built once for the model in training and once for its EMA, which is evaluated.

        Called: at set-up.

        .. versionadded:: 0.1
        """

    @hookspec
    def loss_terms(self, ctx: LossContext) -> Mapping[str, LossTerm]:  # type: ignore[empty-body]
        """Return terms to add to the loss, by the name that progress and ``results.csv`` show.

        Called: at set-up, after `build_loss`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_optimizer(self, ctx: OptimizerContext) -> Optimizer | None:
        """Return the optimizer; the default is the engine's choice.

        Called: at set-up, once.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_schedule(self, ctx: ScheduleContext) -> Callable[[float], float] | None:
        """Return a function of the epoch, counted from 0, that gives the factor of the initial learning rates.

        The default is the engine's schedule, by ``lrf`` and ``cos_lr``. Warm-up rises to the returned value.

        Called: at set-up, and again if ``time=`` changes the number of epochs.

        .. versionadded:: 0.1
        """

    @hookspec
    def finish_setup(self, ctx: RunContext) -> None:
        """Act once loaders, model and optimizer exist; the validator and the EMA may not exist yet.

        Called: at set-up; again if the batch is halved after running out of memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_autobatch_hints(self, ctx: RunContext) -> AutobatchHints | None:
        """Return facts for the engine's choice of a batch size; without an answer both numbers are 0.

        Called: at set-up, with ``batch=-1`` or a fraction of the memory.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_validator(self, ctx: ValidationContext) -> Validator | None:
        """Return the validator: with ``ctx.loader`` during training, without one for a trained model.

        It is called with ``trainer=`` during training and with ``model=`` otherwise, and returns the metrics by name,
        ``fitness`` among them; without it the loss selects ``best.pt``. Its attribute ``metrics.keys`` lists
        the metrics' names.

        Called: at set-up, and for a validation.

        .. versionadded:: 0.1
        """

    @hookspec
    def metrics(self, ctx: ValidationContext) -> Mapping[str, Metric]:  # type: ignore[empty-body]
        """Return metrics by name, which every validation computes besides the task's own.

        A name such as ``metrics/PCK`` becomes a column of ``results.csv`` and a value for ``--best-metric``.

        Called: before `build_validator`.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def postprocess_predictions(
        self, ctx: PredictionContext, found: Sequence[Detections]
    ) -> Sequence[Detections] | None:
        """Return the predictions on a batch of images, filtered or changed: one entry for each image.

        Coordinates are in pixels: of the images that the model saw in a validation (``ctx.mode`` is ``val``), of the
        files in a prediction.

        Called: for each batch of a validation or a prediction.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def compute_fitness(self, ctx: RunContext, metrics: Mapping[str, float]) -> float | None:
        """Return how good a model with these metrics is: the larger, the better. It selects ``best.pt``.

        ``metrics`` has the value that selects otherwise as ``fitness``: that of the task's ``best_metric``, or else of
        the validator. If the user names a metric, it takes the place of every answer; wrappers still see its value
        (negative if the lowest is the best), and what they return selects ``best.pt``.

        Called: after each validation during training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def evaluate_best(self, ctx: RunContext) -> Mapping[str, float] | Done | None:
        """Evaluate the best checkpoint after training; return its metrics, or `DONE` to keep the last ones.

        By default the validator evaluates it. An implementation that only adds something calls
        ``ctx.engine.measure_best()`` for the same metrics.

        Called: after the last epoch, unless a signal stopped the run.

        .. versionadded:: 0.1
        """

    @hookspec
    def callbacks(self, ctx: RunContext) -> Mapping[str, Callable[[Any], None]]:  # type: ignore[empty-body]
        """Return functions by the engine's event, such as ``on_train_epoch_end``; each takes the trainer.

        The functions of an event are called base first. An unknown event is a `PluginError`.

        Called: at the start of a run or a validation.

        .. versionadded:: 0.1
        """

    @hookspec
    def log_metrics(self, ctx: LogContext) -> None:
        """Log the values of an epoch, and after training those of the best checkpoint.

        Called: after each epoch, before its checkpoint is written, and once after the final evaluation.

        .. versionadded:: 0.1
        """

    @hookspec
    def state_dict(self, ctx: RunContext) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """Return what the checkpoint keeps for the plugin: numbers, text, lists, dicts and tensors.

        Called: when a checkpoint or a training state is written, also in the middle of an epoch.

        .. versionadded:: 0.1
        """

    @hookspec
    def load_state_dict(self, ctx: RunContext, state: Mapping[str, Any]) -> None:
        """Restore what the plugin's `state_dict` returned, for a resumed training or a trained model.

        Called: when a checkpoint or a training state that keeps something for the plugin is restored, which a training
        may do more than once.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def plot_data(self, ctx: PlotContext) -> Done | None:
        """Draw the training batch ``ctx.batch``, or the labels of the whole dataset if it is None; return `DONE`.

        Called: for some training batches and for the labels, with ``plots=True``.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_predictor(self, ctx: PredictionContext) -> Predictor | None:
        """Return the predictor of ``ctx.model``; without an answer the task does not predict.

        It is called with a list of images, each a path or a `LoadedImage`, or with a list of one video, as often as
        needed; for a camera, an address or the screen with its name. It yields an `ImagePrediction`, or an
        object with the same attributes, for each image or frame, and an `UnreadableImage` for one that cannot be read.
        Results with ``detections`` have arrays.

        The program computes between two results: a generator that switches gradients off is decorated with
        ``torch.no_grad()``, which ends at each result, rather than having a ``with`` in it. A loaded model predicts
        again and again, each time with other settings: keep in ``ctx.prepared`` what need not be made each time.

        Called: for each prediction, and for the picture after training.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def draw_prediction(self, ctx: PredictionContext, prediction: Prediction) -> Image | None:
        """Return a copy of ``prediction.image`` with the objects drawn on it; without an answer none is written.

        Called: for each image of a prediction.

        .. versionadded:: 0.1
        """

    @hookspec(firstresult=True)
    def build_sample(self, ctx: SampleContext) -> Sample | None:
        """Generate the task's sample dataset in ``ctx.folder``. Settings of the user take precedence over its own.

        Called: if no dataset is given; once for each release of the host and each working folder.

        .. versionadded:: 0.1
        """


BASE_FIRST = frozenset(
    name
    for name, hook in vars(HookSpecs).items()
    if not name.startswith("_") and not hook.trainer_host_spec["firstresult"]
)
"""Hooks that everybody answers, from the base to the task, then the extensions. Authors need not mark them."""

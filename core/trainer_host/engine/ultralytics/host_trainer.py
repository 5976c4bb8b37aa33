"""The host trainer: the engine's training loop, with a hook where a task or an extension has its say."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG

from trainer_host.base.contexts import (
    AutobatchHints,
    DataContext,
    LogContext,
    ModelContext,
    OptimizerContext,
    PlotContext,
    PredictionContext,
    RunContext,
    ScheduleContext,
    ValidationContext,
)
from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.findings import DatasetError
from trainer_host.base.results import Ending
from trainer_host.data.check_runner import unanswered
from trainer_host.data.description import FOUND
from trainer_host.engine.checkpoint.reading import Checkpoint, read_checkpoint
from trainer_host.engine.checkpoint.record import RECORD
from trainer_host.engine.error_translation import loss_error
from trainer_host.engine.plugin_states import PLUGIN_STATES, restore_states
from trainer_host.engine.ultralytics.architecture import vet_model_file
from trainer_host.engine.ultralytics.contributions import (
    Postprocessing,
    join_callbacks,
    joined_augmentations,
    joined_metrics,
    postprocessing,
    require_asked,
    require_augmentations,
    require_finite,
    require_measured,
    require_sampler,
)
from trainer_host.engine.ultralytics.end_of_training import ending_of
from trainer_host.engine.ultralytics.freeze_setting import refuse_freeze
from trainer_host.engine.ultralytics.model_facts import starting_models
from trainer_host.engine.ultralytics.model_loading import starting_weights, trained_model
from trainer_host.engine.ultralytics.model_selection import fitness_of, require_known, selecting_metric
from trainer_host.engine.ultralytics.plugin_layers import with_layers
from trainer_host.engine.ultralytics.plugin_losses import add_losses
from trainer_host.engine.ultralytics.reimplemented.final_eval import final_eval
from trainer_host.engine.ultralytics.reimplemented.load_model import setup_model, teacher_of
from trainer_host.engine.ultralytics.reimplemented.mixed_precision import after_test, skip_test
from trainer_host.engine.ultralytics.reimplemented.recovery import check_resume, recover
from trainer_host.engine.ultralytics.reimplemented.save_model import save_model
from trainer_host.engine.ultralytics.run_dataset import prepare_dataset
from trainer_host.engine.ultralytics.settings_validation import several_devices
from trainer_host.engine.ultralytics.starting_weights import random_weights, taken_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.base.protocols import Batch, Dataset, Metric, Module, Optimizer, Validator
    from trainer_host.base.results import StartingWeights
    from trainer_host.engine.plan import Plan

C = TypeVar("C", bound=RunContext)


def refuse_several_devices(device: Any) -> None:
    """Refuse a ``device`` setting that names more than one.

    Raises:
        SettingsError: If it does.
    """
    if several_devices(device):
        raise SettingsError(
            Problem(f"device={device}: training on several devices is not supported yet.", "Name one: device=0")
        )


def refuse_quantization(quantize: Any) -> None:
    """Refuse to train with fake quantization: the state that it leaves in checkpoints can only be read by executing it.

    Raises:
        SettingsError: If it is asked for.
    """
    if str(quantize) == "8":
        fix = "Train without it, and quantize the model when you export it."
        raise SettingsError(Problem("quantize=8 is not supported in training.", fix))


class HostTrainer(BaseTrainer):
    """The engine's trainer with its decisions made by plugins.

    Args:
        cfg: Settings of the engine: a file, a dict or a namespace.
        overrides: Settings that go before.
        _callbacks: Functions by the engine's event.
        plan: The plugins and promises of the run.

    Attributes:
        ending: How the training ended, once it has.
        starting_weights: The weights that the training starts from, once there is a model.
        description: The dataset, as hooks see it; ``data`` has the engine's own copy of its keys.
        best_epoch: The epoch whose weights this training has written as the best checkpoint, counted from 1.
        evaluated_epoch: The last epoch that was evaluated, counted from 1.
    """

    lf: Callable[[float], float]
    ending = Ending("epochs")
    best_fitness: float | None
    description: Mapping[str, Any] = MappingProxyType({})
    setting_up = False
    amp_setting: Any = None
    teacher: Any = None
    starting_weights: StartingWeights | None = None
    best_epoch: int | None = None
    evaluated_epoch: int | None = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Any]] | None = None,
        *,
        plan: Plan,
    ) -> None:
        self.plan = plan
        self.interrupted = self.finishing = self.labels_due = self.saved = False
        self.plugin_metrics: dict[str, Metric] = {}
        self.postprocessing: Postprocessing | None = None
        overrides = {**(overrides or {}), "task": plan.chain.engine_task}
        refuse_several_devices(overrides.get("device", getattr(cfg, "device", None)))
        refuse_quantization(overrides.get("quantize", getattr(cfg, "quantize", None)))
        if not plan.drop_in:
            overrides.setdefault("model", "")  # a task may build a model of its own; the engine wants a text
        super().__init__(cfg, overrides, _callbacks)
        self.planned_epochs: int = self.epochs  # which the engine estimates anew if there is a limit of time
        refuse_several_devices(self.args.device)

    @property
    def hooks(self) -> Any:
        """The hooks of this run."""
        return self.plan.chain.manager.hook

    def context(self, kind: type[C], **fields: Any) -> C:
        """Return a view of this run for a hook."""
        common: dict[str, Any] = {
            "task": self.plan.chain.name,
            "engine_task": self.plan.chain.engine_task,
            "args": self.args,
            "options": self.plan.chain.options,
            "data": self.description,
            "save_dir": self.save_dir,
            "exact": self.plan.exact,
            "offline": self.plan.offline,
            "device": self.device,
            "engine": self,
        }
        return kind(**{**common, **fields})

    def _answer(self, hook: str, **arguments: Any) -> Any:
        """Return the first answer to a hook that must have one."""
        answer = getattr(self.hooks, hook)(**arguments)
        if answer is None:
            raise PluginError(unanswered(self.plan.chain.name, hook))
        return answer

    def run_callbacks(self, event: str) -> None:
        """Run the functions of an event; those of plugins join at the first."""
        if event == "on_pretrain_routine_start":
            join_callbacks(self.callbacks, self.plan.chain.manager, self.context(RunContext))
        if event == "on_fit_epoch_end" and self.labels_due:
            self.labels_due = False
            self.hooks.plot(ctx=self.context(PlotContext))
        if event == "on_pretrain_routine_end":
            add_losses(self)
        if event == "on_model_save":
            self.saved = True
            if self.best_fitness == self.fitness:  # the condition by which best.pt is written
                self.best_epoch = self.epoch + 1
        if event == "on_fit_epoch_end" and self.finishing:
            self._log(self.metrics or {}, None)
        super().run_callbacks(event)

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write a line of ``results.csv``, and have plugins log it before a checkpoint keeps their state.

        Raises:
            FileNotFoundError: If the run's folder disappeared, which the engine would make again.
        """
        if not self.save_dir.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.save_dir))
        super().save_metrics(metrics)
        if self.evaluated_epoch != self.epoch + 1:  # the engine has zeros for an epoch that it does not evaluate
            metrics = {k: v for k, v in metrics.items() if k not in self.metrics}
        self._log(metrics, self.epoch + 1)

    def _log(self, metrics: Mapping[str, Any], epoch: int | None) -> None:
        figures = MappingProxyType({k: float(v) for k, v in metrics.items()})
        self.hooks.log(ctx=self.context(LogContext, epoch=epoch, values=figures))

    def get_dataset(self) -> dict[str, Any]:
        """Read the dataset, have it checked, and return a copy of its keys, which the engine may change.

        Raises:
            DatasetError: If it cannot be read, or if a check finds an error.
        """
        models = starting_models(self.args)
        ctx = self.context(DataContext, source=str(self.args.data), split=self.args.split, models=models)
        data = prepare_dataset(self.plan, ctx, self.save_dir, {"train", self.args.split or "val"})
        if data.left_out.get("train") and not (data.splits["train"].labelled == FOUND).any():
            raise DatasetError(Problem("no train image with labels is left.", "Correct the images: see trainer check."))
        self.args.data = data.get("yaml_file", self.args.data)
        self.description = data
        return deepcopy(dict(data))

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Dataset:
        """Return the dataset of the images at ``img_path``."""
        ctx = self._data_context(img_path, batch or 1, -1, mode)
        ctx = replace(ctx, augmentations=joined_augmentations(self.plan.chain, ctx))
        dataset: Dataset = self._answer("build_dataset", ctx=ctx)
        require_augmentations(self.plan.chain, ctx, dataset)
        return dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Return the loader of the images at ``dataset_path``."""
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        ctx = self._data_context(dataset_path, batch_size, rank, mode)
        if mode == "train":
            ctx = replace(ctx, sampler=self.hooks.build_sampler(ctx=ctx, dataset=dataset))
        loader: Any = self._answer("build_dataloader", ctx=ctx, dataset=dataset)
        require_sampler(self.plan.chain, ctx, loader)
        if not hasattr(loader, "reset"):
            loader.reset = lambda: None  # the training loop asks every loader for it when mosaic ends
        return loader

    def _data_context(self, path: Any, batch_size: int, rank: int, mode: str) -> DataContext:
        stride = getattr(self.model, "stride", None)
        return self.context(
            DataContext,
            source=str(self.args.data),
            split=self.args.split,
            path=path,
            mode=mode,
            batch_size=batch_size,
            stride=max(int(stride.max()), 32) if stride is not None else 32,
            rank=rank,
        )

    def preprocess_batch(self, batch: Batch) -> Batch:
        """Return the batch, ready for the model."""
        prepared: Batch = self._answer("preprocess_batch", ctx=self.context(RunContext), batch=batch)
        return prepared

    def start_from(self, checkpoint: Checkpoint) -> tuple[Any, Module]:
        """Return the architecture and the weights that a checkpoint gives a new training."""
        if checkpoint.in_state_form:
            model = self.trained(checkpoint)
            return checkpoint.record.get("cfg"), model
        ctx = with_layers(self.plan.chain.manager, self.context(ModelContext))
        weights = starting_weights(checkpoint, ctx.layers)
        return deepcopy(getattr(weights, "yaml", None)), weights  # the new model changes its own

    def trained(self, checkpoint: Checkpoint) -> Module:
        """Return the model of a checkpoint, built by the task."""
        data = checkpoint.record.get("data") or self.description
        ctx = self.context(ModelContext, cfg=checkpoint.record.get("cfg"), data=data)
        build = self._build_informed_model if checkpoint.in_state_form else self._build_model
        return trained_model(checkpoint, build, with_layers(self.plan.chain.manager, ctx))

    def check_resume(self, overrides: Any) -> None:
        """Take over the settings of the checkpoint to resume from, if there is one."""
        check_resume(self, overrides)

    def setup_model(self) -> Any:
        """Build the model that training starts from, and return the checkpoint to resume from, if any."""
        content = setup_model(self)
        if not hasattr(self.model, "criterion"):
            self.model.criterion = None  # the training loop asks every model for it
        return content

    def note_start(self, weights: Module | None, source: Path | None, architecture: Path | None) -> None:
        """Note where the weights of the model come from.

        Args:
            weights: The model that holds them; None for random weights.
            source: The checkpoint that they come from.
            architecture: Another checkpoint that only the architecture comes from.
        """
        if weights is None or source is None:
            start = random_weights(self.model, architecture)
        else:
            start = taken_weights(self.model, weights, source, architecture)
        teacher = self.teacher
        self.starting_weights = replace(start, teacher=Path(teacher) if isinstance(teacher, (str, Path)) else None)

    def get_model(self, cfg: Any = None, weights: Module | None = None, verbose: bool = True) -> Module:
        """Return a new model for an architecture, starting from ``weights`` if given."""
        return self._build_model(self.context(ModelContext, cfg=cfg or None, weights=weights, verbose=verbose))

    def _build_model(self, ctx: ModelContext) -> Module:
        ctx = with_layers(self.plan.chain.manager, ctx)
        vet_model_file(ctx.cfg, ctx.layers)
        return self._answer("build_model", ctx=ctx)

    def _build_informed_model(self, ctx: ModelContext) -> Module:
        model = self._build_model(ctx)
        self.hooks.set_model_attributes(ctx=replace(ctx, model=model))
        return model

    def set_model_attributes(self) -> None:
        """Have the chain tell the model about the dataset."""
        refuse_freeze(self.args.freeze, self.model)
        self.hooks.set_model_attributes(ctx=self.context(ModelContext, model=self.model))
        if self.setting_up:  # the test comes next, before the engine asks the host for anything else
            self.amp_setting = skip_test(self)

    def build_optimizer(
        self,
        model: Module,
        name: str = "auto",
        lr: float = 0.001,
        momentum: float = 0.9,
        decay: float = 1e-5,
        iterations: float = 1e5,
    ) -> Optimizer:
        """Return the optimizer."""
        wanted = {"name": name, "lr": lr, "momentum": momentum, "decay": decay, "iterations": iterations}
        return self._answer("build_optimizer", ctx=self.context(OptimizerContext, model=model, **wanted))

    def _setup_scheduler(self) -> None:
        BaseTrainer._setup_scheduler(self)
        ctx = self.context(ScheduleContext, optimizer=self.optimizer, epochs=self.epochs)
        schedule = self._answer("build_schedule", ctx=ctx)
        if schedule is not self.lf:
            self.lf = schedule
            self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=schedule)

    def _setup_train(self) -> None:
        self.teacher = self.args.distill_model
        if self.teacher is not None and not self.resume:
            # The engine would load the file itself; a model it takes as it is.
            self.args.distill_model = teacher_of(self)
        self.setting_up = True
        try:
            super()._setup_train()
        finally:
            self.setting_up = False
            self._put_amp_back()

    def _put_amp_back(self) -> None:
        """Show the setting ``amp`` as the user gave it, once the engine has decided about mixed precision."""
        if self.amp_setting is not None:
            after_test(self, self.amp_setting)
            self.amp_setting = None

    def _build_train_pipeline(self) -> None:
        self._put_amp_back()
        self.args.distill_model = self.teacher  # the settings name a file again before anything keeps them
        BaseTrainer._build_train_pipeline(self)
        self.hooks.after_setup(ctx=self.context(RunContext))

    def auto_batch(self, *_: Any) -> int:
        """Return the largest batch that fits the device."""
        self._put_amp_back()
        hints: AutobatchHints = self._answer("autobatch_hints", ctx=self.context(RunContext))
        size: int = BaseTrainer.auto_batch(self, hints.max_objects, dataset_size=hints.images)
        return size

    def set_class_weights(self) -> None:
        """Do nothing: tasks weigh classes in the hook `after_setup`."""

    def get_validator(self) -> Validator:
        """Return the validator of the training's loader."""
        # A copy of the settings, so that what a validator changes in them stays its own.
        given = {"loader": self.test_loader, "args": copy(self.args), "callbacks": self.callbacks}
        ctx = self.context(ValidationContext, **given)
        self.plugin_metrics = joined_metrics(self.plan.chain, ctx)
        found = self.context(PredictionContext, model=self.model, mode="val")
        self.postprocessing = postprocessing(self.plan.chain, found)
        ctx = replace(ctx, metrics=self.plugin_metrics, postprocess=self.postprocessing)
        validator: Validator = self._answer("build_validator", ctx=ctx)
        # Known now rather than after an epoch: the columns of results.csv are made of these names.
        require_measured(self.plan.chain, self.plugin_metrics, dict.fromkeys(validator.metrics.keys, 0.0))
        return validator

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Return the metrics of the model, and how good they are."""
        before = self.best_fitness
        metrics, fitness = BaseTrainer.validate(self)
        if metrics is None:
            return metrics, fitness
        self.evaluated_epoch = self.epoch + 1
        require_measured(self.plan.chain, self.plugin_metrics, metrics)
        require_asked(self.plan.chain, self.postprocessing, "validator")
        fitness = fitness_of(self.plan, self.context(RunContext), metrics, fitness)
        if fitness is None:
            raise PluginError(unanswered(self.plan.chain.name, "fitness"))
        if self.plan.chain.answers("fitness") and bool(self.loss.isfinite()):  # otherwise the training is faulty
            require_finite(fitness)
        self.best_fitness = fitness if before is None or before < fitness else before
        return metrics, fitness

    def progress_string(self) -> str:
        """Return the head of the engine's progress table, which is asked for once the parts of the loss have names."""
        if not selecting_metric(self.plan).is_fitness:
            # Not earlier: the names of the loss, which may select best.pt too, are known with the first batch.
            losses = self.label_loss_items(prefix="val")
            require_known(self.plan, {*(self.metrics or {}), *self.plugin_metrics, *losses})
        heads = ("Epoch", "GPU_mem", *self.loss_names, "Instances", "Size")
        return "\n" + "".join(f"{head:>11}" for head in heads)

    def plot_training_samples(self, batch: Batch, ni: int) -> None:
        """Draw a training batch."""
        self.hooks.plot(ctx=self.context(PlotContext, batch=batch, step=ni))

    def plot_training_labels(self) -> None:
        """Draw the labels of the whole dataset; a run does so after its first epoch, which need not wait for it."""
        self.labels_due = not self.plan.drop_in
        if not self.labels_due:
            self.hooks.plot(ctx=self.context(PlotContext))

    def _handle_nan_recovery(self, epoch: int) -> bool:
        recovered = recover(self, epoch)
        lost = self.loss is not None and not bool(self.loss.isfinite())
        if lost and not recovered and not self.plan.drop_in:
            raise loss_error()
        return recovered

    def resume_training(self, ckpt: Any) -> None:
        """Take over what a checkpoint keeps of the training, and of the plugins."""
        BaseTrainer.resume_training(self, ckpt)
        if ckpt is not None and self.resume:
            kept = (ckpt.get(RECORD) or {}).get(PLUGIN_STATES) or {}
            restore_states(self.plan.chain, self.context(RunContext), kept)

    def save_model(self) -> bool:
        """Write the checkpoints that are due."""
        return save_model(self)

    def wrote(self, checkpoint: Path) -> bool:
        """Return whether ``last`` or ``best`` is there and of this training, not of an earlier run in the folder."""
        written = self.best_epoch is not None if checkpoint == self.best else self.saved
        return (written or bool(self.resume)) and checkpoint.exists()

    def measure_best(self) -> dict[str, float]:
        """Return the validator's metrics of the best checkpoint."""
        if (args := getattr(self.validator, "args", None)) is not None:
            args.plots, args.compile = self.args.plots, False
        model = self.trained(read_checkpoint(self.best))
        return dict(self.validator(model=model.to(self.device)))

    def final_metrics(self) -> dict[str, float]:
        """Return what the task measures of the best checkpoint; without a word from it, what the validator does."""
        answer = self.hooks.final_eval(ctx=self.context(RunContext))
        if answer is None:
            return self.measure_best()
        return dict(answer) if isinstance(answer, Mapping) else dict(self.metrics or {})

    def final_eval(self) -> None:
        """Measure the best checkpoint, unless the run was interrupted and is to be resumed."""
        self.ending = ending_of(self)
        if not self.interrupted:
            self.finishing = True  # events from here on belong to the best checkpoint, not to an epoch
            final_eval(self)

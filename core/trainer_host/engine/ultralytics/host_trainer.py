"""The host trainer: the engine's training loop, in which hooks decide."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG

from trainer_host.base.contexts import (
    AutobatchHints,
    ModelContext,
    OptimizerContext,
    PlotContext,
    PredictionContext,
    RunContext,
    ScheduleContext,
    ValidationContext,
)
from trainer_host.base.errors import PluginError
from trainer_host.base.results import Ending
from trainer_host.data.check_runner import unanswered
from trainer_host.engine.checkpoint.record import RECORD
from trainer_host.engine.plugin_states import PLUGIN_STATES, restore_states
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
from trainer_host.engine.ultralytics.device_settings import (
    refuse_bfloat16,
    refuse_quantization,
    refuse_several_devices,
)
from trainer_host.engine.ultralytics.end_of_training import ending_of
from trainer_host.engine.ultralytics.freeze_setting import refuse_freeze
from trainer_host.engine.ultralytics.held_checkpoints import HeldCheckpoints
from trainer_host.engine.ultralytics.kept_evaluation import KeptEvaluation, plot_results
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.model_selection import fitness_of, require_known, selecting_metric
from trainer_host.engine.ultralytics.own_callbacks import OwnCallbacks, require_folder
from trainer_host.engine.ultralytics.rank_batches import RankLoader
from trainer_host.engine.ultralytics.rank_training import apart, rank_training
from trainer_host.engine.ultralytics.reimplemented.final_eval import final_eval
from trainer_host.engine.ultralytics.reimplemented.load_model import teacher_of
from trainer_host.engine.ultralytics.reimplemented.mixed_precision import after_test, skip_test
from trainer_host.engine.ultralytics.reimplemented.optimizer_step import optimizer_step
from trainer_host.engine.ultralytics.reimplemented.recovery import check_resume, recover
from trainer_host.engine.ultralytics.reimplemented.save_model import save_model
from trainer_host.engine.ultralytics.reimplemented.training_loop import TrainingLoop
from trainer_host.engine.ultralytics.state_saving import StateSaver
from trainer_host.engine.ultralytics.trainer_model import ModelTrainer
from trainer_host.plugin.hook_collection import (
    Postprocessing,
    joined_metrics,
    postprocessing,
    require_asked,
    require_finite,
    require_measured,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainer_host.base.protocols import Metric, Validator
    from trainer_host.base.type_aliases import Batch, Module, Optimizer
    from trainer_host.engine.protocol import LiveRun
    from trainer_host.engine.ultralytics.thread_search import ThreadSearch


class HostTrainer(ModelTrainer):
    """The engine's trainer with its decisions made by plugins.

    Args:
        cfg: Settings of the engine: a file, a dict or a namespace.
        overrides: Settings that take precedence.
        _callbacks: Functions by the engine's event.
        run: The plugins and promises of the run.

    Attributes:
        ending: How the training ended, once it has.
        own: The callbacks that the training depends on.
        evaluated_epoch: The last epoch that was evaluated, counted from 1.
        held: What its checkpoints hold.
        kept: The evaluation of the weights that are in the best checkpoint.
        loop: The state of the training loop.
        saver: Saves the state of the training.
        reduced_batch: The batch size that fitted the device, if the one that was asked for did not.
        ranks: What this process does besides training, if it is one of several.
        threads: Finds the number of threads; None if it is fixed.
    """

    lf: Callable[[float], float]
    ending = Ending("epochs")
    best_fitness: float | None
    setting_up = labels_due = False
    amp_setting: Any = None
    evaluated_epoch: int | None = None
    reduced_batch: int | None = None
    threads: ThreadSearch | None = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Any]] | None = None,
        *,
        run: LiveRun,
    ) -> None:
        self.host_run = run
        self.own, self.interrupted = OwnCallbacks(), False
        self.loop, self.saver = LoopState(0), StateSaver()
        self.held, self.kept = HeldCheckpoints(), KeptEvaluation()
        self.plugin_metrics: dict[str, Metric] = {}
        self.postprocessing: Postprocessing | None = None
        overrides = {**(overrides or {}), "task": run.chain.engine_task}
        refuse_several_devices(overrides.get("device", getattr(cfg, "device", None)))
        refuse_quantization(overrides.get("quantize", getattr(cfg, "quantize", None)))
        if not run.drop_in:
            overrides.setdefault("model", "")  # a task may build its own model; the engine needs a text
        super().__init__(cfg, overrides, _callbacks)
        refuse_bfloat16(self.args.amp, self.device)
        self.ranks = rank_training(self)
        self.planned_epochs: int = self.epochs  # which the engine estimates again under a time limit
        refuse_several_devices(self.args.device)

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights this training has written as the best checkpoint, counted from 1."""
        return self.own.checkpoints.best_epoch

    def run_callbacks(self, event: str) -> None:
        """Run the functions of an event, the host's own first."""
        self.own.run(event, self)
        super().run_callbacks(event)

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write a line of ``results.csv``, and have plugins log it before a checkpoint keeps their state.

        Raises:
            FileNotFoundError: If the run's folder disappeared.
        """
        require_folder(self.save_dir)
        if not self.host_run.group.ranks.is_first:
            return
        super().save_metrics(metrics)
        if self.evaluated_epoch != self.epoch + 1:  # the engine has zeros for an epoch that it does not evaluate
            metrics = {k: v for k, v in metrics.items() if k not in self.metrics}
        self.own.metric_log.log(self, metrics, self.epoch + 1)

    def check_resume(self, overrides: Any) -> None:
        """Take over the settings of the checkpoint to resume from, if there is one."""
        check_resume(self, overrides)

    def set_model_attributes(self) -> None:
        """Have the chain set what the model knows of the dataset."""
        refuse_freeze(self.args.freeze, self.model)
        self.hooks.set_model_attributes(ctx=self.context(ModelContext, model=self.model))
        if self.setting_up:  # the engine's test comes next, before it calls the host again
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
        """Return the optimizer; a training that is resumed keeps the one that ``auto`` chose, whatever its length."""
        state = self.saver.content
        if state is not None and str(name).lower() == "auto":
            name, lr = state["settings"]["optimizer"], state["settings"]["lr0"]
            self.args.optimizer, self.args.lr0, self.args.warmup_bias_lr = name, lr, 0.0
        wanted = {"name": name, "lr": lr, "momentum": momentum, "decay": decay, "iterations": iterations}
        optimizer: Optimizer = self._answer(
            "build_optimizer", ctx=self.context(OptimizerContext, model=model, **wanted)
        )
        return optimizer

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
        if self.ranks is not None:
            self.ranks.setup.before_pipeline()
        BaseTrainer._build_train_pipeline(self)
        if self.ranks is not None:
            self.ranks.setup.after_pipeline()
        self.hooks.finish_setup(ctx=self.context(RunContext))

    def auto_batch(self, *_: Any) -> int:
        """Return the largest batch that fits the device."""
        self._put_amp_back()
        hints: AutobatchHints = self._answer("build_autobatch_hints", ctx=self.context(RunContext))
        size: int = BaseTrainer.auto_batch(self, hints.max_objects, dataset_size=hints.images)
        return size

    def set_class_weights(self) -> None:
        """Do nothing: tasks weigh classes in the hook `finish_setup`."""

    def _model_train(self) -> None:
        BaseTrainer._model_train(self)
        if self.ranks is not None:
            self.ranks.setup.keep_frozen(self.freeze_layer_names)

    def _do_train(self) -> None:
        TrainingLoop(self).run()

    def optimizer_step(self) -> None:
        """Clip the gradients, step, and update the EMA."""
        optimizer_step(self)

    def get_validator(self) -> Validator:
        """Return the validator of the training's loader."""
        # A copy of the settings, so that what a validator changes in them stays its own.
        given = {"loader": self.test_loader, "args": copy(self.args), "callbacks": self.callbacks}
        if self.ranks is not None:
            given |= {"part": self.ranks.epoch.part(self.test_loader), "gather": self.host_run.group.gather}
        ctx = self.context(ValidationContext, **given)
        self.plugin_metrics = joined_metrics(self.host_run.chain, ctx)
        found = self.context(PredictionContext, model=self.model, mode="val")
        self.postprocessing = postprocessing(self.host_run.chain, found)
        ctx = replace(ctx, metrics=self.plugin_metrics, postprocess=self.postprocessing)
        validator: Validator = self._answer("build_validator", ctx=ctx)
        # Known now rather than after an epoch: the columns of results.csv are made of these names.
        require_measured(self.host_run.chain, self.plugin_metrics, dict.fromkeys(validator.metrics.keys, 0.0))
        self.kept.prepare(self, validator)
        return validator

    def loader_changed(self) -> None:
        """Give the validator the loader of batches of another size, or its part of it."""
        if self.ranks is not None and isinstance(self.validator.dataloader, RankLoader):
            self.validator.dataloader = self.ranks.epoch.part(self.test_loader)
        else:
            self.validator.dataloader = self.test_loader

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Return the metrics of the model, and how good they are."""
        before = self.best_fitness
        self.kept.before_validation(self)
        metrics, fitness = self.host_run.group.broadcast(BaseTrainer.validate(self))
        if metrics is None:
            return metrics, fitness
        self.evaluated_epoch = self.epoch + 1
        require_measured(self.host_run.chain, self.plugin_metrics, metrics)
        if self.postprocessing is not None:  # a process may have no batch to evaluate
            self.postprocessing.asked = self.host_run.group.any(self.postprocessing.asked)
        require_asked(self.host_run.chain, self.postprocessing, "validator")
        fitness = fitness_of(self.host_run, self.context(RunContext), metrics, fitness)
        if fitness is None:
            raise PluginError(unanswered(self.host_run.chain.name, "compute_fitness"))
        # A loss that is not finite is reported as such.
        if self.host_run.chain.answers("compute_fitness") and bool(self.loss.isfinite()):
            require_finite(fitness)
        self.best_fitness = fitness if before is None or before < fitness else before
        return metrics, fitness

    def progress_string(self) -> str:
        """Return the head of the engine's progress table, which is asked for once the parts of the loss have names."""
        if not selecting_metric(self.host_run).is_fitness:
            # Not earlier: the names of the loss, which may select best.pt too, are known with the first batch.
            losses = self.label_loss_items(prefix="val")
            require_known(self.host_run, {*(self.metrics or {}), *self.plugin_metrics, *losses})
        heads = ("Epoch", "GPU_mem", *self.loss_names, "Instances", "Size")
        return "\n" + "".join(f"{head:>11}" for head in heads)

    def plot_training_samples(self, batch: Batch, ni: int) -> None:
        """Draw a training batch, in the process that writes."""
        if self.host_run.group.ranks.is_first:
            with apart(self):
                self.hooks.plot_data(ctx=self.context(PlotContext, batch=batch, step=ni))

    def plot_metrics(self) -> None:
        """Draw the table of results, in the process that writes."""
        if self.host_run.drop_in or self.host_run.options.exact:
            super().plot_metrics()
        elif self.host_run.group.ranks.is_first:
            plot_results(self)

    def plot_training_labels(self) -> None:
        """Draw the labels of the whole dataset; a run does so at its end, unless it is exact."""
        if self.host_run.drop_in or self.host_run.options.exact:
            self.hooks.plot_data(ctx=self.context(PlotContext))
        else:
            self.labels_due = True

    def plot_pending(self) -> None:
        """Draw what no epoch waited for, in the process that writes."""
        if self.labels_due and self.host_run.group.ranks.is_first:
            self.labels_due = False
            self.hooks.plot_data(ctx=self.context(PlotContext))

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return self.host_run.drop_in and recover(self, epoch)  # the loop of a run recovers from its state

    def resume_training(self, ckpt: Any) -> None:
        """Take over what a checkpoint keeps of the training, and of the plugins."""
        BaseTrainer.resume_training(self, ckpt)
        if ckpt is not None and self.resume:
            kept = (ckpt.get(RECORD) or {}).get(PLUGIN_STATES) or {}
            restore_states(self.host_run.chain, self.context(RunContext), kept)

    def save_model(self) -> bool:
        """Write the checkpoints that are due, if this is the process that writes; return True, as the engine's does."""
        return not self.host_run.group.ranks.is_first or save_model(self)

    def wrote(self, checkpoint: Path) -> bool:
        """Return whether ``last`` or ``best`` is there and of this training, not of an earlier run in the folder."""
        written = self.best_epoch is not None if checkpoint == self.best else self.own.checkpoints.last
        return (written or bool(self.resume)) and checkpoint.exists()

    def measure_best(self) -> dict[str, float]:
        """Return the validator's metrics of the best checkpoint."""
        if (args := getattr(self.validator, "args", None)) is not None:
            args.plots, args.compile = self.args.plots, False
        model: Any = self.held.take_trained(self.best) or self.trained(read_checkpoint(self.best))
        return dict(self.validator(model=model.to(self.device)))

    def final_metrics(self) -> dict[str, float]:
        """Return the task's metrics of the best checkpoint, or the validator's if the task has none."""
        answer = self.hooks.evaluate_best(ctx=self.context(RunContext))
        if answer is None and self.kept.values is not None:
            self.kept.draw(self)
            return dict(self.kept.values)
        if answer is None:
            return self.measure_best()
        return dict(answer) if isinstance(answer, Mapping) else dict(self.metrics or {})

    def final_eval(self) -> None:
        """Evaluate the best checkpoint, unless the run was interrupted and is to be resumed."""
        self.ending = ending_of(self)
        if not self.interrupted:
            self.own.metric_log.final = True  # events from here on belong to the best checkpoint, not to an epoch
            final_eval(self)

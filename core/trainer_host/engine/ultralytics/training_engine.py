"""Trainings and trained models of ultralytics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.utils.torch_utils import select_device

from trainer_host.base.contexts import (
    DataContext,
    ModelContext,
    PredictionContext,
    RunContext,
    ValidationContext,
)
from trainer_host.base.errors import PluginError
from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.results import Outcome, UnreadableImage
from trainer_host.data.subset_settings import refuse_unknown_classes
from trainer_host.engine.plugin_states import PLUGIN_STATES, restore_states
from trainer_host.engine.progress import ProgressCallbacks
from trainer_host.engine.thread_count import wanted_threads
from trainer_host.engine.ultralytics.adapted_trainer import detached_trainer, new_trainer
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
from trainer_host.engine.ultralytics.contributions import (
    Postprocessing,
    join_callbacks,
    joined_metrics,
    postprocessing,
    require_asked,
    require_measured,
)
from trainer_host.engine.ultralytics.device_settings import refuse_device, warn_of_fallback, warn_of_precision
from trainer_host.engine.ultralytics.engine_errors import engine_errors
from trainer_host.engine.ultralytics.fonts import settle_fonts
from trainer_host.engine.ultralytics.model_facts import facts_of_checkpoint
from trainer_host.engine.ultralytics.model_loading import inherited_settings, refuse_other_task, trained_model
from trainer_host.engine.ultralytics.plugin_layers import with_layers
from trainer_host.engine.ultralytics.run_contexts import C, make_context
from trainer_host.engine.ultralytics.run_dataset import read_and_check
from trainer_host.engine.ultralytics.setting_warnings import setting_warnings
from trainer_host.engine.ultralytics.trackers import engine_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.protocols import Image, Module, Prediction, Predictor
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import StartingWeights
    from trainer_host.base.signals import StopRequest
    from trainer_host.data.description import Description
    from trainer_host.engine.plan import Plan
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


STRIDE = 32
"""The least stride by which the engine rounds sizes of images."""


def _size_text(imgsz: Any) -> str:
    """Return the image size of a training, with a note if it differs from the setting."""
    size = max(imgsz) if isinstance(imgsz, (list, tuple)) else imgsz
    notes = []
    if isinstance(imgsz, (list, tuple)) and size != min(imgsz):
        notes.append(f"the larger of imgsz={list(imgsz)}: training takes one size".replace(", ", ","))
    if size % STRIDE:
        notes.append("rounded up to a multiple of the model's stride")
    return f"{size} px" + (f" ({'; '.join(notes)})" if notes else "")


class TrainingEngine:
    """Trains with ultralytics.

    Args:
        plan: Plugins and promises of the run.
        values: Engine keys.
        save_dir: The run's folder; it exists.
        reporter: Shows the progress.
        stop: A request to end the run early.
    """

    def __init__(
        self, plan: Plan, values: Mapping[str, Any], save_dir: Path, reporter: Reporter, stop: StopRequest
    ) -> None:
        self.plan, self.values, self.save_dir = plan, dict(values), save_dir
        shown = [*(plan.chain.attribute("metrics") or ()), *([plan.best_metric.name] if plan.best_metric else [])]
        self.progress = ProgressCallbacks(reporter, stop, tuple(dict.fromkeys(shown)))
        self.trainer: HostTrainer | None = None

    @engine_errors()
    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up the trainer; return its fingerprint and the skipped images."""
        refuse_device(self.values.get("device"))
        events = engine_callbacks(self.plan.trackers, self.plan.offline)
        for event, function in self.progress.events().items():
            events[event] = [*events[event], function]
        overrides = {**self.values, "mode": "train", "save_dir": str(self.save_dir)}
        with gc_paused():  # torch imports its compiler for deterministic algorithms
            self.trainer = new_trainer(self.plan, overrides, events)
            warn_of_fallback(self.values.get("device"), self.trainer.device)
            settle_fonts()  # the final evaluation asks for one, also without plots
        if not self.plan.exact:
            self._use_wanted_threads()
        data: Description = self.trainer.data
        return {"fingerprint": data.fingerprint(), **({"left_out": data.left_out} if data.left_out else {})}

    def _use_wanted_threads(self) -> None:
        """Use the number of threads that the user set on a CPU; the engine resets it when it validates."""
        wanted = wanted_threads()
        if wanted is None or self.trainer is None or self.trainer.device.type != "cpu":
            return

        def use(_: Any) -> None:
            torch.set_num_threads(wanted)

        use(None)
        self.trainer.callbacks["on_val_start"].append(use)

    def _prepared(self) -> HostTrainer:
        if self.trainer is None:
            raise RuntimeError("prepare() comes first")
        return self.trainer

    def describe(self) -> str:
        """Return a short description of the training: device, model, length, image size."""
        trainer = self._prepared()
        model = self.values.get("model")
        name = f"model {model}" if model else "its own model"
        epochs = f"{trainer.args.epochs} epoch{'s' * (trainer.args.epochs != 1)}"
        length = f"{trainer.args.time:g} h" if trainer.args.time else epochs
        return f"on {trainer.device}: {name}, {length} at {_size_text(trainer.args.imgsz)}"

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from; None before the model is built."""
        return self.trainer.starting_weights if self.trainer is not None else None

    def warnings(self) -> list[str]:
        """Return effects of the settings that are easily missed."""
        return setting_warnings(self._prepared().args)

    @engine_errors()
    def train(self) -> Outcome:
        """Train, and return the outcome."""
        trainer = self._prepared()
        trainer.train()
        return Outcome(
            epochs=trainer.epoch + 1 - trainer.start_epoch,
            metrics={k: float(v) for k, v in (trainer.metrics or {}).items()},
            best=trainer.best if trainer.wrote(trainer.best) else None,
            last=trainer.last if trainer.wrote(trainer.last) else None,
            interrupted=trainer.interrupted,
            held_out=tuple(getattr(trainer.test_loader.dataset, "im_files", ())),
            threads=torch.get_num_threads(),
            best_epoch=trainer.best_epoch,
            ending=trainer.ending,
            weights=trainer.starting_weights,
        )


class FinishedModel:
    """A checkpoint with its chain: what validation and prediction need.

    Args:
        path: The checkpoint.
        plan: Plugins and promises.
        values: Engine keys.
        mode: ``val`` or ``predict``.
        save_dir: Where results go.
    """

    def __init__(self, path: Path, plan: Plan, values: Mapping[str, Any], mode: str, save_dir: Path) -> None:
        self.plan, self.save_dir = plan, save_dir
        self._predictor: Predictor | None = None
        self._kept: Postprocessing | None = None
        refuse_device(values.get("device"))
        self.checkpoint = read_checkpoint(path)
        refuse_other_task(self.checkpoint, plan.chain)
        inherited = inherited_settings(self.checkpoint, values)
        alone = {"batch": 1} if mode == "predict" else {}  # images of several sizes keep their shapes
        wanted = {**inherited, "rect": True, **alone, **values, "mode": mode, "task": plan.chain.engine_task}
        self.args = get_cfg(overrides={**wanted, "model": str(path), "save_dir": str(save_dir)})
        self.device = select_device(self.args.device, verbose=False)
        warn_of_fallback(self.args.device, self.device)
        warn_of_precision(self.args.quantize, self.device)
        data = self.checkpoint.record.get("data") or {}
        self.trainer = detached_trainer(plan, self.args, data, self.device, save_dir)
        ctx = with_layers(plan.chain.manager, self._context(ModelContext, cfg=self.checkpoint.record.get("cfg")))
        self.model: Module = trained_model(self.checkpoint, self._build, ctx).to(self.device)
        if mode == "predict":  # those of a validation are the dataset's
            refuse_unknown_classes(self.args.classes, getattr(self.model, "names", None), "the model")
        restore_states(plan.chain, self._context(RunContext), self.checkpoint.record.get(PLUGIN_STATES) or {})

    def _postprocessing(self, mode: str) -> Postprocessing | None:
        return postprocessing(self.plan.chain, self._context(PredictionContext, model=self.model, mode=mode))

    def _build(self, ctx: ModelContext) -> Module:
        manager = self.plan.chain.manager
        model = manager.hook.build_model(ctx=ctx)
        if self.checkpoint.in_state_form:  # a pickled model keeps its attributes
            manager.hook.set_model_attributes(ctx=self._context(ModelContext, cfg=ctx.cfg, model=model))
        return model

    def _context(self, kind: type[C], **fields: Any) -> C:
        data = self.checkpoint.record.get("data") or {}
        own = {"args": self.args, "data": data, "save_dir": self.save_dir, "device": self.device}
        return make_context(kind, self.plan, **{**own, "engine": self.trainer, **fields})

    def validate(self) -> dict[str, float]:
        """Measure the model on the dataset that the settings name.

        Raises:
            DatasetError: If the dataset cannot be used.
        """
        hook = self.plan.chain.manager.hook
        models = (facts_of_checkpoint(self.checkpoint, str(self.checkpoint.path)),)
        wanted = {"source": str(self.args.data), "split": self.args.split, "mode": "val", "models": models}
        data = read_and_check(self.plan, self._context(DataContext, **wanted), self.save_dir, {self.args.split})
        self.args.data = data.get("yaml_file", self.args.data)
        settle_fonts()  # which the engine asks for when it reads a dataset, also without plots
        callbacks = engine_callbacks()
        join_callbacks(callbacks, self.plan.chain.manager, self._context(RunContext, data=data))
        ctx = self._context(ValidationContext, data=data, callbacks=callbacks, model=self.model)
        named, kept = joined_metrics(self.plan.chain, ctx), self._postprocessing("val")
        validator = hook.build_validator(ctx=replace(ctx, metrics=named, postprocess=kept))
        if validator is None:
            raise PluginError(f"task {self.plan.chain.name!r} has no validator.")
        metrics = validator(model=self.model)
        require_measured(self.plan.chain, named, metrics)
        require_asked(self.plan.chain, kept, "validator")
        return {k: float(v) for k, v in metrics.items()}

    def predict(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image.

        Raises:
            PluginError: If the task does not predict.
        """
        if self._predictor is None:
            self._kept = self._postprocessing("predict")
            ctx = self._context(PredictionContext, model=self.model, postprocess=self._kept)
            self._predictor = self.plan.chain.manager.hook.build_predictor(ctx=ctx)
        if self._predictor is None:
            raise PluginError(f"task {self.plan.chain.name!r} does not predict.")
        for prediction in self._predictor(source):
            if not isinstance(prediction, UnreadableImage):
                require_asked(self.plan.chain, self._kept, "predictor")
            yield prediction

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None where the task draws none."""
        ctx = self._context(PredictionContext, model=self.model)
        return self.plan.chain.manager.hook.draw(ctx=ctx, prediction=prediction)

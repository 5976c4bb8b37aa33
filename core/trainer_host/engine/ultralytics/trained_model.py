"""A trained model on ultralytics: built once, then evaluated and asked for predictions as often as needed."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.cfg import get_cfg
from ultralytics.utils.torch_utils import select_device

from trainer_host.base.contexts import DataContext, ModelContext, PredictionContext, RunContext, ValidationContext
from trainer_host.base.errors import PluginError
from trainer_host.base.results import UnreadableImage
from trainer_host.data.subset_settings import class_names, refuse_unknown_classes
from trainer_host.engine.plugin_states import PLUGIN_STATES, restore_states
from trainer_host.engine.ultralytics.adapted_trainer import detached_trainer
from trainer_host.engine.ultralytics.device_settings import refuse_device, warn_of_fallback, warn_of_precision
from trainer_host.engine.ultralytics.fonts import provide_fonts
from trainer_host.engine.ultralytics.model_facts import facts_of_checkpoint
from trainer_host.engine.ultralytics.model_loading import inherited_settings, refuse_other_task, trained_model
from trainer_host.engine.ultralytics.own_callbacks import join_callbacks
from trainer_host.engine.ultralytics.plugin_layers import with_layers
from trainer_host.engine.ultralytics.run_contexts import C, make_context
from trainer_host.engine.ultralytics.run_dataset import prepare_dataset
from trainer_host.engine.ultralytics.trackers import engine_callbacks
from trainer_host.plugin.hook_collection import (
    joined_metrics,
    postprocessing,
    require_asked,
    require_measured,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.protocols import Prediction
    from trainer_host.base.type_aliases import Image, Module
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.protocol import Command, LiveRun
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class UltralyticsModel:
    """A trained model with its plugins; see `trainer_host.engine.protocol.EngineModel`.

    Args:
        checkpoint: The file.
        run: The run, with its plugins.
        settings: Settings that decide how the model computes, such as ``device``.
    """

    def __init__(self, checkpoint: Checkpoint, run: LiveRun, settings: Mapping[str, Any]) -> None:
        refuse_device(settings.get("device"))
        refuse_other_task(checkpoint, run.chain)
        self.checkpoint, self.run, self.settings = checkpoint, run, dict(settings)
        args = get_cfg(overrides={**settings, **self._fixed("predict")})
        self.device = select_device(args.device, verbose=False)
        warn_of_fallback(args.device, self.device)
        warn_of_precision(args.quantize, self.device)
        self._trainer = detached_trainer(run, args, self._data, self.device, checkpoint.path.parent)
        use = _Use(self, args, checkpoint.path.parent, self._trainer)
        ctx = with_layers(run.chain.manager, use.context(ModelContext, cfg=checkpoint.record.get("cfg")))
        self.model: Module = trained_model(checkpoint, use.build, ctx).to(self.device)
        self._prepared: dict[str, Any] = {}
        restore_states(run.chain, use.context(RunContext), checkpoint.record.get(PLUGIN_STATES) or {})

    @property
    def names(self) -> dict[int, str]:
        """The names of the classes by number."""
        return class_names(getattr(self.model, "names", None) or self._data.get("names"))

    @property
    def _data(self) -> dict[str, Any]:
        """The host's record of the dataset of the training."""
        return self.checkpoint.record.get("data") or {}

    def _fixed(self, command: Command) -> dict[str, Any]:
        return {"mode": command, "task": self.run.chain.engine_task, "model": str(self.checkpoint.path)}

    def _use(self, command: Command, settings: Mapping[str, Any], save_dir: Path) -> _Use:
        """Return the model with the settings of one call; the training's apply below them."""
        inherited = inherited_settings(self.checkpoint, settings)
        alone = {"batch": 1} if command == "predict" else {}  # images of several sizes keep their shapes
        given = {**inherited, "rect": True, **alone, **settings, **self.settings}
        args = get_cfg(overrides={**given, **self._fixed(command), "save_dir": str(save_dir)})
        trainer = copy(self._trainer)  # predictions may overlap, and each has its own settings
        if trainer is not None:
            trainer.args, trainer.save_dir = args, save_dir
        return _Use(self, args, save_dir, trainer)

    def validate(self, settings: Mapping[str, Any], save_dir: Path) -> dict[str, float]:
        """Evaluate the model on the dataset that the settings name, or on that of the training.

        Raises:
            DatasetError: If the dataset cannot be used.
        """
        use = self._use("val", settings, save_dir)
        # A validator of the engine fuses the layers of its model in place: what is predicted later is to be the same.
        model, chain, hook = deepcopy(self.model), self.run.chain, self.run.chain.manager.hook
        models = (facts_of_checkpoint(self.checkpoint, str(self.checkpoint.path)),)
        wanted = {"source": str(use.args.data), "split": use.args.split, "mode": "val", "models": models}
        data = prepare_dataset(self.run, use.context(DataContext, **wanted), save_dir, {use.args.split})
        use.args.data = data.get("yaml_file", use.args.data)
        provide_fonts()  # which the engine asks for when it reads a dataset, also without plots
        callbacks = engine_callbacks()
        join_callbacks(callbacks, chain.manager, use.context(RunContext, data=data))
        ctx = use.context(ValidationContext, data=data, callbacks=callbacks, model=model)
        named = joined_metrics(chain, ctx)
        kept = postprocessing(chain, use.context(PredictionContext, model=model, mode="val"))
        validator = hook.build_validator(ctx=replace(ctx, metrics=named, postprocess=kept))
        if validator is None:
            raise PluginError(f"task {chain.name!r} has no validator.")
        metrics = validator(model=model)
        require_measured(chain, named, metrics)
        require_asked(chain, kept, "validator")
        return {k: float(v) for k, v in metrics.items()}

    def predictor(self, settings: Mapping[str, Any], save_dir: Path) -> UltralyticsPredictor:
        """Return a predictor with these settings; the model is not built again.

        Raises:
            PluginError: If the task cannot predict.
            SettingsError: If ``classes`` are not those of the model.
        """
        use = self._use("predict", settings, save_dir)
        refuse_unknown_classes(use.args.classes, getattr(self.model, "names", None), "the model")
        ctx = use.context(PredictionContext, model=self.model, prepared=self._prepared)
        return UltralyticsPredictor(ctx, self.run)


class _Use:
    """A trained model with the settings of one call.

    Args:
        of: The model.
        args: All settings of the engine.
        save_dir: The folder of the results.
        trainer: The trainer whose methods a task made of a trainer class calls; None for other tasks.
    """

    def __init__(self, of: UltralyticsModel, args: Any, save_dir: Path, trainer: HostTrainer | None) -> None:
        self.of, self.args, self.save_dir, self.trainer = of, args, save_dir, trainer

    def build(self, ctx: ModelContext) -> Module:
        """Have the chain build the model."""
        manager = self.of.run.chain.manager
        model: Module = manager.hook.build_model(ctx=ctx)
        if self.of.checkpoint.in_state_form:  # a pickled model keeps its attributes
            manager.hook.set_model_attributes(ctx=self.context(ModelContext, cfg=ctx.cfg, model=model))
        return model

    def context(self, kind: type[C], **fields: Any) -> C:
        """Return a context of this call."""
        own = {"args": self.args, "data": self.of._data, "save_dir": self.save_dir, "device": self.of.device}
        return make_context(kind, self.of.run, **{**own, "engine": self.trainer, **fields})


class UltralyticsPredictor:
    """A trained model with the settings of one prediction; see `trainer_host.engine.protocol.EnginePredictor`.

    Args:
        ctx: The model and the settings.
        run: The run, with its plugins.

    Raises:
        PluginError: If the task cannot predict.
    """

    def __init__(self, ctx: PredictionContext, run: LiveRun) -> None:
        self.chain = run.chain
        self._kept = postprocessing(run.chain, replace(ctx, prepared={}))
        self.ctx = replace(ctx, postprocess=self._kept)
        self._predictor = self.chain.manager.hook.build_predictor(ctx=self.ctx)
        if self._predictor is None:
            raise PluginError(f"task {run.chain.name!r} cannot predict.")

    def __call__(self, source: Any) -> Iterator[Prediction | UnreadableImage]:
        """Yield what the model finds, image by image."""
        for prediction in self._predictor(source):
            if not isinstance(prediction, UnreadableImage):
                require_asked(self.chain, self._kept, "predictor")
            # Whoever takes the results may compute with other threads, and with gradients, in between.
            threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
            yield prediction
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)

    def draw(self, prediction: Prediction) -> Image | None:
        """Return a picture of a prediction, or None if the task draws none."""
        picture: Image | None = self.chain.manager.hook.draw_prediction(ctx=self.ctx, prediction=prediction)
        return picture

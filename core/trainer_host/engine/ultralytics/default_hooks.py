"""Answers of the engine to hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ultralytics.engine.trainer import BaseTrainer

from trainer_host.base.contexts import AutobatchHints
from trainer_host.plugin.markers import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainer_host.base.contexts import LossContext, OptimizerContext, RunContext, ScheduleContext
    from trainer_host.base.protocols import Loss
    from trainer_host.base.type_aliases import Batch, Optimizer
    from trainer_host.base.vision import Detections


class EngineDefaults:
    """Answers of the engine if no plugin has one, so that an extension always has something to wrap."""

    @hookimpl
    def build_optimizer(self, ctx: OptimizerContext) -> Optimizer:
        """Return the engine's optimizer."""
        wanted = (ctx.name, ctx.lr, ctx.momentum, ctx.decay, ctx.iterations)
        optimizer: Optimizer = BaseTrainer.build_optimizer(ctx.engine, ctx.model, *wanted)
        return optimizer

    @hookimpl
    def build_loss(self, ctx: LossContext) -> Loss:
        """Return the loss that the model has, or builds."""
        model: Any = ctx.model
        loss: Loss = model.criterion or model.init_criterion()
        return loss

    @hookimpl
    def build_schedule(self, ctx: ScheduleContext) -> Callable[[float], float]:
        """Return the engine's schedule."""
        schedule: Callable[[float], float] = ctx.engine.lf
        return schedule

    @hookimpl
    def postprocess_predictions(self, found: Sequence[Detections]) -> Sequence[Detections]:
        """Keep everything."""
        return found

    @hookimpl
    def compute_fitness(self, metrics: Mapping[str, float]) -> float:
        """Return the value of the selecting metric, or the validator's fitness if no metric is named."""
        return metrics["fitness"]

    @hookimpl
    def preprocess_batch(self, ctx: RunContext, batch: Batch) -> Batch:
        """Move the batch's tensors to the device."""
        device = ctx.engine.device
        return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}

    @hookimpl
    def build_autobatch_hints(self, ctx: RunContext) -> AutobatchHints:
        """Say only how many images there are."""
        return AutobatchHints()

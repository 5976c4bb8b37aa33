"""Callbacks that a training depends on: they run before those of the engine, of the session and of plugins."""

from __future__ import annotations

import errno
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ultralytics.utils import callbacks

from trainer_host.base.contexts import LogContext, RunContext
from trainer_host.base.errors import PluginError, unknown
from trainer_host.engine.ultralytics.plugin_losses import add_losses
from trainer_host.engine.ultralytics.trackers import asked_for
from trainer_host.plugin.hook_collection import mappings, require_function

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer
    from trainer_host.plugin.chain import HookManager


def join_callbacks(events: dict[str, list[Any]], manager: HookManager, ctx: RunContext) -> None:
    """Add the plugins' functions to the engine's, by event.

    Raises:
        PluginError: If the engine has no such event.
    """
    for _, given in mappings(manager, "callbacks", ctx=ctx):
        for event, function in given.items():
            if event not in callbacks.default_callbacks:
                raise PluginError(unknown("callback event", event, callbacks.default_callbacks))
            require_function(f"the callback of {event}", function)
            events[event].append(asked_for(function))


class PluginCallbacks:
    """Adds the functions of plugins at the first event."""

    def on_pretrain_routine_start(self, trainer: HostTrainer) -> None:
        """Add them to the engine's."""
        join_callbacks(trainer.callbacks, trainer.host_run.chain.manager, trainer.context(RunContext))


class PluginLosses:
    """Adds the loss terms of plugins once the model and its EMA exist."""

    def on_pretrain_routine_end(self, trainer: HostTrainer) -> None:
        """Give both the joined loss."""
        if trainer.ranks is not None:
            trainer.ranks.setup.after_setup()
        add_losses(trainer)


class WrittenCheckpoints:
    """Records which checkpoints this training wrote, as opposed to an earlier run in the same folder.

    Attributes:
        last: Whether it wrote ``last.pt``.
        best_epoch: The epoch whose weights are in ``best.pt``, counted from 1; None if it wrote none.
    """

    last = False
    best_epoch: int | None = None

    def on_model_save(self, trainer: HostTrainer) -> None:
        """Record what was written."""
        self.last = True
        if trainer.best_fitness == trainer.fitness:  # the condition by which best.pt is written
            self.best_epoch = trainer.epoch + 1


class MetricLog:
    """Has plugins log the metrics of each epoch, and those of the final evaluation.

    Attributes:
        final: Whether events belong to the final evaluation rather than to an epoch.
    """

    final = False

    def log(self, trainer: HostTrainer, metrics: Mapping[str, Any], epoch: int | None) -> None:
        """Have plugins log metrics, in the process that writes."""
        if not trainer.host_run.group.ranks.is_first:
            return
        values = MappingProxyType({k: float(v) for k, v in metrics.items()})
        trainer.hooks.log_metrics(ctx=trainer.context(LogContext, epoch=epoch, values=values))

    def on_fit_epoch_end(self, trainer: HostTrainer) -> None:
        """Log the metrics of the final evaluation; those of an epoch are logged before its checkpoint is written."""
        if self.final:
            self.log(trainer, trainer.metrics or {}, None)


class OwnCallbacks:
    """The callbacks of the host, in the order in which they run at an event."""

    def __init__(self) -> None:
        self.checkpoints, self.metric_log = WrittenCheckpoints(), MetricLog()
        self._all = (PluginCallbacks(), PluginLosses(), self.checkpoints, self.metric_log)

    def run(self, event: str, trainer: HostTrainer) -> None:
        """Call the methods that are named after an event."""
        for callback in self._all:
            if (function := getattr(callback, event, None)) is not None:
                function(trainer)


def require_folder(folder: Path) -> None:
    """Require that a run's folder still exists: the engine would create it again, without what was in it.

    Raises:
        FileNotFoundError: If it does not.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))

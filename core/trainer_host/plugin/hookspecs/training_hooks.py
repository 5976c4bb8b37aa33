"""Hooks of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.plugin.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer_host.base.contexts import AutobatchHints, LogContext, OptimizerContext, RunContext, ScheduleContext
    from trainer_host.base.type_aliases import Optimizer


class TrainingHooks:
    """Hooks of the training."""

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

"""The part of the host trainer that asks hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.engine.trainer import BaseTrainer

from trainer_host.base.errors import PluginError
from trainer_host.data.check_runner import unanswered
from trainer_host.engine.ultralytics.run_contexts import C, make_context

if TYPE_CHECKING:
    from trainer_host.engine.plan import Plan


class HookedTrainer(BaseTrainer):
    """The engine's trainer with the plugins of a run.

    Attributes:
        plan: The plugins and promises of the run.
    """

    plan: Plan

    @property
    def hooks(self) -> Any:
        """The hooks of this run."""
        return self.plan.chain.manager.hook

    def context(self, kind: type[C], **fields: Any) -> C:
        """Return a view of this run for a hook."""
        own = {"args": self.args, "data": getattr(self, "data", {}), "save_dir": self.save_dir, "device": self.device}
        return make_context(kind, self.plan, **{**own, "engine": self, **fields})

    def _answer(self, hook: str, **arguments: Any) -> Any:
        """Return the first answer to a hook that has to be answered.

        Raises:
            PluginError: If no plugin answers.
        """
        answer = getattr(self.hooks, hook)(**arguments)
        if answer is None:
            raise PluginError(unanswered(self.plan.chain.name, hook))
        return answer

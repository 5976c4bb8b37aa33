"""The part of the host trainer that asks hooks."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ultralytics.engine.trainer import BaseTrainer

from trainer_host.base.errors import PluginError
from trainer_host.data.check_runner import unanswered
from trainer_host.engine.ultralytics.run_contexts import C, make_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pluggy import HookRelay

    from trainer_host.engine.protocol import LiveRun


class HookedTrainer(BaseTrainer):
    """The engine's trainer with the plugins of a run.

    Attributes:
        host_run: The run, with its plugins.
        description: The dataset, as hooks see it; ``data`` has the engine's own copy of its keys.
    """

    host_run: LiveRun
    description: Mapping[str, Any] = MappingProxyType({})

    @property
    def hooks(self) -> HookRelay:
        """The hooks of this run."""
        return self.host_run.chain.manager.hook

    def context(self, kind: type[C], **fields: Any) -> C:
        """Return a view of this run for a hook."""
        own = {"args": self.args, "data": self.description, "save_dir": self.save_dir, "device": self.device}
        return make_context(kind, self.host_run, **{**own, "engine": self, **fields})

    def _answer(self, hook: str, **arguments: Any) -> Any:
        """Return the first answer to a hook that has to be answered.

        Raises:
            PluginError: If no plugin answers.
        """
        answer = getattr(self.hooks, hook)(**arguments)
        if answer is None:
            raise PluginError(unanswered(self.host_run.chain.name, hook))
        return answer

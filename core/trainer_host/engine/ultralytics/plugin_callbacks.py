"""Callbacks of plugins among those of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.utils import callbacks

from trainer_host.base.errors import PluginError, unknown
from trainer_host.engine.ultralytics.trackers import asked_for
from trainer_host.plugin.hook_collection import mappings, require_function

if TYPE_CHECKING:
    from trainer_host.base.contexts import RunContext
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

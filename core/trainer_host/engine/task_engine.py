"""The engine of a task, and runs that another process has resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.settings import name_of
from trainer_host.engine.factory import make_engine
from trainer_host.engine.live_run import LiveRun

if TYPE_CHECKING:
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


def engine_of_task(task: str, registry: Registry) -> Engine:
    """Return the engine of a task.

    Raises:
        PluginError: If the task or one of its bases cannot be used.
    """
    named = [spec.engine for _, spec in registry.task_chain(task) if spec.engine]
    return make_engine(named[-1] if named else None)


def engine_of_chain(chain: Chain) -> Engine:
    """Return the engine of a task that is loaded."""
    return make_engine(chain.engine_target)


def load_run(resolved: ResolvedRun, registry: Registry) -> LiveRun:
    """Load the plugins of a run that another process has resolved.

    Raises:
        PluginError: If a plugin cannot be used.
        SettingsError: If an option of a plugin is not valid.
    """
    options = {name_of(name): values for name, values in resolved.plugins.items()}
    tasks = {record.name for record, _ in registry.task_chain(resolved.task)}
    extensions = [name for name in resolved.plugins if name not in tasks]
    hooks = engine_of_task(resolved.task, registry).default_hooks()
    return LiveRun(resolved, registry.chain(resolved.task, extensions, options, hooks))

"""The engine of a task, and runs that another process has resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.settings import name_of
from trainer_host.engine.factory import default_engine, make_engine
from trainer_host.engine.live_run import LiveRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


def engine_of_task(task: str, registry: Registry) -> Engine:
    """Return the engine of a task: the one that it names, or its nearest base that names one, or the default.

    Raises:
        PluginError: If the task, one of its bases or the engine cannot be used.
    """
    named = [spec.engine for _, spec in registry.task_chain(task) if spec.engine]
    return make_engine(named[-1]) if named else default_engine()


def load_plugins(
    registry: Registry, task: str, extensions: Iterable[str], options: Mapping[str, Mapping[str, Any]]
) -> tuple[Chain, Engine]:
    """Load the plugins of a run and its engine, which answers the hooks that no plugin answers.

    Raises:
        PluginError: If a plugin cannot be used.
        SettingsError: If an option of a plugin is not valid.
    """
    engine = engine_of_task(task, registry)
    return registry.chain(task, extensions, options, engine.default_hooks()), engine


def load_run(resolved: ResolvedRun, registry: Registry) -> LiveRun:
    """Load the plugins of a run that another process has resolved.

    Raises:
        PluginError: If a plugin cannot be used.
        SettingsError: If an option of a plugin is not valid.
    """
    options = {name_of(name): values for name, values in resolved.plugins.items()}
    tasks = {record.name for record, _ in registry.task_chain(resolved.task)}
    extensions = [name for name in resolved.plugins if name not in tasks]
    return LiveRun(resolved, *load_plugins(registry, resolved.task, extensions, options))

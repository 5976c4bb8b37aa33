"""Runs in this process, made of plugins and of the engine of their task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.engine.factory import default_engine, make_engine
from trainer_host.engine.protocol import LiveRun
from trainer_host.plugin.plugin_options import options_as_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

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


def run_of_chain(
    chain: Chain,
    engine: Engine,
    settings: Mapping[str, Any] | None = None,
    options: RunOptions | None = None,
    *,
    drop_in: bool = False,
    repeats: Mapping[str, Any] | None = None,
    file: Path | None = None,
    **more: Any,
) -> LiveRun:
    """Return a run of plugins that are loaded.

    Args:
        chain: The plugins.
        engine: The engine.
        settings: Settings of the engine.
        options: Options of the host.
        drop_in: See `LiveRun`.
        repeats: See `LiveRun`.
        file: See `LiveRun`.
        more: Further fields of `ResolvedRun`.
    """
    again = [m for m in chain.to_repeat if m.options is not None or m not in chain.tasks]
    resolved = ResolvedRun(
        **{
            "task": chain.name,
            "settings": dict(settings or {}),
            "options": options or RunOptions(),
            "plugins": {m.named: {} if chain.only_launches(m) else options_as_data(m.options) for m in again},
            "used": chain.used,
            **more,
        }
    )
    return LiveRun(resolved, chain, engine, drop_in, repeats or {}, file)

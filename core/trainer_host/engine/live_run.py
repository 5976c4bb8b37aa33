"""Runs in this process, made of plugins and of the engine of their task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.base.settings import name_of
from trainer_host.engine.factory import default_engine, make_engine
from trainer_host.engine.protocol import LiveRun
from trainer_host.plugin.discovery import FILE
from trainer_host.plugin.plugin_options import options_as_data
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain, Member


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
    **more: Any,
) -> LiveRun:
    """Return a run of plugins that are loaded.

    Args:
        chain: The plugins.
        engine: The engine.
        settings: Settings of the engine.
        options: Options of the host.
        drop_in: See `LiveRun`.
        more: Further fields of `ResolvedRun`.
    """
    again = [m for m in chain.again if m.options is not None or m not in chain.tasks]
    resolved = ResolvedRun(
        **{
            "task": chain.name,
            "settings": dict(settings or {}),
            "options": options or RunOptions(),
            "plugins": {_named_by_user(m): options_as_data(m.options) for m in again},
            "used": (*(f"{m.record.name} ({m.record.origin})" for m in chain.members), *chain.unasked),
            **more,
        }
    )
    return LiveRun(resolved, chain, engine, drop_in)


def load_run(resolved: ResolvedRun, registry: Registry | None = None) -> LiveRun:
    """Return a run that another process has resolved, with its plugins loaded.

    ``load_run(ResolvedRun.read("run.yaml"))`` is the same run in this process: the same settings, the same plugins in
    the same order, and the same engine, whose ``training`` carries it out. ``resolved.model_copy(update={"settings":
    ...})`` is a run that differs, such as in the name of its folder.

    Args:
        resolved: The run.
        registry: The plugins to choose from; by default the installed ones.

    Raises:
        PluginError: If a plugin cannot be used.
        SettingsError: If an option of a plugin is not valid.
    """
    registry = registry or Registry.installed(resolved.options.no_plugins)
    options = {name_of(name): values for name, values in resolved.plugins.items()}
    tasks = {record.name for record, _ in registry.task_chain(resolved.task)}
    extensions = [name for name in resolved.plugins if name not in tasks]
    return LiveRun(resolved, *load_plugins(registry, resolved.task, extensions, options))


def _named_by_user(member: Member) -> str:
    """Return the name that switches an extension on: its own, or the path of its file."""
    return member.record.distribution if member.record.version == FILE else member.record.name

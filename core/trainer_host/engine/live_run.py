"""A run in this process: what it does, and its plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.base.settings import name_of
from trainer_host.engine.factory import make_engine
from trainer_host.plugin.discovery import FILE
from trainer_host.plugin.plugin_options import options_as_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain, Member
    from trainer_host.plugin.registry import Registry


@dataclass(frozen=True)
class LiveRun:
    """A resolved run with its plugins, loaded in this process.

    Attributes:
        resolved: What the run does.
        chain: Its plugins.
        drop_in: Whether its trainer stands in for one of the engine's own.
    """

    resolved: ResolvedRun
    chain: Chain
    drop_in: bool = False

    @classmethod
    def of(cls, resolved: ResolvedRun, registry: Registry) -> LiveRun:
        """Return a run that another process has resolved.

        Raises:
            PluginError: If a plugin cannot be used.
            SettingsError: If an option of a plugin is not valid.
        """
        options = {name_of(name): values for name, values in resolved.plugins.items()}
        tasks = {record.name for record, _ in registry.task_chain(resolved.task)}
        extensions = [name for name in resolved.plugins if name not in tasks]
        hooks = engine_of(resolved.task, registry).default_hooks()
        return cls(resolved, registry.chain(resolved.task, extensions, options, hooks))

    @classmethod
    def of_chain(
        cls,
        chain: Chain,
        settings: Mapping[str, Any] | None = None,
        options: RunOptions | None = None,
        *,
        drop_in: bool = False,
        **more: Any,
    ) -> LiveRun:
        """Return a run of plugins that are loaded.

        Args:
            chain: The plugins.
            settings: Settings of the engine.
            options: Options of the host.
            drop_in: See the class.
            more: Further fields of `ResolvedRun`.
        """
        again = [m for m in chain.again if m.options is not None or m not in chain.tasks]
        resolved = ResolvedRun(
            **{
                "task": chain.name,
                "settings": dict(settings or {}),
                "options": options or RunOptions(),
                "plugins": {named_by_user(m): options_as_data(m.options) for m in again},
                "used": (*(f"{m.record.name} ({m.record.origin})" for m in chain.members), *chain.unasked),
                **more,
            }
        )
        return cls(resolved, chain, drop_in)

    @property
    def options(self) -> RunOptions:
        """The options of the host."""
        return self.resolved.options

    @property
    def engine(self) -> Engine:
        """The engine of the task."""
        return make_engine(_target([m.spec for m in self.chain.tasks]))


def engine_of(task: str, registry: Registry) -> Engine:
    """Return the engine of a task.

    Raises:
        PluginError: If the task or one of its bases cannot be used.
    """
    return make_engine(_target([spec for _, spec in registry.task_chain(task)]))


def _target(specs: Sequence[Any]) -> str | None:
    """Return the engine that a chain of tasks names, base first; None for the host's default."""
    return next((found for spec in reversed(specs) if (found := getattr(spec, "engine", None))), None)


def named_by_user(member: Member) -> str:
    """Return the name that switches an extension on: its own, or the path of its file."""
    return member.record.distribution if member.record.version == FILE else member.record.name

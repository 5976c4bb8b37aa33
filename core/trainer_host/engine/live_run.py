"""A run in this process: what it does, and its plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.plugin.discovery import FILE
from trainer_host.plugin.plugin_options import options_as_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.plugin.chain import Chain, Member


@dataclass(frozen=True)
class LiveRun:
    """A resolved run with its plugins, loaded in this process.

    Attributes:
        resolved: What the run does.
        chain: Its plugins.
        drop_in: Whether its trainer stands in for one of the engine's own.
        repeats: The record of the run that it repeats, as far as the user changed nothing of it; else empty.
    """

    resolved: ResolvedRun
    chain: Chain
    drop_in: bool = False
    repeats: Mapping[str, Any] = field(default_factory=dict)

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


def named_by_user(member: Member) -> str:
    """Return the name that switches an extension on: its own, or the path of its file."""
    return member.record.distribution if member.record.version == FILE else member.record.name

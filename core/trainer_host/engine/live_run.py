"""A run in this process: what it does, and its plugins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import RunOptions
from trainer_host.plugin.plugin_options import options_as_data

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.plugin.chain import Chain


@dataclass(frozen=True)
class LiveRun:
    """A resolved run with its plugins, loaded in this process.

    Attributes:
        resolved: What the run does.
        chain: Its plugins.
        drop_in: Whether its trainer stands in for one of the engine's own.
        repeats: The record of the run that it repeats, as far as the user changed nothing of it; else empty.
        file: The settings file that it was made from, or None.
    """

    resolved: ResolvedRun
    chain: Chain
    drop_in: bool = False
    repeats: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    @classmethod
    def of_chain(
        cls,
        chain: Chain,
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
            settings: Settings of the engine.
            options: Options of the host.
            drop_in: See the class.
            repeats: See the class.
            file: See the class.
            more: Further fields of `ResolvedRun`.
        """
        again = [m for m in chain.again if m.options is not None or m not in chain.tasks]
        resolved = ResolvedRun(
            **{
                "task": chain.name,
                "settings": dict(settings or {}),
                "options": options or RunOptions(),
                "plugins": {m.named: options_as_data(m.options) for m in again},
                "used": chain.used,
                **more,
            }
        )
        return cls(resolved, chain, drop_in, repeats or {}, file)

    @property
    def options(self) -> RunOptions:
        """The options of the host."""
        return self.resolved.options

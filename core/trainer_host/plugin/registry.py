"""The plugins of one command or call: found once, and passed down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.plugin import chain as chains
from trainer_host.plugin.discovery import KINDS, Kind, PluginRecord, discover, select

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from trainer_host.plugin.plugin_spec import TaskSpec


@dataclass(frozen=True)
class Registry:
    """The plugins that a command or call can use.

    Attributes:
        records: Every plugin, those that are switched off or broken included.
        disabled: Names that are switched off.
    """

    records: tuple[PluginRecord, ...]
    disabled: frozenset[str] = frozenset()

    @classmethod
    def installed(cls, disabled: Collection[str] = ()) -> Registry:
        """Return the installed plugins, read from metadata alone.

        Args:
            disabled: Names to switch off, next to those of ``TRAINER_NO_PLUGIN``.
        """
        return cls(tuple(discover(disabled)), frozenset(disabled))

    def with_plugins(self, plugins: Iterable[Any]) -> tuple[Registry, list[str]]:
        """Return the registry that knows these plugins too, and their names in order."""
        return self, [str(plugin) for plugin in plugins]

    def available(self, *kinds: Kind) -> list[PluginRecord]:
        """Return the plugins of some kinds that can be used."""
        return [r for r in self.records if r.state == "available" and r.kind in (kinds or KINDS)]

    def select(self, name: str, kind: Kind) -> PluginRecord:
        """Return the one plugin that a user means by ``name``, or by ``distribution:name``.

        Raises:
            PluginError: If there is none, or if it cannot be used.
        """
        return select(name, kind, self.records)

    def task_chain(self, name: str) -> list[tuple[PluginRecord, TaskSpec]]:
        """Return a task and its bases, base first. Only these are imported.

        Raises:
            PluginError: If one of them is missing or broken, or if the chain of bases is circular.
        """
        return chains.task_chain(name, self.records)

    def chain(
        self,
        task: str,
        extensions: Iterable[str] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        defaults: object | None = None,
    ) -> chains.Chain:
        """Import what a run needs, and register it base first; see `trainer_host.plugin.chain.load_chain`."""
        return chains.load_chain(self.records, task, extensions, options, self.disabled, defaults)

    def formats(self, extensions: Iterable[str] = ()) -> chains.HookManager:
        """Return the extensions of a run alone, to ask them about a dataset before its task is known."""
        return chains.load_formats(self.records, extensions)

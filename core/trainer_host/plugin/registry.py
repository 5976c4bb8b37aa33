"""The plugins of one command or call: found once, and passed down.

Listing plugins is part of ``trainer --help``, so what loads them is imported late.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem
from trainer_host.base.option_declaration import COMMANDS
from trainer_host.base.run_options import environment_values
from trainer_host.plugin.discovery import (
    KINDS,
    Kind,
    PluginRecord,
    arranged,
    discover,
    named,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from trainer_host.plugin.chain import Chain, HookManager
    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec


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
        return cls.of(discover(), disabled)

    @classmethod
    def of(cls, records: Iterable[PluginRecord], disabled: Collection[str] = ()) -> Registry:
        """Return the plugins of some records; ``disabled`` as for `installed`."""
        _, by_environment = environment_values(COMMANDS[0], "call").get("no_plugins", ("", ()))
        off = frozenset(by_environment).union(disabled)
        return cls(tuple(arranged(records, off)), off)

    def without(self, disabled: Collection[str]) -> Registry:
        """Return the same plugins, some more of them switched off."""
        return self.of(self.records, self.disabled.union(disabled)) if disabled else self

    def with_plugins(self, plugins: Iterable[Any]) -> tuple[Registry, list[str]]:
        """Return a registry that also has the plugins given as objects, and the names of all that were given.

        Args:
            plugins: Names and paths of files, which stay as they are; and objects: a `TaskSpec`, an `ExtensionSpec`,
                a module, an object with `hookimpl` methods, or its class.

        Raises:
            PluginError: If one is not a plugin, or has the name of another.
        """
        from trainer_host.plugin.plugin_objects import record_of_object

        added: list[PluginRecord] = []
        names = []
        for plugin in plugins:
            if isinstance(plugin, (str, PathLike)):
                names.append(fspath(plugin))
                continue
            record = record_of_object(plugin)
            same = next((r for r in (*self.available("task", "extension"), *added) if r.name == record.name), None)
            if same is None:
                added.append(record)
            elif getattr(same.given, "hooks", None) is not getattr(record.given, "hooks", None):
                what = f"{record.origin} has the name of {same.kind} {same.name!r} from {same.origin}."
                raise PluginError(Problem(what, "rename the class, or give a name: ExtensionSpec(name=...)"))
            names.append(record.name)
        return (self.of((*self.records, *added), self.disabled) if added else self), names

    def available(self, *kinds: Kind) -> list[PluginRecord]:
        """Return the plugins of some kinds that can be used."""
        return [r for r in self.records if r.state == "available" and r.kind in (kinds or KINDS)]

    def select(self, name: str, kind: Kind) -> PluginRecord:
        """Return the one plugin that a user means by ``name``, or by ``distribution:name``.

        Raises:
            PluginError: If there is none, or if it cannot be used.
        """
        return select(name, kind, self.records)

    def find(self, name: str) -> PluginRecord:
        """Return the one plugin of any kind that a user means by its name, or by that of its distribution.

        Raises:
            PluginError: If there is none, or if it cannot be used.
        """
        name, kind = named(name, self.records)
        return select(name, kind, self.records)

    def load(self, record: PluginRecord) -> TaskSpec | ExtensionSpec:
        """Return a task or an extension: the object that was given, or what the entry point names.

        Raises:
            PluginError: If the import fails, or if it is not a plugin of its kind.
        """
        from trainer_host.plugin.plugin_loading import load_extension, load_task

        return load_task(record) if record.kind == "task" else load_extension(record)

    def task_chain(self, name: str) -> list[tuple[PluginRecord, TaskSpec]]:
        """Return a task and its bases, base first. Only these are imported.

        Raises:
            PluginError: If one of them is missing or broken, or if the chain of bases is circular.
        """
        from trainer_host.plugin.chain import task_chain

        return task_chain(name, self.records)

    def chain(
        self,
        task: str,
        extensions: Iterable[str] = (),
        options: Mapping[str, Mapping[str, Any]] | None = None,
        defaults: object | None = None,
    ) -> Chain:
        """Import what a run needs, and register it base first; see `trainer_host.plugin.chain.load_chain`."""
        from trainer_host.plugin.chain import load_chain

        return load_chain(self.records, task, extensions, options, self.disabled, defaults)

    def formats(self, extensions: Iterable[str] = ()) -> HookManager:
        """Return the extensions of a run alone, to ask them about a dataset before its task is known."""
        from trainer_host.plugin.chain import load_formats

        return load_formats(self.records, extensions)

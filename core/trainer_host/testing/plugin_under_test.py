"""The plugin that is checked, and the registry that it is checked with."""

from __future__ import annotations

import copy
import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem
from trainer_host.engine.live_run import engine_of_task
from trainer_host.plugin.chain import task_chain
from trainer_host.plugin.discovery import FILE
from trainer_host.plugin.plugin_loading import load_file, load_target
from trainer_host.plugin.plugin_objects import held_as, record_of_object
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.discovery import PluginRecord

    Spec = TaskSpec | ExtensionSpec


@dataclass(frozen=True)
class Subject:
    """A plugin that is checked.

    Attributes:
        record: The plugin.
        spec: The plugin's spec, loaded.
        task: The task that is trained; the plugin itself, or the one that an extension is tried with.
        registry: The plugins that its trainings can use.
    """

    record: PluginRecord
    spec: Spec
    task: str
    registry: Registry

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.record.name

    @property
    def plugins(self) -> tuple[str, ...]:
        """The extensions that are switched on."""
        return (self.name,) if self.record.kind == "extension" else ()

    @property
    def installed(self) -> bool:
        """Whether the plugin comes from an installed package."""
        return self.record.given is None

    @property
    def package(self) -> str:
        """The top-level package or module that holds the plugin."""
        return self.record.target.partition(":")[0].partition(".")[0]

    @property
    def engine(self) -> Engine:
        """The engine of its trainings."""
        return engine_of_task(self.task, self.registry)

    def with_records(self, *records: PluginRecord) -> Registry:
        """Return the registry with further plugins."""
        return Registry.of((*self.registry.records, *records))

    def _loaded_again(self, held: tuple[str, str] | None) -> PluginRecord:
        spec = self.record.given
        if spec is None:
            return self.record
        if self.record.version == FILE:
            return _record_of_file(Path(self.record.distribution))
        if held is not None:
            return replace(self.record, given=getattr(importlib.import_module(held[0]), held[1]))
        return replace(self.record, given=replace(spec, hooks=copy.deepcopy(spec.hooks)))

    @contextmanager
    def imported_again(self) -> Iterator[Subject]:
        """Yield the plugin with its modules imported again, so that they hold nothing of earlier runs."""
        ours = {n: m for n, m in sys.modules.items() if n == self.package or n.startswith(f"{self.package}.")}
        held = held_as(self.record.given) if self.record.given is not None else None
        for name in ours if held or self.installed else ():
            del sys.modules[name]
        try:
            record = self._loaded_again(held)
            registry = Registry.of(record if r == self.record else r for r in self.registry.records)
            yield Subject(record, registry.load(record), self.task, registry)
        finally:
            for name in [n for n in sys.modules if n == self.package or n.startswith(f"{self.package}.")]:
                del sys.modules[name]
            sys.modules.update(ours)


def installed_subject(name: str, task: str | None = None) -> Subject:
    """Return an installed plugin as a subject.

    Args:
        name: The plugin's name, ``distribution:name``, or the name of a distribution that brings it alone.
        task: For an extension the task that it is tried with; if omitted, the first that has a sample and no base.

    Raises:
        PluginError: If there is no such plugin, or if it cannot be used.
    """
    registry = Registry.installed()
    record = registry.find(name)
    if record.kind == "command":
        raise PluginError(Problem(f"{record.name!r} is a command.", hint="Checks are for tasks and extensions."))
    # The records that share its name are omitted, so that it can be used by its name alone.
    others = [r for r in registry.records if r.name != record.name]
    registry = Registry.of([record, *others])
    base = record.name if record.kind == "task" else task or _task_with_sample(registry)
    return Subject(record, registry.load(record), base, registry)


def _task_with_sample(registry: Registry) -> str:
    """Return the first task that has a sample, preferring those without a base."""
    found = []
    for record in registry.available("task"):
        try:
            chain = registry.chain(record.name)
        except PluginError:
            continue  # somebody else's, and not what is checked
        if chain.manager.hook.build_sample.get_hookimpls():
            found.append((len(chain.tasks), record.name))
    if not found:
        raise PluginError(Problem("no installed task has a sample to try the extension with.", "name one: --task NAME"))
    return min(found)[1]


def given_subject(
    plugin: Any,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    others: Mapping[str, Spec] | None = None,
) -> Subject:
    """Return a plugin that is given as an object, or the path of its file, as a subject.

    Its registry has nothing else but ``others`` and the tasks that it builds on.

    Args:
        plugin: The plugin.
        name: Its name; if omitted, that of the installed plugin that it is, or of its module or class.
        task: For an extension the task that it is tried with, by name or as an object.
        others: Further plugins by name.
    """
    installed = Registry.installed()
    if isinstance(plugin, Path):
        own = _record_of_file(plugin)
    else:
        same = (r for r in installed.available("task", "extension") if not name and _is(r, plugin))
        own = next(same, None) or record_of_object(plugin, name)
    records = [own, *(record_of_object(spec, key) for key, spec in (others or {}).items())]
    if isinstance(task, TaskSpec):
        records.append(record_of_object(task))
        base = records[-1].name
    else:
        base = own.name if own.kind == "task" else task or _task_with_sample(installed)
    spec = installed.load(own)
    for wanted in {base, getattr(spec, "base", None)} - {None, *(r.name for r in records)}:
        records += [r for r, _ in task_chain(str(wanted), [*records, *installed.records]) if r not in records]
    return Subject(own, spec, base, Registry.of(records))


def _record_of_file(file: Path) -> PluginRecord:
    record, spec = load_file(file)
    return replace(record, given=spec)


def _is(record: PluginRecord, plugin: Any) -> bool:
    """Return whether an installed plugin is this very object; nothing is imported to find out."""
    if record.target.partition(":")[0] not in sys.modules:
        return False
    try:
        return load_target(record) is plugin
    except PluginError:
        return False

"""The plugin that is checked, and the plugins that are there while it is."""

from __future__ import annotations

import copy
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING

from trainer_host.base.errors import PluginError, Problem
from trainer_host.plugin.chain import task_chain
from trainer_host.plugin.discovery import PluginRecord, discover, named, only, select
from trainer_host.plugin.plugin_loading import load_extension, load_file, load_target, load_task
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trainer_host.plugin.discovery import Kind

    Spec = TaskSpec | ExtensionSpec

GIVEN = "trainer_host_given_plugins"
"""A module for specs that stand in no module of their own."""
NOT_INSTALLED = "(not installed)"
"""The version of a spec that was given as an object; its distribution is its module."""


@dataclass(frozen=True)
class Subject:
    """A plugin that is checked.

    Attributes:
        record: The plugin.
        spec: What its entry point names.
        task: The task that is trained; the plugin itself, or the one that an extension is tried with.
        records: All plugins that are there.
        file: The file that the plugin was loaded from, where it is no package.
    """

    record: PluginRecord
    spec: Spec
    task: str
    records: tuple[PluginRecord, ...]
    file: Path | None = None

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
        return self.record.version != NOT_INSTALLED

    @property
    def package(self) -> str:
        """The top-level package or module that holds the plugin."""
        return self.record.target.partition(":")[0].partition(".")[0]

    @property
    def others(self) -> tuple[PluginRecord, ...]:
        """The plugins that are there besides it."""
        return tuple(r for r in self.records if r != self.record)

    def _loaded_anew(self) -> Spec:
        if self.file is not None:
            return load_file(self.file)[1]
        if self.package == GIVEN:
            return replace(self.spec, hooks=copy.deepcopy(self.spec.hooks))
        return load_task(self.record) if self.record.kind == "task" else load_extension(self.record)

    @contextmanager
    def imported_anew(self) -> Iterator[Subject]:
        """Yield the plugin with its modules imported once more, so that nothing of earlier runs is in them."""
        ours = {n: m for n, m in sys.modules.items() if n == self.package or n.startswith(f"{self.package}.")}
        for name in ours if self.package != GIVEN else ():
            del sys.modules[name]
        try:
            spec = self._loaded_anew()
            with holding({self.name: spec}) as (record,):
                record = record if not self.installed else self.record
                yield replace(self, record=record, spec=spec, records=(record, *self.others))
        finally:
            for name in [n for n in sys.modules if n == self.package or n.startswith(f"{self.package}.")]:
                del sys.modules[name]
            sys.modules.update(ours)


def installed_subject(name: str, task: str | None = None) -> Subject:
    """Return an installed plugin as a subject.

    Args:
        name: The plugin's name, ``distribution:name``, or the name of a distribution that brings it alone.
        task: For an extension the task that it is tried with; without it the first that has a sample and no base.

    Raises:
        PluginError: If there is no such plugin, or if it cannot be used.
    """
    records = discover()
    name, kind = named(name, records)
    if kind == "command":
        raise PluginError(Problem(f"{name!r} is a command.", "Checks are for tasks and extensions."))
    record = select(name, kind, records)
    spec: Spec = load_task(record) if kind == "task" else load_extension(record)
    # One that is part of every run is named all the same, so that it is never left out without a word.
    there = tuple(record if r.name == record.name and r.kind == kind else r for r in records)
    base = record.name if kind == "task" else task or _task_with_sample(there)
    return Subject(record, spec, base, there)


def _task_with_sample(records: Sequence[PluginRecord]) -> str:
    """Return the first task that has a sample, those first that build on no other."""
    found = []
    with only(records):
        for record in [r for r in records if r.kind == "task" and r.state == "available"]:
            try:
                chain = Registry.installed().chain(record.name)
            except PluginError:
                continue  # somebody else's, and not what is checked
            if chain.manager.hook.build_sample.get_hookimpls():
                found.append((len(chain.tasks), record.name))
    if not found:
        raise PluginError(Problem("no installed task has a sample to try the extension with.", "Name one: --task NAME"))
    return min(found)[1]


@contextmanager
def given_subject(
    spec: Spec,
    name: str | None = None,
    task: str | TaskSpec | None = None,
    beside: Mapping[str, Spec] | None = None,
    file: Path | None = None,
) -> Iterator[Subject]:
    """Yield a spec as a subject; besides it only the tasks that it builds on are there.

    Args:
        spec: The plugin.
        name: Its name; where it is left out, that of the installed plugin that it is, or of its module.
        task: For an extension the task that it is tried with, by name or as an object.
        beside: Other plugins that are to be there, by name.
        file: The file that it was loaded from, where it is no package.
    """
    real = discover()
    same = None if name else next((r for r in real if r.state == "available" and _is(r, spec)), None)
    name = same.name if same else name or name_of(spec)
    others: dict[str, Spec] = dict(beside or {})
    if isinstance(task, TaskSpec):
        base = name_of(task)
        others[base] = task
    else:
        base = task or (_task_with_sample(real) if isinstance(spec, ExtensionSpec) else name)
    with holding({name: spec, **others}) as (own, *rest):
        record = same or own
        records = [record, *rest]
        for wanted in {base, getattr(spec, "base", None)} - {None, *(r.name for r in records)}:
            records += [r for r, _ in task_chain(str(wanted), [*records, *real]) if r not in records]
        yield Subject(record, spec, base, tuple(records), file)


def _is(record: PluginRecord, spec: Spec) -> bool:
    """Return whether an installed plugin is this very object; nothing is imported to tell."""
    if record.target.partition(":")[0] not in sys.modules:
        return False
    try:
        return load_target(record) is spec
    except PluginError:
        return False


def name_of(spec: Spec) -> str:
    """Return the name that the convention gives the plugin of a module: my-task for trainer_my_task."""
    parts = _module_of(spec).split(".")
    module = parts[0] if parts[0].startswith("trainer_") else parts[-1]
    return module.removeprefix("trainer_").replace("_", "-").strip("-") or "plugin"


def _module_of(spec: Spec) -> str:
    hooks = spec.hooks
    return hooks.__name__ if isinstance(hooks, ModuleType) else type(hooks).__module__


@contextmanager
def holding(specs: Mapping[str, Spec]) -> Iterator[list[PluginRecord]]:
    """Yield a record for each spec, by which the host can import it."""
    stand_in = sys.modules.get(GIVEN) or ModuleType(GIVEN)
    sys.modules[GIVEN] = stand_in
    records, made = [], []
    for name, spec in specs.items():
        module = origin = _module_of(spec)
        found = next((n for n, v in vars(sys.modules.get(module, stand_in)).items() if v is spec), None)
        if found is None:
            module, found = GIVEN, f"spec_{id(spec)}"
            setattr(stand_in, found, spec)
            made.append(found)
        kind: Kind = "task" if isinstance(spec, TaskSpec) else "extension"
        records.append(PluginRecord(name, kind, origin, NOT_INSTALLED, "available", "", f"{module}:{found}"))
    try:
        yield records
    finally:
        for attribute in made:
            delattr(stand_in, attribute)

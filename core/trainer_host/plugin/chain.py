"""The chain of a run: the selected task with its bases, and the extensions that are switched on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pluggy

from trainer_host.base.errors import PluginError, Problem, SettingsError, StoppedError, unknown
from trainer_host.base.settings import is_file, name_of
from trainer_host.plugin.deprecation import deprecations_noted
from trainer_host.plugin.discovery import (
    FILE,
    HOST,
    PluginRecord,
    record_of_module,
    select,
)
from trainer_host.plugin.error_attribution import guarded
from trainer_host.plugin.hookspecs import BASE_FIRST, HOOKS, HookSpecs
from trainer_host.plugin.markers import PROJECT
from trainer_host.plugin.plugin_loading import load_extension, load_named, load_task, with_object
from trainer_host.plugin.plugin_options import parse_options
from trainer_host.plugin.unused_hooks import ignored_hooks, no_hooks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec


DEFAULTS = "the engine's defaults"
"""The name under which the engine's own hooks are registered."""
READERS = frozenset({"read_dataset", "sniff_dataset"})
"""First-result hooks that an extension may answer itself, because its reader depends on the dataset, not the task."""


class _Guards:
    """The implementations of a plugin behind guards: what pluggy registers in the plugin's place.

    Attributes:
        hooks: The plugin's own object or module.
    """

    def __init__(self, hooks: object) -> None:
        self.hooks = hooks


class HookManager(pluggy.PluginManager):
    """A plugin manager that runs the hooks of `BASE_FIRST` from the base to the task.

    It registers implementations behind guards, which note on an error the plugin and the hook that it comes from.

    Attributes:
        records: The plugins that are registered, by the name that they are registered under.
        deprecated: Warnings about hooks of theirs that are deprecated or have no effect.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.add_hookspecs(HookSpecs)
        self.records: dict[str, PluginRecord] = {}
        self.deprecated: list[Problem] = []

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register an object or a module with hook implementations.

        Raises:
            ValueError: If the name or the plugin is already registered.
        """
        if any(isinstance(known, _Guards) and known.hooks is plugin for known in self.get_plugins()):
            raise ValueError(f"{plugin!r} is already registered")
        guards, name = _Guards(plugin), name or self.get_canonical_name(plugin)
        for attribute in dir(plugin):
            opts = self.parse_hookimpl_opts(plugin, attribute)
            if opts is not None:
                hook, wrapper = opts["specname"] or attribute, opts["wrapper"] or opts["hookwrapper"]
                setattr(guards, attribute, guarded(getattr(plugin, attribute), name, hook, wrapper))
        return super().register(guards, name)

    def implementations(self, name: str) -> list[tuple[pluggy.HookCaller, pluggy.HookImpl]]:
        """Return what a registered plugin implements, with the hook that calls it."""
        callers = self.get_hookcallers(self.get_plugin(name)) or []
        return [(c, i) for c in callers for i in c.get_hookimpls() if i.plugin_name == name]

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Read a plugin's marker, and put implementations of base-first hooks in order of registration."""
        opts = super().parse_hookimpl_opts(plugin, name)
        # `trylast` on all of them reverses pluggy's order; `tryfirst` on the base would break at depth three.
        if opts is not None and (opts["specname"] or name) in BASE_FIRST and not opts["wrapper"]:
            opts["trylast"], opts["tryfirst"] = True, False
        return opts


@dataclass(frozen=True)
class Member:
    """A plugin of a run.

    Attributes:
        record: Its record.
        spec: Its spec.
        options: Its options.
        given: The name that the user gave it, such as ``DISTRIBUTION:NAME``; empty for its own.
    """

    record: PluginRecord
    spec: TaskSpec | ExtensionSpec
    options: Any = None
    given: str = ""

    @property
    def named(self) -> str:
        """The name that switches it on again: the one that the user gave, or the path of its file."""
        return self.record.distribution if self.record.version == FILE else self.given or self.record.name


@dataclass(frozen=True)
class Chain:
    """The plugins of one run.

    Attributes:
        tasks: The chain of the selected task, base first.
        extensions: The extensions, in the order in which they were named.
        manager: The plugin manager that holds them and nothing else.
        always: The extensions that are always on, by name.
        notices: Warnings for the user: always-on extensions that could not be loaded, and deprecated hooks.
    """

    tasks: tuple[Member, ...]
    extensions: tuple[Member, ...]
    manager: HookManager = field(repr=False)
    always: tuple[Member, ...] = ()
    notices: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """The selected task's name."""
        return self.tasks[-1].record.name

    @property
    def members(self) -> tuple[Member, ...]:
        """The plugins that the user named, tasks first; the record of a run lists them."""
        return self.tasks + self.extensions

    @property
    def changed(self) -> tuple[Member, ...]:
        """The always-on extensions whose options are not the defaults, and are part of the run."""
        kept = (m for m in self.always if m.options is not None and not self.only_launches(m))
        return tuple(m for m in kept if m.options != type(m.options)())

    @property
    def unasked(self) -> tuple[str, ...]:
        """The third-party extensions that are always on, with their distributions, for records."""
        return tuple(f"{m.record.name} ({m.record.origin})" for m in self.always if m.record.distribution != HOST)

    @property
    def used(self) -> tuple[str, ...]:
        """The plugins that the user named or the host does not bring, with their distributions, for records."""
        return (*(f"{m.record.name} ({m.record.origin})" for m in self.members), *self.unasked)

    @property
    def to_repeat(self) -> tuple[Member, ...]:
        """The plugins to name for the same chain, in an order that gives the same order of hooks."""
        named = tuple(m for m in self.extensions if not (m.record.always and self.only_launches(m)))
        return self.tasks + self.changed + named

    def only_launches(self, member: Member) -> bool:
        """Return whether a plugin brings launchers and nothing else: its options say how, and not what, is run."""
        found = self.manager.implementations(f"{member.record.kind}:{member.record.name}")
        return {caller.name for caller, _ in found} == {"launchers"}

    @property
    def options(self) -> dict[str, Any]:
        """The options of each plugin that has any, by its name."""
        return {m.record.name: m.options for m in self.members + self.always if m.options is not None}

    @property
    def engine_task(self) -> str:
        """The engine's own name for the kind of task."""
        return self.attribute("engine_task") or self.name

    @property
    def loss_reduction(self) -> str:
        """What the loss of a batch is: ``sum`` or ``mean``."""
        return self.attribute("loss_reduction") or "sum"

    def answers(self, hook: str) -> bool:
        """Return whether a plugin implements a hook, and not only the engine."""
        return any(i.plugin_name != DEFAULTS for i in getattr(self.manager.hook, hook).get_hookimpls())

    def attribute(self, name: str) -> Any:
        """Return an attribute of the task, or of its nearest base that has it."""
        return next((v for m in reversed(self.tasks) if (v := getattr(m.spec, name))), None)

    def blame(self, module: str) -> PluginRecord | None:
        """Return the plugin whose package holds a module, or None."""
        return record_of_module(module, [m.record for m in self.members + self.always])


def task_chain(name: str, records: Sequence[PluginRecord]) -> list[tuple[PluginRecord, TaskSpec]]:
    """Return a task and its bases, base first. Only these are imported.

    Raises:
        PluginError: If one of them is missing or broken, or if the chain of bases is circular.
    """
    chain: list[tuple[PluginRecord, TaskSpec]] = []
    wanted: str | None = name
    while wanted is not None:
        try:
            record = select(wanted, "task", records)
        except PluginError as error:
            if not chain:
                raise
            above = chain[-1][0]
            what = f"the base {wanted!r} of task {above.name!r} from {above.origin} cannot be used."
            raise PluginError(Problem(what, hint=str(error))) from error
        if any(record == seen for seen, _ in chain):
            circle = " -> ".join([*(seen.name for seen, _ in chain), record.name])
            raise PluginError(f"circular base chain: {circle} ({record.origin}).")
        spec = load_task(record)
        chain.append((record, spec))
        wanted = spec.base
    return chain[::-1]


def load_chain(
    records: Sequence[PluginRecord],
    task: str,
    extensions: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    disabled: Collection[str] = (),
    defaults: object | None = None,
) -> Chain:
    """Import what a run needs, and register it base first.

    Args:
        records: The plugins to choose from.
        task: The task's name, or ``distribution:name``.
        extensions: Names of installed extensions, or paths of Python files.
        options: Values by plugin and option.
        disabled: Names of plugins that are switched off.
        defaults: An object that answers hooks if no plugin does.

    Raises:
        PluginError: If a plugin is missing, broken, or breaks the contract of a hook.
        SettingsError: If an option is unknown or of the wrong type; all of them are reported.
    """
    extensions = list(dict.fromkeys(extensions))
    chain = task_chain(task, records)
    loaded: list[tuple[PluginRecord, TaskSpec | ExtensionSpec]] = [(r, with_object(spec, r)) for r, spec in chain]
    depth = len(loaded)
    tasks = {record.name for record, _ in loaded}
    always, skipped = _load_always(records, {name.rpartition(":")[2] for name in extensions})
    loaded += always
    for name in extensions:
        if name in tasks:
            continue  # a settings file lists tasks with options and extensions in one place
        _refuse_file(name, tasks, disabled)
        loaded.append(load_named(name, records))
    given = {name_of(name): name for name in extensions}
    members = _with_options(loaded, options or {}, given)
    manager = HookManager()
    if defaults is not None:
        manager.register(defaults, name=DEFAULTS)
    for member in members:
        register(manager, member)
    named = depth + len(always)
    return Chain(
        tuple(members[:depth]),
        tuple(members[named:]),
        manager,
        tuple(members[depth:named]),
        (*skipped, *manager.deprecated),
    )


def _refuse_file(given: str, tasks: Collection[str], disabled: Collection[str]) -> None:
    """Refuse a plugin file that is switched off, or has the name of a task of the run.

    Raises:
        PluginError: If it is one.
    """
    if not is_file(given):
        return
    if name_of(given) in tasks:
        what = f"plugin file {given} has the same name as the task {name_of(given)!r}."
        raise PluginError(Problem(what, "rename the file"))
    if name_of(given) in disabled:
        what = f"plugin file {given} is switched off."
        raise PluginError(Problem(what, "remove --no-plugin, and unset TRAINER_NO_PLUGIN"))


def _load_always(
    records: Sequence[PluginRecord], named: Collection[str]
) -> tuple[list[tuple[PluginRecord, ExtensionSpec]], list[Problem]]:
    """Import the always-on extensions, except those that the user named, which are loaded as such.

    Returns:
        Those that work, by name, and the problems of the others, which do not stop a run that did not name them.
    """
    loaded: list[tuple[PluginRecord, ExtensionSpec]] = []
    problems: list[Problem] = []
    names = {r.name for r in records if r.always and r.state != "disabled"} - set(named)
    for name in sorted(names):
        try:
            record = select(name, "extension", records)
            spec = load_extension(record)
            _, wrong = parse_options(name, spec.options, {})
            if wrong:
                raise PluginError(*wrong)
            register(HookManager(), Member(record, spec))
        except PluginError as error:
            problems += error.problems
        except StoppedError:
            raise
        except Exception as error:  # whatever a declaration of options raises
            problems.append(Problem(f"extension {name!r} is broken: {type(error).__name__}: {error}".splitlines()[0]))
        else:
            loaded.append((record, spec))
    return loaded, problems


def load_formats(records: Sequence[PluginRecord], extensions: Iterable[str] = ()) -> HookManager:
    """Register the extensions of a run alone, to ask them about a dataset before its task is known.

    A broken one is skipped here; loading the chain reports it.
    """
    manager = HookManager()
    for record in [r for r in records if r.kind == "extension" and r.state == "available"]:
        if record.always or record.name in set(extensions):
            with suppress(PluginError):
                register(manager, Member(record, load_extension(record)))
    return manager


def _with_options(
    loaded: list[tuple[PluginRecord, TaskSpec | ExtensionSpec]],
    options: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str],
) -> list[Member]:
    problems: list[Problem] = []
    members = []
    for record, spec in loaded:
        value, wrong = parse_options(record.name, spec.options, options.get(record.name) or {})
        problems += wrong
        members.append(Member(record, spec, value, given.get(record.name, "")))
    names = {m.record.name for m in members}
    for name in options:
        if name not in names:
            known = f"Plugins of this run: {', '.join(sorted(names))}."
            what = f"plugin {name!r} has options, but is not part of this run."
            problems.append(Problem(what, f"add --plugin {name}", hint=known))
    if problems:
        raise SettingsError(*problems)
    return members


def register(manager: HookManager, member: Member) -> None:
    """Register a plugin's hooks.

    Raises:
        PluginError: If a hook is unknown or has unknown arguments, if an extension answers one that it may only wrap,
            or if an extension has none.
    """
    record, hooks = member.record, member.spec.hooks
    where = f"{record.kind} {record.name!r} from {record.origin}"
    name = f"{record.kind}:{record.name}"
    try:
        with deprecations_noted(record, manager.deprecated):
            manager.register(hooks, name=name)
    except pluggy.PluginValidationError as error:
        reason = " ".join(str(error).split())
        raise PluginError(Problem(f"{where} has an invalid hook: {reason}.", "see docs/reference/hooks.md")) from error
    except ValueError as error:
        raise PluginError(f"{where} is registered twice: {error}.") from error
    manager.records[name] = record
    implemented = manager.implementations(name)
    if record.kind == "extension":
        if not implemented:
            raise PluginError(no_hooks(record, hooks))
        manager.deprecated += ignored_hooks(record, hooks)
    for caller, implementation in implemented:
        if caller.spec is None and not implementation.optionalhook:
            problem = unknown("hook", caller.name, list(HOOKS))
            what = f"{where} has an invalid hook: {problem}"
            raise PluginError(Problem(what, "see docs/reference/hooks.md"))
        first = caller.spec is not None and caller.spec.opts["firstresult"]
        answers = first and caller.name not in READERS and not (implementation.wrapper or implementation.hookwrapper)
        if record.kind == "extension" and answers:
            raise PluginError(
                Problem(
                    f"{where} implements the first-result hook {caller.name!r} without wrapping it.",
                    "write @hookimpl(wrapper=True), and return the answer of yield",
                )
            )


def hook_names(member: Member) -> list[str]:
    """Return the hooks that a plugin implements.

    Raises:
        PluginError: If it breaks the contract of one.
    """
    manager = HookManager()
    register(manager, replace(member, spec=with_object(member.spec, member.record)))
    return sorted({caller.name for caller, _ in manager.implementations(f"{member.record.kind}:{member.record.name}")})

"""The installed plugins, read from package metadata alone: no plugin is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from trainer_host.base.errors import PluginError, Problem, nearest
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from importlib import metadata


TASKS = "trainer_host.tasks"
EXTENSIONS = "trainer_host.plugins"
ALWAYS = "trainer_host.always"
"""The group of extensions that are always on, such as dataset formats."""

COMMANDS = "trainer_host.commands"
"""The group of commands that are added to ``trainer``."""

Kind = Literal["task", "extension", "command"]
KINDS: tuple[Kind, ...] = ("task", "extension", "command")
"""The order in which plugins are listed."""
State = Literal["available", "disabled", "conflict", "incompatible", "broken"]

HOST = "trainer-host"
"""The distribution whose plugins are built in."""
BUILT_IN = frozenset({"run", "resume", "val", "predict", "check", "convert", "plugins", "doctor"})
"""Names of commands that are reserved for the host."""
FILE = "file"
"""The version of a plugin that is one file."""
OBJECT = "object"
"""The distribution and version of a plugin that was given as an object."""
UNKNOWN = "unknown"
GROUPS: dict[str, tuple[Kind, bool]] = {
    TASKS: ("task", False),
    EXTENSIONS: ("extension", False),
    ALWAYS: ("extension", True),
    COMMANDS: ("command", False),
}
"""The kind of plugin in each group, and whether it is always on."""


@dataclass(frozen=True)
class PluginRecord:
    """A plugin: installed, in a file, or given as an object.

    Attributes:
        name: The entry point's name; for a task also the task's name.
        kind: ``task``, ``extension`` or ``command``.
        distribution: The package that brings it; the path of a file; ``object`` for an object.
        version: The package's version; ``file`` or ``object`` for what is not in a package.
        state: ``available``; ``disabled``, ``conflict`` or ``incompatible``, which metadata shows; or ``broken``,
            which only an import shows.
        reason: Why it is not available, as a sentence; empty otherwise.
        target: What the entry point names, as ``module:attribute``.
        always: Whether it is on in each run without being named.
        given: The plugin itself if it was given as an object; None if it has to be imported.
    """

    name: str
    kind: Kind
    distribution: str
    version: str
    state: State
    reason: str
    target: str
    always: bool = False
    given: Any = field(default=None, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON can hold it."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "given"}

    @property
    def origin(self) -> str:
        """The distribution and its version, the file, or the place of the object's class, for people."""
        if self.version == OBJECT:
            return f"the object {self.target}"
        return self.distribution if self.version == FILE else f"{self.distribution} {self.version}"


def discover() -> Iterator[PluginRecord]:
    """Yield a record of every installed plugin. Never raises for a faulty one.

    Only `trainer_host.plugin.registry.Registry.installed` calls this: once for each command or call.
    """
    from importlib import metadata  # imported late, because help needs none of it

    seen = set()
    for dist in metadata.distributions():
        brought = _entry_points(dist)
        if not brought:
            continue
        name, version, requires = _about(dist)
        key = normal(name)
        if key in seen:
            continue  # Python imports the package that comes first on the path
        seen |= {key} - {UNKNOWN}
        reason = _incompatibility(requires)
        state: State = "incompatible" if reason else "available"
        for point in brought:
            kind, always = GROUPS[point.group]
            target = point.value.partition("[")[0].strip()  # without extras
            yield PluginRecord(point.name, kind, name, version, state, reason, target, always)


def arranged(records: Iterable[PluginRecord], disabled: Collection[str]) -> list[PluginRecord]:
    """Return records by kind and name, those that are switched off or share a name marked as such.

    Args:
        records: The plugins.
        disabled: Names to switch off. A distribution's name switches off all that it brings.
    """
    packages = {normal(name) for name in disabled}
    marked = []
    for record in dict.fromkeys(records):
        if record.name in disabled or normal(record.distribution) in packages:
            marked.append(replace(record, state="disabled", reason="switched off."))
        elif record.state == "conflict":  # which may be over, now that others are switched off
            marked.append(replace(record, state="available", reason=""))
        else:
            marked.append(record)
    return sorted(_mark_conflicts(marked), key=lambda r: (KINDS.index(r.kind), r.name, r.distribution))


def _entry_points(dist: metadata.Distribution) -> list[metadata.EntryPoint]:
    """Return the entry points of plugins that a distribution brings; none if its file is damaged.

    Each distribution is read by itself: `importlib.metadata.entry_points` fails as a whole over one damaged file.
    """
    try:
        return [point for point in dist.entry_points if point.group in GROUPS and point.name]
    except Exception:  # what a damaged file raises differs by release of Python
        return []


def _about(dist: metadata.Distribution) -> tuple[str, str, list[str]]:
    """Return name, version and requirements of a distribution, also if its metadata is damaged."""
    try:
        meta = dist.metadata
    except Exception:  # what a missing or damaged file raises differs by release of Python
        return UNKNOWN, "0", []
    names, versions = meta.get_all("Name") or [UNKNOWN], meta.get_all("Version") or ["0"]
    return str(names[0]).strip() or UNKNOWN, str(versions[0]).strip() or "0", meta.get_all("Requires-Dist") or []


def _incompatibility(requires: Iterable[str]) -> str:
    ours = [line for line in requires if normal(line).startswith(HOST)]
    if not ours:
        return ""
    # Imported for third-party plugins only, because it takes a sixth of the command's start.
    from packaging.requirements import Requirement

    for line in ours:
        try:
            requirement = Requirement(line)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except ValueError:  # the base of all that a damaged line raises, which differs by release of packaging
            continue
        fits = requirement.specifier.contains(__version__, prereleases=True)
        if normal(requirement.name) == HOST and applies and not fits:
            return f"requires {HOST}{requirement.specifier}, but {__version__} is installed."
    return ""


def normal(name: str) -> str:
    """Return the normalized name of a distribution, for comparisons."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _mark_conflicts(records: list[PluginRecord]) -> list[PluginRecord]:
    """Mark the plugins that share a name.

    Options are given as NAME.OPTION, so tasks and extensions share their names; commands have no options.
    """
    claims: dict[tuple[bool, str], list[PluginRecord]] = {}
    for record in records:
        if record.state == "available":
            claims.setdefault((record.kind == "command", record.name), []).append(record)
    return [replace(r, state="conflict", reason=reason) if (reason := _conflict(r, claims)) else r for r in records]


def _conflict(record: PluginRecord, claims: Mapping[tuple[bool, str], list[PluginRecord]]) -> str:
    """Return why a plugin cannot be used by its name; empty if it can."""
    if record.state != "available":
        return ""
    is_command = record.kind == "command"
    if is_command and record.name in BUILT_IN:
        return f"{HOST} has a command {record.name!r}; call this one as {record.distribution}:{record.name}."
    others = [r.distribution for r in claims[is_command, record.name] if r != record]
    if not others:
        return ""
    names = " and ".join(sorted({record.distribution, *others}))
    return f"{names} both provide {record.name!r}; choose with {record.distribution}:{record.name}."


def named(name: str, records: Sequence[PluginRecord]) -> tuple[str, Kind]:
    """Return the name of the plugin that a user means, of any kind, as `select` takes it, and its kind.

    The name of a distribution means its only plugin.

    Raises:
        PluginError: If there is no such plugin.
    """
    same = {r.kind for r in records if r.name == name.rpartition(":")[2]}
    if same:
        return name, min(same, key=KINDS.index)
    brought = [r for r in records if normal(r.distribution) == normal(name)]
    if len(brought) == 1:
        return f"{brought[0].distribution}:{brought[0].name}", brought[0].kind
    if brought:
        names = ", ".join(r.name for r in brought)
        raise PluginError(Problem(f"{name} provides {len(brought)} plugins.", f"name one of them: {names}"))
    known = sorted({r.name for r in records if r.state == "available"})
    near = nearest(name.rpartition(":")[2], known)
    fix = f"Did you mean {near!r}?" if near else f"Installed: {', '.join(known) or 'none'}."
    raise PluginError(Problem(f"unknown plugin {name!r}.", hint=fix))


def select(name: str, kind: Kind, records: Iterable[PluginRecord]) -> PluginRecord:
    """Return the one plugin that a user means by ``name``, or by ``distribution:name``.

    Raises:
        PluginError: If there is none, or if it cannot be used.
    """
    records = list(records)
    distribution, _, short = name.rpartition(":")
    same = [r for r in records if r.name == short and r.kind == kind]
    if distribution:
        wanted = normal(distribution)
        same = [r for r in same if normal(r.distribution) == wanted]
    usable = [r for r in same if r.state == "available" or (distribution and r.state == "conflict")]
    if usable:
        return replace(usable[0], state="available", reason="")
    if same:
        bad = same[0]
        what = f"{kind} {bad.name!r} from {bad.origin} cannot be used ({bad.state}): {bad.reason}"
        raise PluginError(Problem(what, _remedy(bad, kind)))
    raise PluginError(_unknown(name, kind, records))


def _remedy(bad: PluginRecord, kind: Kind) -> str:
    if bad.state == "conflict":
        written = {"task": "--task ", "extension": "--plugin ", "command": "trainer "}[kind]
        other = "TRAINER_NO_PLUGIN=" if kind == "command" else "--no-plugin "
        return f"write {written}{bad.distribution}:{bad.name}, or switch the other off with {other}DISTRIBUTION"
    if bad.state == "incompatible":
        return f"upgrade trainer-host, or install another version of {bad.distribution}"
    if bad.state == "disabled":
        return "remove --no-plugin, and unset TRAINER_NO_PLUGIN"
    return "trainer plugins --check"


def _unknown(name: str, kind: Kind, records: list[PluginRecord]) -> Problem:
    distribution, _, short = name.rpartition(":")
    if distribution and (others := [r.origin for r in records if r.kind == kind and r.name == short]):
        return Problem(
            f"{distribution} does not provide the {kind} {short!r}.", hint=f"It comes from {' and '.join(others)}."
        )
    if kind == "extension" and any(r.kind == "task" and r.name == short for r in records):
        return Problem(f"{short!r} is a task, not an extension.", f"write --task {name}")
    known = sorted({r.name for r in records if r.kind == kind and r.state == "available"})
    near = nearest(short, known)
    hint = f"Did you mean {near!r}? " if near else ""
    listed = f"Installed: {', '.join(known) or 'none'}."
    package = f"By convention, its package is {distribution or f'trainer-{short}'}." if kind == "task" else ""
    return Problem(f"unknown {kind} {name!r}.", hint=f"{hint}{listed} {package}".strip())


def record_of_module(module: str, records: Iterable[PluginRecord]) -> PluginRecord | None:
    """Return the plugin whose package holds a module; of several in one package the one nearest to it.

    The host's own package holds no plugin as a whole, only the packages below it do.
    """
    host = __name__.partition(".")[0]

    def shared(record: PluginRecord) -> int:
        parts = zip(module.split("."), record.target.partition(":")[0].split("."), strict=False)
        count = next((i for i, (one, other) in enumerate(parts) if one != other), module.count(".") + 1)
        return 0 if count == 1 and module.partition(".")[0] == host else count

    nearest = max(records, key=shared, default=None)
    return nearest if nearest is not None and shared(nearest) else None

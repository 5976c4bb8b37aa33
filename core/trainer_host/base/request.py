"""A request: what one command or call asks for, with the origin of each value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.option_declaration import COMMANDS, Door, Origin
from trainer_host.base.run_options import RunOptions, declared, environment_values, options_of
from trainer_host.base.settings import name_of, parse_pairs, read_settings_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class GivenValue:
    """A value and where it came from; ``where`` is its place in a file."""

    value: Any
    origin: Origin
    where: str | None = None


@dataclass(frozen=True)
class Request:
    """A command or call, before the task and its plugins are known.

    Attributes:
        command: The command, or the function of the Python API with its name.
        settings: Settings of the engine.
        given: Options of the host; those that are not given have their defaults.
        plugin_options: Values by plugin and option.
        problems: Values of options that are not valid; `given` omits them.
        file: The settings file that is part of it.
        record: The record of the run that its file repeats; empty for any other file.
    """

    command: str = COMMANDS[0]
    settings: Mapping[str, GivenValue] = field(default_factory=dict)
    given: Mapping[str, GivenValue] = field(default_factory=dict)
    plugin_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    file: Path | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        command: str,
        settings: Mapping[str, Any] | None = None,
        plugin_options: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        origin: Origin = "call",
        **options: Any,
    ) -> Request:
        """Return a request whose values all come from one place.

        Args:
            command: The command.
            settings: Settings of the engine.
            plugin_options: Values by plugin and option.
            origin: Where they come from.
            options: Options of the host as the door gave them; None is not given.
        """
        values = {key: GivenValue(value, origin) for key, value in (settings or {}).items()}
        given, problems = _parsed({k: GivenValue(v, origin) for k, v in options.items() if v is not None})
        named = {name: dict(of_plugin) for name, of_plugin in (plugin_options or {}).items()}
        return cls(command, values, given, named, problems)

    @cached_property
    def options(self) -> RunOptions:
        """The options of the host, typed and with their defaults."""
        return options_of({name: one.value for name, one in self.given.items()})

    @property
    def values(self) -> dict[str, Any]:
        """The settings of the engine without their origins."""
        return {key: one.value for key, one in self.settings.items()}

    @property
    def off(self) -> frozenset[str]:
        """The plugins that are switched off, also those of ``TRAINER_NO_PLUGIN``."""
        return frozenset(self.options.no_plugins)

    @property
    def objects(self) -> dict[str, str]:
        """Classes of the plugins and settings that its file cannot hold, by name."""
        return {str(name): str(kind) for name, kind in part_of(self.record, "objects").items()}

    def where(self, key: str) -> str | None:
        """Return the place of a setting in the settings file, or None."""
        found = self.settings.get(key)
        return found.where if found is not None else None

    def with_options(self, **options: Any) -> Request:
        """Return the request with other values of options that it was given."""
        changed = {k: GivenValue(v, self.given[k].origin if k in self.given else "call") for k, v in options.items()}
        return replace(self, given={**self.given, **changed})

    def over(self, under: Request) -> Request:
        """Return both together; this request takes precedence."""
        unions = {name for name, one in declared().items() if one.repeatable}
        given = {**_without(under.given, self.given), **self.given}
        for name in unions & self.given.keys() & under.given.keys():
            weaker = _without(under.given, self.given)[name].value
            given[name] = replace(given[name], value=_distinct([*weaker, *self.given[name].value]))
        options = {name: dict(values) for name, values in under.plugin_options.items()}
        for name, values in self.plugin_options.items():
            options.setdefault(name, {}).update(values)
        off = {name_of(p) for p in _of(self.given, "no_plugins")} - {_name(p) for p in _of(self.given, "plugins")}
        options = {k: v for k, v in options.items() if k not in off or k in self.plugin_options}
        return replace(
            self,
            settings={**under.settings, **self.settings},
            given=given,
            plugin_options=options,
            problems=under.problems + self.problems,
            file=self.file or under.file,
            record=self.record or under.record,
        )


def part_of(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a mapping within a record, which somebody may have edited; empty if it is not one."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _of(given: Mapping[str, GivenValue], name: str) -> tuple[Any, ...]:
    return given[name].value if name in given else ()


def _name(plugin: Any) -> Any:
    return name_of(plugin) if isinstance(plugin, str) else id(plugin)  # an object need not be hashable


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values in their order; of those with one name the last, such as of ``cbam`` and ``trainer-cbam:cbam``."""
    return tuple({_name(value): value for value in values}.values())


def _without(under: Mapping[str, GivenValue], over: Mapping[str, GivenValue]) -> dict[str, GivenValue]:
    """Return the weaker of two requests without the plugins that the stronger one switches on or off again."""
    on, off = ({_name(p) for p in _of(over, name)} for name in ("plugins", "no_plugins"))
    kept = dict(under)
    for name, gone in (("plugins", off - on), ("no_plugins", on)):
        if name in kept:
            kept[name] = replace(kept[name], value=tuple(p for p in kept[name].value if _name(p) not in gone))
    return kept


def _parsed(given: Mapping[str, GivenValue]) -> tuple[dict[str, GivenValue], tuple[Problem, ...]]:
    """Return options with the values that their declarations make of what was given, and what is wrong."""
    known = declared()
    parsed: dict[str, GivenValue] = {}
    problems: list[Problem] = []
    for name, one in given.items():
        try:
            parsed[name] = replace(one, value=known[name].value_of(one.value, one.origin, one.where))
        except SettingsError as error:
            problems += error.problems
    return parsed, tuple(problems)


def split_words(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """Return settings of the engine, options of the host and options of plugins, by their keys."""
    words = {name for name, one in declared().items() if Door.WORD in one.doors}
    settings: dict[str, Any] = {}
    options: dict[str, Any] = {}
    plugin_options: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        plugin, dot, option = key.rpartition(".")
        if key in words:
            options[key] = value
        elif dot:
            plugin_options.setdefault(plugin, {})[option] = value
        else:
            settings[key] = value
    return settings, options, plugin_options


def from_command(
    command: str,
    words: Sequence[str],
    flags: Mapping[str, Any],
    path_key: str = "data",
    fixes: Mapping[str, str] = MappingProxyType({}),
) -> Request:
    """Return the request of a command line without its settings file and the environment.

    Args:
        command: The command.
        words: Words of the form ``key=value``.
        flags: Options that were given, by name.
        path_key: The setting that a file or folder without one was probably meant for.
        fixes: What to write for words that are not settings.

    Raises:
        SettingsError: If words are not settings.
    """
    settings, options, plugin_options = split_words(parse_pairs(words, path_key, fixes))
    if twice := [name for name in options if name in flags and options[name] != flags[name]]:
        what = f"{twice[0]} is given twice: {twice[0]}={options[twice[0]]} and --{twice[0]} {flags[twice[0]]}."
        raise SettingsError(Problem(what, "remove one of the two"))
    return Request.of(command, settings, plugin_options, origin="command", **{**options, **flags})


def from_environment(command: str, door: Origin = "command") -> Request:
    """Return the options that environment variables give."""
    known = declared()
    given: dict[str, GivenValue] = {}
    problems: list[Problem] = []
    for name, (said, value) in environment_values(command, door).items():
        try:
            given[name] = GivenValue(known[name].value_of(value, "environment"), "environment")
        except SettingsError:
            try:
                known[name].value_of(said, "environment")
            except SettingsError as error:
                problems += error.problems
    return Request(command, given=given, problems=tuple(problems))


def from_file(path: Path, command: str = COMMANDS[0]) -> Request:
    """Return the request that a settings file makes: ``task``, engine keys, ``plugins`` with options, options.

    ``record``, which the host writes into ``run.yaml``, is not a setting.

    Raises:
        SettingsError: If it cannot be read, or has another form.
    """
    content, document = read_settings_file(path)
    record = content.pop("record", None)

    def where(key: str) -> str:
        return f"{path}:{document.lines.get(key, 1)}"

    plugins = _plugins(content.pop("plugins", None), where)
    in_file = {name for name, one in declared(command).items() if Door.FILE in one.doors}
    chosen = {k: GivenValue(v, "file", where(k)) for k, v in content.items() if k in in_file and v is not None}
    given, problems = _parsed(chosen)
    settings, _, plugin_options = split_words({k: v for k, v in content.items() if k not in in_file})
    for name, values in plugins.items():
        plugin_options[name_of(name)] = {**values, **plugin_options.get(name_of(name), {})}
    if plugins:
        given["plugins"] = GivenValue(tuple(plugins), "file", where("plugins"))
    engine = {key: GivenValue(value, "file", where(key)) for key, value in settings.items()}
    return Request(command, engine, given, plugin_options, problems, path, record if isinstance(record, dict) else {})


def _plugins(value: Any, where: Callable[[str], str]) -> dict[str, dict[str, Any]]:
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return {name: {} for name in value}
    if isinstance(value, dict) and all(isinstance(v, dict) or v is None for v in value.values()):
        return {str(name): dict(options or {}) for name, options in value.items()}
    what = "plugins: is neither a list of names nor a mapping."
    raise SettingsError(Problem(what, "write plugins: {cbam: {gain: 0.5}}", where("plugins")))

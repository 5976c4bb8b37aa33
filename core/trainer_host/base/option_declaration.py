"""The declaration of an option of the host, and what turns the words of a door into its value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Flag, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainer_host.base.best_metric import BestMetric
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.findings import Tolerance
from trainer_host.base.save_interval import SaveInterval

if TYPE_CHECKING:
    from collections.abc import Callable

Origin = Literal["command", "call", "environment", "file", "sample", "task"]
COMMANDS = ("run", "resume", "val", "predict", "check", "convert")
IF_EXISTS = ("resume", "new", "fail")


class Door(Flag):
    """The places where an option can be given or is kept; a set of them is written ``FLAG | KEYWORD``.

    Attributes:
        FLAG: ``--name`` on the command line.
        WORD: ``name=value`` on the command line, among the settings.
        VARIABLE: An environment variable, for commands.
        VARIABLE_OF_CALLS: The same variable, for calls of the Python API too.
        KEYWORD: A keyword of the Python API.
        FILE: A key of a settings file.
        RECORD: The resolved run, which ``run.yaml`` keeps.
    """

    FLAG = auto()
    WORD = auto()
    VARIABLE = auto()
    VARIABLE_OF_CALLS = auto()
    KEYWORD = auto()
    FILE = auto()
    RECORD = auto()


ON_OFF = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def as_switch(value: Any) -> bool:
    """Return a boolean, also from the text of an environment variable."""
    found = ON_OFF.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise TypeError(value)
    return found


def as_text(value: Any) -> str:
    """Return a text as it is."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def as_several(value: Any) -> tuple[Any, ...]:
    """Return a tuple of what may be given by itself; a text is not a list of its letters."""
    return (value,) if isinstance(value, (str, Path)) else tuple(value)


def as_names(value: Any) -> tuple[str, ...]:
    """Return names; duplicates count once."""
    return tuple(dict.fromkeys(map(as_text, as_several(value or ()))))


def as_plugins(value: Any) -> tuple[Any, ...]:
    """Return plugins: names, paths of files as text, and objects as they are."""
    items = as_several(value) if isinstance(value, (str, Path, list, tuple, set, frozenset)) else (value,)
    return tuple(str(item) if isinstance(item, Path) else item for item in items)


def as_folders(value: Any) -> tuple[str, ...]:
    """Return paths; those in one text are separated by commas."""
    return tuple(value.split(",")) if isinstance(value, str) else tuple(map(str, as_several(value)))


def as_paths(value: Any) -> tuple[Path, ...]:
    """Return paths of files."""
    return tuple(map(Path, as_several(value)))


def as_tolerance(value: Any) -> Tolerance:
    """Return how many images may be skipped."""
    try:
        return value if isinstance(value, Tolerance) else Tolerance.parse(as_text(value))
    except SettingsError as error:
        raise ValueError(value) from error


def as_metric(value: Any) -> BestMetric:
    """Return a metric, and whether lower is better."""
    return value if isinstance(value, BestMetric) else BestMetric.parse(as_text(value))


def as_save_interval(value: Any) -> SaveInterval:
    """Return a number of batches, or a time."""
    return value if isinstance(value, SaveInterval) else SaveInterval.parse(str(value))


def as_if_exists(value: Any) -> str:
    """Return one of the words for a folder that exists."""
    if as_text(value) not in IF_EXISTS:
        raise ValueError(value)
    return str(value)


def as_thread_count(value: Any) -> int:
    """Return a number from 1 to 9999."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,4}", str(value).strip()) or int(value) == 0:
        raise ValueError(value)
    return int(value)


def as_restarts(value: Any) -> int:
    """Return a number from 0 to 9999."""
    return 0 if str(value).strip() == "0" and not isinstance(value, bool) else as_thread_count(value)


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        parse: Turns what a door gave into the value; raises ValueError or TypeError if that is impossible.
        invalid: What is said of a wrong value.
        examples: Valid values, as text.
        separators: Characters that separate several values in a variable; empty if there can be only one value.
    """

    parse: Callable[[Any], Any]
    invalid: str = "is not valid"
    examples: tuple[str, ...] = ("NAME",)
    separators: str = ""


TEXT = Kind(as_text, "is not a name")
SWITCH = Kind(as_switch, "is neither true nor false", ("true",))
NAMES = Kind(as_names, "is not a list of names", separators=", ")
PLUGINS = Kind(as_plugins, separators=" ")
FOLDERS = Kind(as_folders, examples=("DIR",))
PATH = Kind(Path, examples=("FILE",))
PATHS = Kind(as_paths, examples=("FILE",), separators=" ")
FRACTION = Kind(float, "is not a number", ("0.2",))
THREADS = Kind(as_thread_count, "is not a number of threads", ("4",))
PROCESSES = Kind(as_thread_count, "is not a number of processes", ("2",))
RESTARTS = Kind(as_restarts, "is not a number of restarts", ("1",))
TOLERANCE = Kind(as_tolerance, examples=("fail", "skip", "skip:1%"))
METRIC = Kind(as_metric, "is not a name")
INTERVAL = Kind(as_save_interval, "is neither a number of batches nor a time", ("100", "30s", "10min"))
EXISTING = Kind(as_if_exists, examples=("new", "fail", "resume"))


@dataclass(frozen=True, kw_only=True)
class RunOption:
    """The declaration of an option.

    Attributes:
        name: Keyword of the API and key of a settings file.
        default: Its value if no door gives one.
        help: Noun phrase or imperative of at most two lines.
        kind: The kind of its value.
        doors: Where it is given and kept.
        commands: Commands that have it.
        flag: Its flag, if it is not ``--`` and the name.
        short: Short form of the flag.
        metavar: What the help calls the value.
        off_help: The help of a flag that stands for ``False``; empty if it stands for ``True``.
        file_type: Whether the value names a ``file`` or a ``folder`` to write.
        environment_of: Commands that read the variable; by default, all that have the option.
        details: Text of the reference page after the help, in Markdown.
    """

    name: str
    default: Any
    help: str
    kind: Kind
    doors: Door
    commands: tuple[str, ...] = COMMANDS
    flag: str = ""
    short: str = ""
    metavar: str = ""
    off_help: str = ""
    file_type: Literal["", "file", "folder"] = ""
    environment_of: tuple[str, ...] = ()
    details: str = ""

    def __post_init__(self) -> None:
        """Complete what follows from the name and the commands."""
        if Door.FLAG in self.doors and not self.flag:
            object.__setattr__(self, "flag", f"--{self.name.replace('_', '-')}")
        if not self.environment_of:
            object.__setattr__(self, "environment_of", self.commands)

    @property
    def keyword(self) -> bool:
        """Whether the Python API has it."""
        return Door.KEYWORD in self.doors

    @property
    def recorded(self) -> bool:
        """Whether it is a part of the resolved run."""
        return Door.RECORD in self.doors

    @property
    def repeatable(self) -> bool:
        """Whether it has several values, given one by one; those of two sources are joined."""
        return bool(self.kind.separators)

    @property
    def environment(self) -> str:
        """The variable; empty if there is none."""
        name = self.flag.removeprefix("--").replace("-", "_").upper()
        return f"TRAINER_{name}" if Door.VARIABLE in self.doors else ""

    @property
    def example(self) -> str:
        """A valid value, as text."""
        return self.kind.examples[-1]

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.kind is SWITCH

    @property
    def off_flag(self) -> str:
        """The flag for ``False``, such as ``--no-exact``, if a file or the environment can say ``True``; else empty."""
        weaker = self.doors & (Door.FILE | Door.VARIABLE)
        return f"--no-{self.flag.removeprefix('--')}" if self.is_switch and not self.off_help and weaker else ""

    def written(self, value: Any, origin: Origin) -> str:
        """Return the option as one writes it at a door."""
        if origin == "file":
            shown = f"[{', '.join(map(str, value))}]" if isinstance(value, (list, tuple)) else value
            return f"{self.name}: {shown}"
        if origin == "environment":
            return f"{self.environment}={value}"
        if origin == "call":
            return f"{self.name}={value!r}"
        if self.is_switch and isinstance(value, bool) and (flag := self.flag if value else self.off_flag):
            return flag
        return f"{self.flag or self.name}={value}"

    def value_of(self, given: Any, origin: Origin, where: str | None = None) -> Any:
        """Return the value that a door gave.

        Raises:
            SettingsError: If it is not valid.
        """
        try:
            return self.kind.parse(given)
        except (ValueError, TypeError) as error:
            what = f"{self.written(given, origin)} {self.kind.invalid}."
            examples = [[one] if origin == "file" and self.repeatable else one for one in self.kind.examples]
            *others, last = [self.written(one, origin) for one in examples]
            fix = f"write {', '.join(others)}, or {last}" if others else f"write {last}"
            raise SettingsError(Problem(what, fix, where)) from error

    def as_data(self, value: Any) -> Any:
        """Return a value as a file can hold it; `value_of` turns it back."""
        if isinstance(value, (Tolerance, BestMetric, SaveInterval)):
            return value.text
        if isinstance(value, tuple):
            return [str(item) for item in value]
        return str(value) if isinstance(value, Path) else value


def option(default: Any, text: str, kind: Kind, doors: Door, **more: Any) -> Any:
    """Declare an option as a field of `RunOptions`.

    Args:
        default: The default.
        text: The help.
        kind: The kind of its value.
        doors: Where it is given and kept.
        more: Further attributes of `RunOption`.
    """
    return field(default=default, metadata={"option": {"help": text, "kind": kind, "doors": doors, **more}})

"""Expected errors: one line for people, an exit code for programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from trainer_host.base.display import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """Exit status of the command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    SETTINGS = 3
    DATASET = 4
    PLUGIN = 5
    UNSAFE = 6
    LOSS = 7
    MEMORY = 8
    STORAGE = 9
    RANK = 10
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True)
class Problem:
    """A problem as one line that can be shown: what files provide is escaped in it, and raw in the attributes.

    Attributes:
        message: What is wrong, as a sentence.
        fix: What to write or do, as an imperative that begins with a small letter and ends without a full stop.
        where: The place: ``file`` or ``file:line``.
        hint: A remark that helps if there is no one fix, as a sentence.
    """

    message: str
    fix: str | None = None
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        hint = f" {self.hint}" if self.hint else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return escaped(" ".join(f"{where}{self.message}{hint}{fix}".splitlines()))

    def as_json(self) -> dict[str, str | None]:
        """Return the problem as JSON can hold it."""
        return {"message": self.message, "fix": self.fix, "hint": self.hint, "where": self.where}


QUESTION = "Did you mean"
"""The beginning of advice that is not a fix."""


def advised(message: str, advice: str | None, where: str | None = None) -> Problem:
    """Return a problem with advice: a question such as ``Did you mean 'data'?`` is a hint, anything else a fix."""
    if advice is not None and advice.startswith(QUESTION):
        return Problem(message, None, where, advice)
    return Problem(message, advice, where)


class TrainerError(Exception):
    """An error that the host expects: it is shown without a traceback.

    Args:
        problems: Everything that is wrong, as `Problem` or plain text.

    Attributes:
        exit_code: The exit status of the command.
        retryable: Whether the same command may work later without a change.
        details: Results that were reached before the error, for the JSON of the command.
    """

    exit_code: ExitCode = ExitCode.BUG
    retryable: bool = False

    def __init__(self, *problems: Problem | str) -> None:
        self.details: dict[str, Any] = {}
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__(*self.problems)

    def __str__(self) -> str:
        return "\n".join(str(p) for p in self.problems)


class SettingsError(TrainerError):
    """A setting is unknown, of the wrong type, or contradicts another."""

    exit_code = ExitCode.SETTINGS


class EnvironmentProblemError(SettingsError):
    """The machine lacks something that the engine needs."""


class PluginError(TrainerError):
    """A plugin is missing, broken, incompatible, or breaks the contract of a hook."""

    exit_code = ExitCode.PLUGIN


class PluginCrashError(PluginError):
    """The code of a plugin raised an error: it is ``__cause__``, and its traceback starts in that code.

    Attributes:
        plugin: The plugin's name.
        distribution: The package that brings it.
        hook: The hook that it failed in; None if its code was called otherwise.
        trace: The traceback as text.
    """

    def __init__(self, problem: Problem, *, plugin: str, distribution: str, hook: str | None, trace: str) -> None:
        super().__init__(problem)
        self.plugin, self.distribution, self.hook, self.trace = plugin, distribution, hook, trace


class UnsafeError(TrainerError):
    """A file would have run code, or something would be fetched unasked."""

    exit_code = ExitCode.UNSAFE


class LossError(TrainerError):
    """The loss became NaN or infinite."""

    exit_code = ExitCode.LOSS


class MemoryExhaustedError(TrainerError):
    """The device or the machine ran out of memory."""

    exit_code = ExitCode.MEMORY


class StorageError(TrainerError):
    """A file cannot be written: no space, no permission, or a file system that is read-only."""

    exit_code = ExitCode.STORAGE
    retryable = True


class RankError(TrainerError):
    """Another process of the run ended unexpectedly, or the connection to it was lost."""

    exit_code = ExitCode.RANK
    retryable = True


class StoppedError(TrainerError):
    """The run was stopped by a signal, after a checkpoint was saved, if there was one to save.

    Attributes:
        by_all: Whether all processes of the run end by themselves.
    """

    exit_code = ExitCode.INTERRUPTED
    retryable = True
    by_all = False

    def __init__(self, *problems: Problem | str, terminated: bool = False) -> None:
        super().__init__(*problems)
        if terminated:
            self.exit_code = ExitCode.TERMINATED


def fetch_refused(what: str, fix: str = "give a local file") -> UnsafeError:
    """Return the error for something that an offline run would have to fetch."""
    return UnsafeError(Problem(f"{what} would have to be fetched, but the run is offline.", fix))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like ``name``, or None if none is near."""
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown(kind: str, name: str, known: Iterable[str], where: str | None = None) -> Problem:
    """Describe an unknown name, with the nearest known one."""
    known = sorted(known)
    near = nearest(name, known)
    fix = f"Did you mean {near!r}?" if near else f"Known: {', '.join(known) or 'none'}." if len(known) < 12 else None
    return Problem(f"unknown {kind} {name!r}.", hint=fix, where=where)

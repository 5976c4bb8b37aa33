"""Checks of plugins, and their outcomes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from trainer_host.base.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.plugin.discovery import Kind

CheckState = Literal["ok", "failed", "skipped"]
F = TypeVar("F", bound="Callable[[Any], str]")


class CheckFailedError(AssertionError):
    """A plugin does not pass a check.

    Args:
        found: What was found.
        fix: How to fix it, if the check's own advice does not fit.
    """

    def __init__(self, found: str, fix: str = "") -> None:
        super().__init__(found)
        self.found, self.fix = found, fix


class CheckSkippedError(Exception):
    """A check cannot be run; the text says why."""


@dataclass(frozen=True)
class CheckOutcome:
    """The outcome of a check.

    Attributes:
        check: The check's name.
        state: ``ok``, ``failed`` or ``skipped``.
        found: What was found, or why the check was skipped.
        fix: How to fix it; empty unless the check failed.
        seconds: How long the check took.
    """

    check: str
    state: CheckState
    found: str
    fix: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.check}: {Problem(self.found, self.fix)}"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """One part of the contract that every plugin keeps.

    Attributes:
        name: Its name.
        function: Runs the check and returns what it found; raises `CheckFailedError` or `CheckSkippedError`.
        looks_at: The subject of the check.
        why: What goes wrong for users otherwise.
        fix: What to do if it fails.
        kinds: The kinds of plugins that it is for.
        needs: Checks that have to pass before it means anything.
    """

    name: str
    function: Callable[[Any], str]
    looks_at: str
    why: str
    fix: str
    kinds: tuple[Kind, ...]
    needs: tuple[str, ...]


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they are run."""

BOTH: tuple[Kind, ...] = ("task", "extension")


def check(
    name: str, *, why: str, fix: str, kinds: tuple[Kind, ...] = BOTH, needs: tuple[str, ...] = ("hooks",)
) -> Callable[[F], F]:
    """Register a check; the first line of its docstring says what it looks at."""

    def record(function: F) -> F:
        looks_at = (function.__doc__ or "").strip().splitlines()[0]
        CHECKS[name] = Check(name, function, looks_at, why, fix, kinds, needs)
        return function

    return record

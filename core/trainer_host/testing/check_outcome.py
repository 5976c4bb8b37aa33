"""Checks of plugins, and what they find."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.plugin.discovery import Kind

State = Literal["ok", "failed", "skipped"]
F = TypeVar("F", bound="Callable[[Any], str]")


class CheckFailedError(AssertionError):
    """A plugin does not pass a check.

    Args:
        found: What was found.
        mend: How to mend it, where the check's own advice does not fit.
    """

    def __init__(self, found: str, mend: str = "") -> None:
        super().__init__(found)
        self.found, self.mend = found, mend


class CheckSkippedError(Exception):
    """A check cannot be made; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        check: The check's name.
        state: ``ok``, ``failed`` or ``skipped``.
        found: What was found, or why the check was skipped.
        mend: How to mend it; empty unless it failed.
        seconds: How long the check took.
    """

    check: str
    state: State
    found: str
    mend: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        mend = f" {self.mend}" if self.mend else ""
        return f"{self.check}: {self.found}{mend}"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """One thing that every plugin keeps to.

    Attributes:
        name: Its name.
        function: Takes the `bench.Bench`, makes the check and returns what it found; raises `CheckFailedError` or
            `CheckSkippedError`.
        looks_at: What it looks at.
        why: What goes wrong for users otherwise.
        mend: What to do where it fails.
        kinds: The kinds of plugins that it is for.
        needs: Checks that have to be passed before it means anything.
    """

    name: str
    function: Callable[[Any], str]
    looks_at: str
    why: str
    mend: str
    kinds: tuple[Kind, ...]
    needs: tuple[str, ...]


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they are made."""

BOTH: tuple[Kind, ...] = ("task", "extension")


def check(
    name: str, *, why: str, mend: str, kinds: tuple[Kind, ...] = BOTH, needs: tuple[str, ...] = ("hooks",)
) -> Callable[[F], F]:
    """Register a check; what it looks at is the first line of its docstring."""

    def record(function: F) -> F:
        looks_at = (function.__doc__ or "").strip().splitlines()[0]
        CHECKS[name] = Check(name, function, looks_at, why, mend, kinds, needs)
        return function

    return record

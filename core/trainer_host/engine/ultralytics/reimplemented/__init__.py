"""Methods of the engine that the host re-implements, because overriding them was not enough.

Each function names what it re-implements, and the hashes of every source of it that was compared by hand. A test looks
for the tested releases among them, so a release that changes such a method is noticed before it counts as tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Reimplementation:
    """A function of the host and the engine's function that it replaces.

    Attributes:
        ours: The host's function.
        file: The engine's file, relative to its package.
        name: The engine's function in it, such as ``BaseTrainer.save_model``.
        hashes: Hashes of the sources that it equals in effect, by `source_hashes`.
        partly: Whether the engine's own function runs as well, so that a change in it has an effect.
    """

    ours: str
    file: str
    name: str
    hashes: frozenset[str]
    partly: bool


REIMPLEMENTED: list[Reimplementation] = []


def reimplements(file: str, name: str, *hashes: str, partly: bool = False) -> Callable[[F], F]:
    """Record that the decorated function re-implements an engine's function.

    Args:
        file: The engine's file.
        name: The function in it.
        hashes: Hashes of its source, newest first.
        partly: Whether the engine's own function runs as well.
    """

    def record(function: F) -> F:
        ours = f"{function.__module__}.{function.__qualname__}"
        REIMPLEMENTED.append(Reimplementation(ours, file, name, frozenset(hashes), partly))
        return function

    return record

"""Methods of the engine that the host says anew, because overriding them was not enough.

Each function names what it restates; a test compares the hash of the upstream source, so that a release which
changes it is noticed.
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Restatement:
    """A function of ours, the engine's that it restates, and the hash of that one's source."""

    ours: str
    upstream: Callable[..., Any]
    sha256: str

    def actual(self) -> str:
        """Return the hash of the installed engine's source."""
        return hashlib.sha256(inspect.getsource(self.upstream).encode()).hexdigest()


RESTATED: list[Restatement] = []


def restates(upstream: Callable[..., Any], sha256: str) -> Callable[[F], F]:
    """Record that the decorated function restates an engine's function, whose source has this hash."""

    def record(function: F) -> F:
        RESTATED.append(Restatement(f"{function.__module__}.{function.__qualname__}", upstream, sha256))
        return function

    return record

"""Numbers and lists in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as ``1 error`` or ``1,200 errors``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Iterable[object], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more

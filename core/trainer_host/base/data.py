"""Plain data, and files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_NAME = 200
"""Bytes of a file's name that its part is named after; a longer one leaves no room for more."""
PLAIN = (str, int, float, bool, type(None))


def plain(value: Any) -> Any:
    """Return plain data as it is, containers copied, and paths as text; None for anything else."""
    if isinstance(value, PLAIN):
        # A subclass, such as a number of numpy or an enumeration, would be written by its class.
        return value if type(value) in PLAIN else next(t(value) for t in (int, float, str) if isinstance(value, t))
    if isinstance(value, dict) or hasattr(value, "items"):
        return {plain(k): plain(v) for k, v in value.items() if isinstance(k, PLAIN)}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else None


@contextmanager
def appearing_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing and reading that appears under its name once it is whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name if len(os.fsencode(path.name)) <= LONGEST_NAME else ""
    part = path.with_name(f".{name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    with appearing_whole(path) as file:
        file.write(content)


def nearby(path: Path) -> str:
    """Return a path as one would type it here: relative where it lies below the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

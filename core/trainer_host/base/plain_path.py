"""Names of files for libraries that cannot take every name."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_encodable(path: Path) -> bool:
    """Return whether a path is text that UTF-8 can hold: the name of a file may be any bytes."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def plain_path(path: Path) -> Iterator[Path]:
    """Give a file or folder a name for as long as it is used that every library can take.

    OpenCV ends the process over a name that is not UTF-8, and takes one with a percent sign for a pattern.
    """
    if is_encodable(path) and "%" not in str(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        link = Path(folder) / f"link{path.suffix if path.suffix.isascii() and '%' not in path.suffix else ''}"
        link.symlink_to(path.absolute())
        yield link


def fitting_name(stem: str, ending: str, most: int = 255) -> str:
    """Return a file's name that is no longer than file systems allow: its stem is cut if it is too long."""
    while len(f"{stem}{ending}".encode("utf-8", "surrogateescape")) > most:
        stem = stem[:-1]
    return f"{stem}{ending}"

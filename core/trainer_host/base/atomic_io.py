"""Plain data, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trainer_host.base.temporaries import naming, sweep_once, temporary_path

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk or a quota that is used up."""
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


class DiskFullError(OSError):
    """A file does not fit on the disk.

    Attributes:
        needed: Bytes of the file.
    """

    def __init__(self, error: OSError, needed: int) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.needed = needed


UNSYNCED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR})
"""Errors of file systems that cannot sync a folder."""


def sync_folder(folder: Path) -> None:
    """Have the system write the names in a folder to the disk, so that they survive a loss of power."""
    if os.name == "nt":  # has no descriptors of folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def appearing_whole(path: Path, parents: bool = False, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a file for writing and reading that appears under its name once it is whole, or not at all.

    Args:
        path: The file.
        parents: Whether to make the folder. One that was there before and is gone now stays gone without it.
        durable: Whether the name too survives a loss of power: the folder is synced.

    Raises:
        OSError: If it cannot be written; it names the file.
    """
    part = temporary_path(path)
    try:
        with naming(path, part):
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            sweep_once(path.parent)
            with part.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            if durable:
                sync_folder(path.parent)
    finally:
        with suppress(OSError):  # the folder may be gone, or have become read-only
            part.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes, parents: bool = False, durable: bool = False) -> None:
    """Write a file so that it appears whole or not at all; ``parents`` makes its folder."""
    try:
        with appearing_whole(path, parents, durable) as file:
            file.write(content)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFullError(error, len(content)) from error


def display_path(path: Path) -> str:
    """Return a path as one would type it here: relative if it lies below the working folder."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

"""One process at a time in a folder: a locked file in it, which the system unlocks when the process ends."""

from __future__ import annotations

import errno
import os
import platform
from contextlib import suppress
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, StorageError
from trainer_host.base.process_identity import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = ".in-use"
UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""Errors of file systems that know no locks."""
TRIES = 10
_held: set[str] = set()
"""Folders that this process holds: a second lock of the same process would succeed, and end the first one."""


class FolderLock:
    """Holds a folder for this process until it is released, or the process ends.

    The lock is one of POSIX, which forked workers do not inherit, and which also counts between machines where the file
    system is shared. On file systems without locks, the process that the file names is looked up instead.

    Args:
        folder: The folder; it exists.
        warn: Called with a text if another process could not be kept out.
        shown: The folder that messages name; by default this one.

    Raises:
        StorageError: If another process holds it.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None], shown: Path | None = None) -> None:
        self.folder, self.path, self.key = folder, folder / FILE, os.path.realpath(folder)
        self.shown = shown or folder
        self.owner = os.getpid()
        self.descriptor: int | None = None
        if self.key in _held:
            raise self._in_use(f"process {os.getpid()} on {platform.node()}")
        _held.add(self.key)
        try:
            self._take(warn)
        except BaseException:
            _held.discard(self.key)
            raise

    def _take(self, warn: Callable[[str], None]) -> None:
        try:
            import fcntl
        except ImportError:  # Windows
            return
        for _ in range(TRIES):
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            except OSError as error:
                fix = "give another folder with project=DIR"
                what = f"cannot write to the folder: {error.strerror}."
                raise StorageError(Problem(what, fix, str(self.shown))) from error
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.read(descriptor, 500).decode("utf-8", "replace")
                if error.errno not in UNSUPPORTED:
                    os.close(descriptor)
                    raise self._in_use(_shown(holder)) from error
                if holder and not _is_dead(holder):
                    os.close(descriptor)
                    raise self._in_use(_shown(holder)) from error
                warn(f"{self.shown}: the file system does not support locks: another run could use the folder.")
            if self._is_current(descriptor):
                self.descriptor = descriptor
                self._sign(descriptor)
                return
            os.close(descriptor)  # the holder has just removed the file
        raise self._in_use("several processes")

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except OSError:
            return False

    @staticmethod
    def _sign(descriptor: int) -> None:
        with suppress(OSError):  # a full disk; the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{Process.current()} {platform.node()}\n".encode(), 0)

    def _in_use(self, holder: str) -> StorageError:
        fix = "wait until it ends, or use another folder"
        return StorageError(Problem(f"the folder is in use by another run ({holder}).", fix, str(self.shown)))

    def release(self) -> None:
        """Let others have the folder, and remove the file."""
        if self.owner != os.getpid():  # a forked worker's copy
            return
        _held.discard(self.key)
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is None:
            return
        if self._is_current(descriptor):
            with suppress(OSError):
                self.path.unlink()
        with suppress(OSError):
            os.close(descriptor)


def clear_dead_lock(folder: Path) -> None:
    """Remove the file of a lock whose process was killed."""
    if os.path.realpath(folder) in _held:  # to open and close the file would end the lock of this process
        return
    try:
        holder = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if _is_dead(holder):
        with suppress(StorageError):
            FolderLock(folder, lambda _: None).release()


def _is_dead(holder: str) -> bool:
    process = Process.parse(holder.partition(" ")[0])
    return process is not None and process.is_dead


def _shown(holder: str) -> str:
    mark, _, host = holder.strip().partition(" ")
    process = Process.parse(mark)
    return f"process {process.pid} on {host}" if process else "another process"

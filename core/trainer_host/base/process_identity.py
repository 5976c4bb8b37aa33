"""Identity of a process, by which another one can see whether it still lives."""

from __future__ import annotations

import os
import platform
import zlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, on whatever machine that shares a folder with this one.

    Attributes:
        host: A checksum of the machine's name.
        space: The number of its space of process ids, since a container has its own.
        pid: Its id.
        start: When it started, in a unit of the system, since ids are used again; 0 if the system does not say.
    """

    host: str
    space: str
    pid: int
    start: int

    @classmethod
    def current(cls) -> Process:
        """Return this process."""
        return cls.here(os.getpid())

    @classmethod
    def here(cls, pid: int) -> Process:
        """Return a process of this machine by its id."""
        return cls(f"{zlib.crc32(platform.node().encode()):08x}", _space(), pid, _start(pid))

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Return the process that `str` made this text of, or None."""
        parts = text.split("-")
        if len(parts) != 4 or not (parts[2].isdecimal() and parts[3].isdecimal()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))

    def __str__(self) -> str:
        return f"{self.host}-{self.space}-{self.pid}-{self.start}"

    @property
    def is_dead(self) -> bool:
        """Whether it is known to have ended; of other machines and containers nothing is known."""
        here = Process.current()
        if os.name != "posix" or (self.host, self.space) != (here.host, here.space):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's
            pass
        return self.start != _start(self.pid)


def _space() -> str:
    try:
        return "".join(c for c in os.readlink("/proc/self/ns/pid") if c.isdecimal()) or "0"  # noqa: PTH115
    except OSError:
        return "0"


def _start(pid: int) -> int:
    """Return when a process started; 0 if the system does not say, or if the process is gone or a zombie."""
    if not Path("/proc/self/stat").exists():
        return _start_elsewhere(pid)
    try:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return 0 if fields[0] in {"Z", "X"} else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def _start_elsewhere(pid: int) -> int:
    """Return when a process started, on systems without ``/proc``."""
    psutil = import_module("psutil")
    try:
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else int(1000 * process.create_time())
    except psutil.Error:
        return 0

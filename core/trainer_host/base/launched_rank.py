"""A rank that the host's own session has started: the folder that it shares with the others, and its launcher."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.errors import StoppedError
from trainer_host.base.process_identity import Process
from trainer_host.base.rank_folder import AT_ONCE, BEGUN, RUN_FILE, clear, enter, entered_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHARED = "TRAINER_HOST_RANKS"
"""The variable that names the shared folder."""
PARENT = "TRAINER_HOST_LAUNCHER"
"""The variable with the process id of a launcher that reports errors itself, and without which no rank goes on."""
QUIET = "TRAINER_HOST_QUIET"
"""The variable of a launcher whose caller is shown nothing."""
LOOK_S, GRACE_S = 1.0, 60.0
"""Seconds between two looks at the launcher, and those that a rank has to save its state once it is gone."""


@dataclass(frozen=True)
class LaunchedRank:
    """A rank that a session has started.

    Attributes:
        shared: The folder that it shares with the others, in that of the run.
        is_reported: Whether the launcher reports its errors.
        is_quiet: Whether it shows nothing else either.
    """

    shared: Path
    is_reported: bool
    is_quiet: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> LaunchedRank | None:
        """Return the rank that an environment describes; None for any other process."""
        folder = environ.get(SHARED)
        return cls(Path(folder), PARENT in environ, QUIET in environ) if folder else None

    @property
    def run_file(self) -> Path:
        """The resolved run."""
        return self.shared / RUN_FILE

    @property
    def run_folder(self) -> Path:
        """The folder of the run."""
        return self.shared.parent

    @property
    def has_begun(self) -> bool:
        """Whether the run has begun to train, in this or an earlier attempt, so that it is to go on."""
        return (self.shared / BEGUN).exists()

    @property
    def ends_at_once(self) -> bool:
        """Whether the launcher was asked twice to stop the run."""
        return (self.shared / AT_ONCE).exists()

    def begin(self) -> None:
        """Note that the run begins to train."""
        (self.shared / BEGUN).touch()

    def enter(self, rank: int) -> None:
        """Note which process this is, and end it when its launcher is gone.

        Raises:
            StoppedError: If the launcher is gone already.
        """
        enter(self.shared, rank)
        if not self.is_reported:
            return
        parent = os.getppid()
        if os.environ.get(PARENT) != str(parent) and os.name == "posix":
            raise StoppedError("the process that started this rank has ended.", terminated=True)
        threading.Thread(target=_watch, args=(parent,), name="launcher-watch", daemon=True).start()

    def leave(self) -> None:
        """Remove what the processes have shared, at the end of a run whose launcher may not wait for it."""
        if not self.is_reported:
            clear(self.shared)
            with suppress(OSError):  # held by a launcher that does wait
                self.shared.rmdir()


def processes_in(shared: Path) -> list[Process]:
    """Return the processes of ranks on this machine that have not ended, also those that this one has just started."""
    return list(dict.fromkeys([*entered_in(shared), *_started(shared)]))


def _started(shared: Path) -> Iterator[Process]:
    """Yield children of this process that are ranks: one that still starts has not entered."""
    psutil = import_module("psutil")
    for child in psutil.Process().children():
        with suppress(psutil.Error, OSError):
            if child.environ().get(SHARED) == str(shared) and not (one := Process.here(child.pid)).is_dead:
                yield one


def send(process: Process, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, number)


def _watch(parent: int) -> None:
    """Stop this process once its launcher was killed: nobody would end it, and no other rank."""
    while _is_parent(parent):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)


def _is_parent(parent: int) -> bool:
    if os.name == "posix":  # where another process becomes the parent
        return os.getppid() == parent
    return bool(import_module("psutil").pid_exists(parent))

"""A rank that the host's own session has started: the folder that it shares with the others, and its launcher."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.process_identity import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARED = "TRAINER_HOST_RANKS"
"""The variable that names the shared folder."""
PARENT = "TRAINER_HOST_LAUNCHER"
"""The variable with the process id of a launcher that reports errors itself, and without which no rank goes on."""
QUIET = "TRAINER_HOST_QUIET"
"""The variable of a launcher whose caller is shown nothing."""
RUN_FILE, BEGUN = "run.yaml", "begun"
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

    def begin(self) -> None:
        """Note that the run begins to train."""
        (self.shared / BEGUN).touch()

    def enter(self, rank: int) -> None:
        """Note which process this is, and end it when its launcher is gone."""
        with suppress(OSError):
            (self.shared / f"process-{rank}").write_text(str(Process.current()), encoding="utf-8")
        if os.environ.get(PARENT) == str(os.getppid()):
            threading.Thread(target=_follow, args=(os.getppid(),), name="launcher-watch", daemon=True).start()


def processes_in(shared: Path) -> list[Process]:
    """Return the processes of ranks on this machine that have not ended."""
    found = []
    for file in sorted(shared.glob("process-*")):
        with suppress(OSError):
            process = Process.parse(file.read_text(encoding="utf-8").strip())
            here = Process.current()
            if process and (process.host, process.space) == (here.host, here.space) and not process.is_dead:
                found.append(process)
    return found


def signal_ranks(shared: Path, number: int) -> None:
    """Send a signal to the ranks on this machine."""
    for process in processes_in(shared):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def end_ranks(shared: Path, seconds: float) -> None:
    """Wait for the ranks on this machine to end, and kill those that do not."""
    until = time.monotonic() + seconds
    while processes_in(shared) and time.monotonic() < until:
        time.sleep(0.1)
    signal_ranks(shared, getattr(signal, "SIGKILL", signal.SIGTERM))


def _follow(parent: int) -> None:
    """Stop this process once its launcher was killed: nobody would end it, and no other rank."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)

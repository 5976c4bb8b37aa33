"""The folder below that of a run, with what its processes share while they run.

It holds the resolved run, a file for each process, the failures of those that failed, and a few marks.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trainer_host.base.folder_lock import FILE as LOCK
from trainer_host.base.process_identity import Process

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ".ranks"
"""Its name."""
RUN_FILE = "run.yaml"
BEGUN = "begun"
AT_ONCE = "at-once"
"""The resolved run; the mark of one that has begun to train, and of one that was asked twice to stop."""


def enter(shared: Path, rank: int) -> None:
    """Note that this process is a rank, in place of that of an earlier start."""
    with suppress(OSError):
        failure_file(shared, rank).unlink(missing_ok=True)
        (shared / f"process-{rank}").write_text(str(Process.current()), encoding="utf-8")


def failure_file(shared: Path, rank: int) -> Path:
    """Return the file for the failure of a rank."""
    return shared / f"rank-{rank}.json"


def failure_files(shared: Path) -> list[Path]:
    """Return the files of ranks that have failed."""
    return sorted(shared.glob("rank-*.json"))


def clear(shared: Path) -> None:
    """Remove what processes have shared, except the lock of the folder."""
    for entry in shared.iterdir():
        if entry.name != LOCK:
            entry.unlink(missing_ok=True)


def entered_in(shared: Path) -> list[Process]:
    """Return the processes of ranks on this machine that have entered and not ended."""
    found, here = [], Process.current()
    for file in sorted(shared.glob("process-*")):
        with suppress(OSError):
            process = Process.parse(file.read_text(encoding="utf-8").strip())
            if process and (process.host, process.space) == (here.host, here.space) and not process.is_dead:
                found.append(process)
    return found

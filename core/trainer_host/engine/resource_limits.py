"""Errors of memory and of the limits of a process, recognized by their type, number or text."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from trainer_host.base.errors import EnvironmentProblemError, MemoryExhaustedError, Problem

if TYPE_CHECKING:
    from trainer_host.base.errors import TrainerError

MEMORY = re.compile(
    r"out of memory|can\'?t allocate memory|cannot allocate memory(?! in static TLS)|failed to map segment|bad_alloc"
    r"|insufficient memory|failed to allocate|OutOfMemoryError|unable to allocate|not enough memory"
    r"|killed by signal: Killed",
    re.IGNORECASE,
)
"""Texts of torch, OpenCV, numpy and the dynamic linker, also for a worker that the system kills."""
SHARED = re.compile(
    r"shared memory|Bus error|unable to mmap|unable to write to file </|/dev/shm|torch_\d+_\d+", re.IGNORECASE
)
"""Texts of torch for a /dev/shm that is full, small or absent."""
THREADS = re.compile(
    r"can\'t start new thread|Resource temporarily unavailable|pthread_create|thread creation failed", re.I
)


def exhausted(error: BaseException, text: str) -> TrainerError | None:
    """Return the error to report if memory, open files, threads or processes ran out; None for any other."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EMFILE, errno.ENFILE} or "Too many open files" in text:
        return _limit("too many open files", "raise the limit with ulimit -n 4096, or lower workers")
    if _is_of_libraries(error) and SHARED.search(text) and not isinstance(error, FileNotFoundError):
        fix = "set workers=0, or enlarge /dev/shm (docker run --shm-size=8g)"
        return MemoryExhaustedError(Problem("out of shared memory, which data loaders use to pass batches.", fix))
    if isinstance(error, MemoryError) or number == errno.ENOMEM or (_is_of_libraries(error) and MEMORY.search(text)):
        at_import = isinstance(error, (ImportError, OSError))
        fix = (
            "raise the limit of the process (ulimit -v)"
            if at_import
            else "lower batch or imgsz (on one GPU, batch=-1 chooses a batch)"
        )
        return MemoryExhaustedError(Problem("out of memory.", f"{fix}"))
    if isinstance(error, (RuntimeError, BlockingIOError)) and (number == errno.EAGAIN or THREADS.search(text)):
        return _limit("cannot start more threads or processes", "raise the limit (ulimit -u), or lower workers")
    return None


def _is_of_libraries(error: BaseException) -> bool:
    """Return whether an error is of a kind that libraries report exhaustion with; OpenCV has its own."""
    known = isinstance(error, (RuntimeError, ImportError, OSError, ValueError, SystemError))
    return known or type(error).__module__.partition(".")[0] == "cv2"


def _limit(what: str, fix: str) -> EnvironmentProblemError:
    return EnvironmentProblemError(Problem(f"{what}.", f"{fix}"))

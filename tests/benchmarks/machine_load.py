"""Cores that a benchmark uses, and other processes that compute on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager


def pinned(command: Sequence[str], cores: int) -> list[str]:
    """Return a command that may use as many cores of this process."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *command]


@contextmanager
def busy(count: int, cores: int) -> Iterator[None]:
    """Have as many processes compute on the same cores."""
    with ExitStack() as stack:
        for _ in range(count):
            started = subprocess.Popen(pinned([sys.executable, "-c", "while True: pass"], cores))
            stack.callback(started.wait)
            stack.callback(started.kill)
        yield

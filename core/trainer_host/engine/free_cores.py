"""Cores that other programs leave to this process."""

from __future__ import annotations

import importlib
import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.base.machine import processors

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 1.0
"""Seconds over which the load of the machine is averaged, at least."""
FIRST_WINDOW_S = 0.2
BUSY = ("user", "system", "irq", "softirq", "steal", "interrupt")
"""Kinds of time that a core is not available in. Programs that are ``nice`` give way."""


def usable_cores() -> int:
    """Return how many cores this process may use: by affinity, and by the limit of a container."""
    found = processors()
    cores = found["affinity"] or found["count"] or 1
    return max(1, min(int(cores), math.ceil(found["cgroup_limit"] or cores)))


@dataclass(frozen=True)
class Times:
    """Seconds up to now.

    Attributes:
        wall: Of a clock that does not go back.
        own: That this process has computed, on all cores together.
        busy: That all programs have computed on the cores that this process may use.
        cores: How many those are.
    """

    wall: float
    own: float
    busy: float
    cores: int


def times_of_machine() -> Times:
    """Return the times of the cores that this process may use."""
    psutil: Any = importlib.import_module("psutil")
    every = psutil.cpu_times(percpu=True)
    chosen = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(len(every))
    used = [every[i] for i in chosen if i < len(every)]
    busy = sum(getattr(each, kind, 0.0) for each in used for kind in BUSY)
    return Times(time.perf_counter(), time.process_time(), busy, len(used))


class FreeCores:
    """Watches what else the machine does.

    Args:
        times: Returns the times up to now.
    """

    def __init__(self, times: Callable[[], Times] = times_of_machine) -> None:
        self._times = times
        self._last: float | None = None
        self._before = times()

    def read(self) -> float | None:
        """Return how many cores others leave, on average over a second or more; None if that is unknown."""
        now, before = self._times(), self._before
        wall, own, busy = now.wall - before.wall, now.own - before.own, now.busy - before.busy
        if wall >= (FIRST_WINDOW_S if self._last is None else WINDOW_S):
            self._before = now
            # Some sandboxes have no times of the machine, or those of another one.
            self._last = now.cores - max(0.0, busy - own) / wall if busy > own / 2 else None
        return self._last

"""Cores that other programs leave to this process."""

from __future__ import annotations

import importlib
import math
import os
import time
from typing import Any

from trainer_host.base.machine import processors

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


class FreeCores:
    """Watches what else the machine does, by the times of its cores and of this process."""

    def __init__(self) -> None:
        self._psutil: Any = importlib.import_module("psutil")
        self._cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        self._last: float | None = None
        self._before = self._now()

    def read(self) -> float | None:
        """Return how many cores others leave, on average over a second or more; None if that is unknown."""
        now = self._now()
        wall, own, busy = (b - a for a, b in zip(self._before, now, strict=True))
        if wall >= (FIRST_WINDOW_S if self._last is None else WINDOW_S):
            self._before = now
            count = len(self._cores) if self._cores is not None else os.cpu_count() or 1
            # Some sandboxes have no times of the machine, or those of another one.
            self._last = count - max(0.0, busy - own) / wall if busy > own / 2 else None
        return self._last

    def _now(self) -> tuple[float, float, float]:
        times = self._psutil.cpu_times(percpu=True)
        used = [times[i] for i in self._cores if i < len(times)] if self._cores is not None else times
        busy = sum(getattr(each, kind, 0.0) for each in used for kind in BUSY)
        return time.perf_counter(), time.process_time(), busy

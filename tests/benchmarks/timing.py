"""What the benchmarks share: commands timed in turn, and a table of medians and of ratios pair by pair."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

Timer = Callable[[], float]


def wall_time(command: Sequence[str], **options: object) -> float:
    """Return the seconds that a command takes; it has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, **options)
    return time.perf_counter() - began


def in_turn(timers: Mapping[str, Timer], rounds: int) -> dict[str, list[float]]:
    """Return the times of each, taken A B C A B C ..., so that a slow minute is slow for all.

    A first round warms up and does not count.
    """
    for timer in timers.values():
        timer()
    times: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            times[name].append(timer())
    return times


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the median of the ratios of a to b within each round."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def ratio_text(a: Sequence[float], b: Sequence[float]) -> str:
    """Return the median of the ratios of a to b within each round, and the extremes."""
    pairs = [x / y for x, y in zip(a, b, strict=True)]
    return f"{statistics.median(pairs):.2f} [{min(pairs):.2f}, {max(pairs):.2f}]"


def print_times(times: Mapping[str, Sequence[float]]) -> None:
    """Print the median and the extremes of each."""
    width = max(map(len, times))
    print(f"{'':<{width}}  {'median':>8}  {'least':>8}  {'most':>8}")
    for name, taken in times.items():
        print(f"{name:<{width}}  {statistics.median(taken):>7.3f}s  {min(taken):>7.3f}s  {max(taken):>7.3f}s")

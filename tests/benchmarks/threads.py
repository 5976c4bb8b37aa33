"""Whole runs with the number of threads that is found, against fixed ones, quiet and next to busy processes.

python -m tests.benchmarks.threads [--model yolo26n-pose.yaml] [--imgsz 320] [--epochs 2] [--rounds 5] [--busy 0 1 2]

Pairs in alternating order; a ratio above 1 says that the found number is faster. The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.timing import in_turn, print_times, wall_time
from tests.support.command import TRAINER, environment


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep as many processes busy, each with one thread."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def trained(threads: int | None, words: list[str], folder: Path) -> float:
    """Return the seconds of a run, with a fixed number of threads or with one that is found."""
    fixed = [] if threads is None else ["--threads", str(threads)]
    given = {k: v for k, v in environment().items() if k != "OMP_NUM_THREADS"}
    return wall_time([*map(str, TRAINER), "run", "--task", "pose", *words, *fixed], cwd=folder, env=given)


def main() -> None:
    """Print a table for each number of busy processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.threads", description=__doc__)
    parser.add_argument("--model", default="yolo26n-pose.yaml", help="Model YAML")
    parser.add_argument("--data", help="Dataset; the built-in sample by default")
    parser.add_argument("--imgsz", type=int, default=320, help="Image size")
    parser.add_argument("--epochs", type=int, default=2, help="Epochs of a run")
    parser.add_argument("--rounds", type=int, default=5, help="Pairs of runs")
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2], help="Busy processes")
    wanted = parser.parse_args()
    words = [f"{key}={getattr(wanted, key)}" for key in ("model", "imgsz", "epochs")]
    words += ["batch=8", "plots=False", *([f"data={Path(wanted.data).resolve()}"] if wanted.data else [])]
    cores = os.cpu_count() or 1
    for processes in wanted.busy:
        with tempfile.TemporaryDirectory() as folder, busy(processes):
            numbers = {"found": None, "1 thread": 1, f"{cores} threads": cores}
            timers = {name: partial(trained, number, words, Path(folder)) for name, number in numbers.items()}
            times = in_turn(timers, wanted.rounds)
        print(f"{processes} busy processes, load {os.getloadavg()[0]:.1f}", flush=True)
        print_times(times)
        for name in [*times][1:]:
            pairs = [other / found for found, other in zip(times["found"], times[name], strict=True)]
            print(f"{name} / found: {statistics.median(pairs):.2f} [{min(pairs):.2f}, {max(pairs):.2f}]")
        print(flush=True)


if __name__ == "__main__":
    main()

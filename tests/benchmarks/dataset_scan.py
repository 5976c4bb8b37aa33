"""How fast a dataset is read and checked, next to the engine's own scan of the same folders.

python -m tests.benchmarks.dataset_scan --folder DIR [--images 20000] [--rounds 5] [--large 2000] [--megapixels 8]

Cold: neither has a cache of the labels (the files themselves are in memory, as after a first look). Warm: both have.
Every scan is a process of its own, timed after its imports: until the labels of all images are there, checked in our
case. What the engine prepares besides is the same in both; the ratio with it is shown too. The datasets are written to
DIR and kept there.
Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

from tests.benchmarks.scan_data import make, photographs
from tests.benchmarks.timing import in_turn, print_times, ratio

COLD_AIM, WARM_AIM, LARGE_AIM = 2.0, 2.0, 1.0
NOISE = 2.0
"""MiB that the peak of the same scan differs by, of a process that has some 500 with the engine imported."""
GROWTH = (200, 2_000, 20_000)
ROWS_EACH = 10


class Scans:
    """Scans of one dataset, whose memory is noted next to their time."""

    def __init__(self, data: Path, cores: int) -> None:
        self.data, self.cores = data, cores
        self.cache = data.parent.parent / f"cache-{data.parent.name}"
        self.mebibytes: dict[str, list[float]] = defaultdict(list)
        self.totals: dict[str, list[float]] = defaultdict(list)

    def run(self, kind: str, state: str) -> float:
        """Return the seconds of a scan in a process of its own."""
        if state == "cold":
            for file in self.data.parent.glob("labels/*.cache") if kind == "engine" else ():
                file.unlink()
            if kind == "host":
                shutil.rmtree(self.cache, ignore_errors=True)
        environment = {**os.environ, "TRAINER_CACHE_DIR": str(self.cache), "YOLO_VERBOSE": "false"}
        command = [sys.executable, "-m", "tests.benchmarks.scan_once", kind, str(self.data), str(self.cores)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        result = json.loads(done.stdout.splitlines()[-1])
        self.mebibytes[f"{kind}, {state}"].append(result["mebibytes"])
        self.totals[f"{kind}, {state}"].append(result["total"])
        return float(result["scan"])


def compare(data: Path, cores: int, rounds: int, aims: dict[str, float], title: str) -> None:
    """Time both in turn and print times, memory, and whether the aims are met."""
    scans = Scans(data, cores)
    states = [(kind, state) for state in aims for kind in ("engine", "host")]
    timers = {f"{kind}, {state}": partial(scans.run, kind, state) for kind, state in states}
    times = in_turn({**timers, "stat": partial(scans.run, "stat", "")}, rounds)
    print(f"\n{title}, {cores} core{'s' * (cores > 1)}")
    print_times(times)
    for state, aim in aims.items():
        theirs, ours = f"engine, {state}", f"host, {state}"
        faster, whole = ratio(times[theirs], times[ours]), ratio(scans.totals[theirs], scans.totals[ours])
        peak, limit = statistics.median(scans.mebibytes[ours]), statistics.median(scans.mebibytes[theirs])
        good = faster >= aim and peak <= limit + NOISE
        verdict = "good" if good else "MISSED"
        print(
            f"{state}: {faster:.2f}x as fast (aim: {aim:g}x), with the datasets built from it {whole:.2f}x;"
            f" peak memory {peak:.0f} MiB beside {limit:.0f} MiB (aim: no more, but for {NOISE:g}): {verdict}"
        )


def growth(folder: Path, rounds: int) -> None:
    """Print the time of a cold scan for each label, with ten times and a hundred times as many."""
    print("\nCold scan by number of labels, 1 core")
    for images in GROWTH:
        scans = Scans(make(folder / f"growth-{images}", images, rows_each=ROWS_EACH), 1)
        times = [scans.run("host", "cold") for _ in range(rounds)]
        peak = statistics.median(scans.mebibytes["host, cold"])
        seconds = statistics.median(times)
        labels = images * ROWS_EACH
        each = 1e6 * seconds / labels
        print(f"{labels:>7} labels of {images:>6} images: {seconds:7.3f} s, {each:5.1f} µs each, {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=2_000)
    parser.add_argument("--megapixels", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=["small", "large", "growth"])
    given = parser.parse_args()
    for cores in given.cores:
        if given.only in {None, "small"}:
            data = make(given.folder / f"small-{given.images}", given.images)
            aims = {"cold": COLD_AIM, "warm": WARM_AIM}
            compare(data, cores, given.rounds, aims, f"{given.images} small images")
        if given.only in {None, "large"}:
            place = given.folder / f"large-{given.large}-{given.megapixels:g}"
            data = make(place, given.large, photographs(given.megapixels))
            title = f"{given.large} images of {given.megapixels:g} megapixels"
            compare(data, cores, given.rounds, {"cold": LARGE_AIM}, title)
    if given.only in {None, "growth"}:
        growth(given.folder, given.rounds)


if __name__ == "__main__":
    main()

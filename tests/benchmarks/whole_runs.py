"""The stock command and ``trainer run`` in alternating pairs, alone on the machine and next to busy processes.

python -m tests.benchmarks.whole_runs [--busy 0 1 2] [--cores 2] [--epochs 6] [--imgsz 320] [--batch 8] [--rounds 5]
                                      [--data data.yaml] [SETTING=VALUE ...]

A ratio above 1 says that ``trainer run`` is faster, or needs less memory. Settings at the end are for ``trainer run``
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.sample_datasets import pose_dataset

MODEL = "yolo26n-pose.yaml"
IMAGES = 55
EVENTS = ("on_train_batch_start", "on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end")

# What both runs write: the moment of each event.
MARKS = f"""
import os, time

def mark(event):
    def write(trainer):
        with open(os.environ["MARKS"], "a") as file:
            file.write(f"{{event}} {{time.time()}}\\n")
    return write

EVENTS = {EVENTS!r}
"""

# What the engine's command does once it has read its arguments.
STOCK = (
    MARKS
    + """
import json, sys
from ultralytics import YOLO

settings = json.loads(sys.argv[1])
model = YOLO(settings.pop("model"), task="pose")
for event in EVENTS:
    model.add_callback(event, mark(event))
model.train(**settings)
"""
)

EXTENSION = (
    MARKS
    + """
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    return {event: mark(event) for event in EVENTS}
"""
)


@dataclass(frozen=True)
class Measures:
    """One run, in seconds and MB.

    Attributes:
        first_batch: From the start of the process to the first batch.
        training: The batches of all epochs but the first.
        validation: Their validations, with what is saved before and after them.
        end: From the end of the last epoch to that of the process.
        whole: All of it.
        memory: The largest resident set of the process.
    """

    first_batch: float
    training: float
    validation: float
    end: float
    whole: float
    memory: float

    @classmethod
    def of(cls, marks: Path, began: float, ended: float, memory: float) -> Measures:
        """Return what the marks of a run say."""
        times: dict[str, list[float]] = defaultdict(list)
        for line in marks.read_text(encoding="utf-8").splitlines():
            event, moment = line.split()
            times[event].append(float(moment))
        starts, batches_end, ends = (
            times[e] for e in ("on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end")
        )
        return cls(
            first_batch=times["on_train_batch_start"][0] - began,
            training=sum(b - a for a, b in zip(starts[1:], batches_end[1:], strict=True)),
            # The final evaluation of the engine ends an epoch too.
            validation=sum(b - a for a, b in zip(batches_end[1:], ends[1 : len(starts)], strict=True)),
            end=ended - ends[len(starts) - 1],
            whole=ended - began,
            memory=memory,
        )


def measured(command: Sequence[str], settings: dict[str, object], cores: int) -> Measures:
    """Run a training, and return what it took."""
    with tempfile.TemporaryDirectory() as work:
        marks = Path(work) / "marks"
        settings = {**settings, "project": f"{work}/runs"}
        words = [json.dumps(settings)] if "-c" in command else [f"{key}={value}" for key, value in settings.items()]
        began = time.time()
        with (Path(work) / "log").open("wb") as log:
            started = subprocess.Popen(
                _pinned([*command, *words], cores),
                cwd=work,
                env={**os.environ, "MARKS": str(marks)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)
        ended = time.time()
        if started.returncode != 0:
            raise SystemExit((Path(work) / "log").read_text(errors="replace")[-3000:])
        return Measures.of(marks, began, ended, usage.ru_maxrss / 1024)


def _pinned(command: Sequence[str], cores: int) -> list[str]:
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *command]


@contextmanager
def busy(count: int, cores: int) -> Iterator[None]:
    """Have as many processes compute on the same cores."""
    with ExitStack() as stack:
        for _ in range(count):
            started = subprocess.Popen(_pinned([sys.executable, "-c", "while True: pass"], cores))
            stack.callback(started.wait)
            stack.callback(started.kill)
        yield


def main() -> None:
    """Measure, and print a table for each number of busy processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("settings", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = given.data.resolve() if given.data else pose_dataset(Path(scratch) / "data", images=IMAGES)
        extension = Path(scratch) / "marks.py"
        extension.write_text(EXTENSION)
        trainer = [str(Path(sys.executable).with_name("trainer")), "run", "--task", "pose", "--plugin", str(extension)]
        sizes = {"imgsz": given.imgsz, "batch": given.batch, "epochs": given.epochs}
        settings = {"model": MODEL, "data": str(data), **sizes}
        commands = {"stock": [sys.executable, "-c", STOCK], "ours": [*trainer, *given.settings]}
        for count in given.busy:
            runs: dict[str, list[Measures]] = {name: [] for name in commands}
            with busy(count, given.cores):
                for _ in range(given.rounds):
                    for name, command in commands.items():
                        runs[name].append(measured(command, settings, given.cores))
            _print_table(runs, f"{count} busy, {given.cores} cores, {given.imgsz} px, {given.epochs} epochs")


def _print_table(runs: dict[str, list[Measures]], title: str) -> None:
    print(f"\n{title}\n{'':<12}  {'stock':>8}  {'ours':>8}  {'ratio':>6}  {'least':>6}  {'most':>6}")
    for name in Measures.__dataclass_fields__:
        stock, ours = ([getattr(run, name) for run in runs[key]] for key in ("stock", "ours"))
        ratios = [a / b for a, b in zip(stock, ours, strict=True)]
        numbers = [statistics.median(stock), statistics.median(ours)]
        print(
            f"{name:<12}  {numbers[0]:>8.2f}  {numbers[1]:>8.2f}"
            f"  {statistics.median(ratios):>6.2f}  {min(ratios):>6.2f}  {max(ratios):>6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

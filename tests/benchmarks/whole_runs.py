"""The stock command and ``trainer run`` in alternating pairs, alone on the machine and next to busy processes.

python -m tests.benchmarks.whole_runs [--busy 0 1 2] [--cores 2] [--epochs 6] [--imgsz 320] [--batch 8] [--rounds 5]
                                      [--data data.yaml] [--model yolo26n-pose.yaml] [--with "WORDS"]... [--ceiling]

A ratio above 1 says that ``trainer run`` is faster, or needs less memory: medians [least, most] of pairs. Words of
``--with`` are for ``trainer run`` alone, such as ``--with "--threads 1" --with --exact``; each is a column of its own.
``--ceiling`` adds the share that each training reaches of what the machine computes with a batch in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.machine_load import busy, pinned
from tests.benchmarks.real_data import dataset
from tests.benchmarks.resident_batch import MODEL, ceiling
from tests.benchmarks.timing import ratio_text

STOCK = "yolo"
EVENTS = ("on_train_batch_start", "on_train_epoch_start", "on_train_epoch_end", "on_fit_epoch_end")

# What both runs write: the moment of each event.
MARKS = f"""
import os, time

def mark(event):
    def write(trainer):
        with open(os.environ["MARKS"], "a") as file:
            file.write(f"{{event}} {{time.time()}}\\n")
        if event == "on_train_batch_start" and not os.path.exists(os.environ["MARKS"] + ".images"):
            with open(os.environ["MARKS"] + ".images", "w") as file:
                file.write(str(len(trainer.train_loader.dataset)))
    return write

EVENTS = {EVENTS!r}
"""

# What the engine's command does once it has read its arguments.
STOCK_SCRIPT = (
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
        images: Images a second of the training.
    """

    first_batch: float
    training: float
    validation: float
    end: float
    whole: float
    memory: float
    images: float

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
        training = sum(b - a for a, b in zip(starts[1:], batches_end[1:], strict=True))
        images = int(marks.with_name(f"{marks.name}.images").read_text()) * (len(starts) - 1)
        return cls(
            first_batch=times["on_train_batch_start"][0] - began,
            training=training,
            # The final evaluation of the engine ends an epoch too.
            validation=sum(b - a for a, b in zip(batches_end[1:], ends[1 : len(starts)], strict=True)),
            end=ended - ends[len(starts) - 1],
            whole=ended - began,
            memory=memory,
            images=images / training,
        )


MEASURED = ("first_batch", "training", "validation", "end", "whole", "memory")


def measured(command: Sequence[str], settings: Mapping[str, object], cores: int) -> Measures:
    """Run a training, and return what it took."""
    with tempfile.TemporaryDirectory() as work:
        marks = Path(work) / "marks"
        settings = {**settings, "project": f"{work}/runs"}
        words = [json.dumps(settings)] if "-c" in command else [f"{key}={value}" for key, value in settings.items()]
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        began = time.time()
        with (Path(work) / "log").open("wb") as log:
            started = subprocess.Popen(
                pinned([*command, *words], cores),
                cwd=work,
                env={**environment, "MARKS": str(marks)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)
        ended = time.time()
        if started.returncode != 0:
            raise SystemExit((Path(work) / "log").read_text(errors="replace")[-3000:])
        return Measures.of(marks, began, ended, usage.ru_maxrss / 1024)


def print_table(runs: Mapping[str, Sequence[Measures]], title: str, most: float | None = None) -> None:
    """Print the medians of each command and the ratios to the stock one, and the shares of the ceiling."""
    print(f"\n{title}")
    for name in [key for key in runs if key != STOCK]:
        print(f"{'':<12}  {STOCK:>8}  {name:>12}  ratio")
        for measure in MEASURED:
            stock, ours = ([getattr(run, measure) for run in runs[key]] for key in (STOCK, name))
            medians = statistics.median(stock), statistics.median(ours)
            print(f"{measure:<12}  {medians[0]:>8.2f}  {medians[1]:>12.2f}  {ratio_text(stock, ours)}")
    for name, found in runs.items() if most is not None else ():
        images = statistics.median(run.images for run in found)
        share = images / most if most is not None else 0.0
        print(f"{name}: {images:.1f} images a second in training, {share:.0%} of {most:.1f} with a batch in memory")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print a table for each number of busy processes."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.whole_runs", description=__doc__)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], help="busy processes")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--with", dest="variants", action="append", help="more words of trainer run")
    parser.add_argument("--ceiling", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = given.data.resolve() if given.data else dataset(Path(scratch) / "data")
        extension = Path(scratch) / "marks.py"
        extension.write_text(EXTENSION)
        trainer = [str(Path(sys.executable).with_name("trainer")), "run", "--task", "pose", "--plugin", str(extension)]
        sizes = {"imgsz": given.imgsz, "batch": given.batch, "epochs": given.epochs}
        settings = {"model": given.model, "data": str(data), **sizes}
        commands = {STOCK: [sys.executable, "-c", STOCK_SCRIPT]}
        for words in given.variants or [""]:
            commands[words or "trainer run"] = [*trainer, *shlex.split(words)]
        for command in commands.values():  # warms up, and does not count
            measured(command, {**settings, "epochs": 2}, given.cores)
        for count in given.busy:
            runs: dict[str, list[Measures]] = {name: [] for name in commands}
            with busy(count, given.cores):
                most = ceiling(given.cores, given.imgsz, given.batch, model=given.model) if given.ceiling else None
                for _ in range(given.rounds):
                    for name, command in commands.items():
                        runs[name].append(measured(command, settings, given.cores))
            title = f"{count} busy, {given.cores} cores, {given.imgsz} px, {given.epochs} epochs, {given.rounds} pairs"
            print_table(runs, title, most)


if __name__ == "__main__":
    main()

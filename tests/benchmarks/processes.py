"""How fast several processes of one run train on the cores of one machine, and what starting them costs.

python -m tests.benchmarks.processes [--rounds 3] [--epochs 3] [--imgsz 320] [--batch 8]

The first table has the seconds of an epoch with its validation and checkpoints, over the whole epochs after the first
one, from ``results.csv``. The second has the seconds from the start of a command to its first batch. The commands take
turns, and ratios are medians [least, most] of those within a round. On a CPU, each process loads its images itself. The
dataset is mouse-openfield if it is there, otherwise the built-in sample.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.real_data import dataset
from tests.benchmarks.timing import in_turn, print_times, ratio_text

MODEL = "yolo26n-pose.yaml"
RUN = ["-m", "trainer_host", "run", "--task", "pose"]
TWO_OF_ONE, ONE_OF_TWO, ONE_OF_ONE = "2 processes of 1 thread", "1 process of 2 threads", "1 process of 1 thread"
TRAININGS = {
    TWO_OF_ONE: ["--processes", "2", "--threads", "1"],
    ONE_OF_TWO: ["--threads", "2"],
    ONE_OF_ONE: ["--threads", "1"],
}
PLAIN, LAUNCHED, FOREIGN = "trainer run", "trainer run --launcher torchrun --processes 2", "torchrun --nproc-per-node 2"
STARTS = {
    PLAIN: RUN,
    LAUNCHED: [*RUN, "--launcher", "torchrun", "--processes", "2"],
    FOREIGN: ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *RUN],
}

FIRST_BATCH = """
import os, time
from pathlib import Path
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    def leave(trainer):
        if ctx.rank == 0:
            Path(os.environ["FIRST_BATCH"]).write_text(repr(time.time()))
        os._exit(0)

    return {"on_train_batch_start": leave}
"""


def epoch_seconds(results: Path) -> float:
    """Return the seconds of a whole epoch after the first one."""
    with results.open(newline="", encoding="utf-8") as file:
        times = [float(row["time"]) for row in csv.DictReader(file, skipinitialspace=True)]
    return (times[-1] - times[0]) / (len(times) - 1)


def trained(options: Sequence[str], settings: Sequence[str], folder: Path) -> float:
    """Return the seconds of an epoch of a training."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        results = Path(work) / "run" / "results.csv"
        _carry_out([*RUN, *options, *settings, f"project={work}", "name=run"], results)
        return epoch_seconds(results)


def until_first_batch(command: Sequence[str], settings: Sequence[str], folder: Path) -> float:
    """Return the seconds until the first process of a run reaches its first batch, where all end themselves."""
    plugin = folder / "leave.py"
    plugin.write_text(FIRST_BATCH)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        reached = Path(work) / "reached"
        began = time.time()
        _carry_out([*command, "--plugin", str(plugin), *settings, f"project={work}"], reached)
        return float(reached.read_text()) - began


def _carry_out(words: Sequence[str], made: Path) -> None:
    """Run a command that has to leave a file, whatever it exits with.

    Raises:
        SystemExit: If it did not.
    """
    # Threads are those that the options say, not those of the shell.
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment["FIRST_BATCH"] = str(made)
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    if not made.exists():
        raise SystemExit(done.stderr[-3000:])


def print_trainings(times: Mapping[str, Sequence[float]], images: int) -> None:
    """Print the seconds of an epoch, images a second, and ratios."""
    print_times(times)
    print()
    for name, taken in times.items():
        print(f"{name}: {images / statistics.median(taken):.1f} images a second")
    for name, other in ((TWO_OF_ONE, ONE_OF_TWO), (TWO_OF_ONE, ONE_OF_ONE), (ONE_OF_TWO, ONE_OF_ONE)):
        print(f"{name}: {ratio_text(times[other], times[name])} times as fast as {other}")


def print_starts(times: Mapping[str, Sequence[float]]) -> None:
    """Print the seconds until the first batch, differences, and ratios."""
    print_times(times)
    print()
    for name, other in ((LAUNCHED, PLAIN), (FOREIGN, PLAIN), (LAUNCHED, FOREIGN)):
        more = [a - b for a, b in zip(times[name], times[other], strict=True)]
        seconds = f"{statistics.median(more):+.1f} s [{min(more):+.1f}, {max(more):+.1f}]"
        print(f"{name}: {seconds} against {other}, {ratio_text(times[name], times[other])} of its time")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.processes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="Rounds, after one that does not count")
    parser.add_argument("--epochs", type=int, default=3, help="Epochs of a training, at least 2")
    parser.add_argument("--imgsz", type=int, default=320, help="Image size")
    parser.add_argument("--batch", type=int, default=8, help="Images of a batch, of all processes together")
    given = parser.parse_args()
    if given.epochs < 2:
        parser.error("--epochs has to be 2 or more")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = dataset(folder / "data")
        images = len(list((data.parent / "images" / "train").iterdir()))
        settings = [f"model={MODEL}", f"data={data}", f"imgsz={given.imgsz}", f"batch={given.batch}", "device=cpu"]
        settings += [f"epochs={given.epochs}", "close_mosaic=0", "plots=False"]
        trainings = {name: partial(trained, options, settings, folder) for name, options in TRAININGS.items()}
        print(f"Seconds of an epoch of {images} images at imgsz={given.imgsz}, batch={given.batch}:\n")
        print_trainings(in_turn(trainings, given.rounds), images)
        starts = {name: partial(until_first_batch, command, settings, folder) for name, command in STARTS.items()}
        print("\nSeconds until the first batch:\n")
        print_starts(in_turn(starts, given.rounds))


if __name__ == "__main__":
    main()

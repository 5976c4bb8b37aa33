"""How long it takes to load a checkpoint, next to the engine's own load, in turn.

python -m tests.benchmarks.checkpoint_load [--rounds N] [--models NAME.yaml ...] [--fresh]

Within one process, or with ``--fresh`` the first load of a process each, as a command does it; imports of torch and the
engine do not count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import load_checkpoint

from tests.benchmarks.timing import in_turn, print_times, ratio
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint
from trainer_host.engine.ultralytics.model_loading import starting_weights

MODELS = (
    "yolov8n-pose.yaml",
    "yolo11n-pose.yaml",
    "yolo12n.yaml",
    "yolo26n-pose.yaml",
    "yolo26s.yaml",
    "yolo11x-pose.yaml",
)
ENGINE, HOST, TENSORS = "engine, to a model", "host, to a model", "host, tensors and data"


def write_checkpoint(name: str, folder: Path) -> Path:
    """Write a checkpoint as the engine leaves it at the end of a training."""
    model = YOLO(name).model
    model.args = {"task": model.task}
    path = folder / Path(name).with_suffix(".pt").name
    torch.save({"epoch": -1, "model": deepcopy(model).half(), "ema": None, "train_args": {"task": model.task}}, path)
    return path


FIRST = """
import sys, time
import torch
from ultralytics.nn.tasks import load_checkpoint
from trainer_host.engine.ultralytics.model_loading import starting_weights

torch.set_num_threads(1)
began = time.perf_counter()
if sys.argv[1] == "engine":
    load_checkpoint(sys.argv[2])
else:
    starting_weights(read_checkpoint(sys.argv[2]), {})
print(time.perf_counter() - began)
"""


def first_load(who: str, path: Path) -> float:
    """Return the seconds that the first load of a new process takes."""
    command = [sys.executable, "-c", FIRST, who, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def timed(action: Callable[[], object]) -> Callable[[], float]:
    def timer() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return timer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--fresh", action="store_true")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted.models:
            path = write_checkpoint(name, Path(folder))
            timers = (
                {ENGINE: partial(first_load, "engine", path), HOST: partial(first_load, "host", path)}
                if wanted.fresh
                else {
                    ENGINE: timed(lambda path=path: load_checkpoint(path)),
                    HOST: timed(lambda path=path: starting_weights(read_checkpoint(path), {})),
                    TENSORS: timed(lambda path=path: read_checkpoint(path).state()),
                }
            )
            times = in_turn(timers, wanted.rounds)
            print(f"\n{path.name}, {path.stat().st_size / 2**20:.1f} MiB")
            print_times(times)
            for ours in [name for name in times if name != ENGINE]:
                print(f"{ours}: {ratio(times[ours], times[ENGINE]):.2f} times the engine's")


if __name__ == "__main__":
    main()

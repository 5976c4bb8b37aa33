"""How long it takes from starting the command to the first training batch, next to the engine's own trainer.

python -m tests.benchmarks.first_batch [--rounds N] [--images N] [--imgsz N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.benchmarks.timing import in_turn, print_times, ratio
from tests.support.sample_datasets import pose_dataset

MODEL = "yolo11n-pose.yaml"

# What the engine's command does once it has read its arguments.
STOCK = """
import json, os, sys
from ultralytics import YOLO

def leave(trainer):
    os._exit(0)

settings = json.loads(sys.argv[1])
model = YOLO(settings.pop("model"), task="pose")
model.add_callback("on_train_batch_start", leave)
model.train(**settings)
os._exit(1)
"""

EXTENSION = """
import os
from trainer_host import hookimpl

def leave(trainer):
    os._exit(0)

@hookimpl
def callbacks(ctx):
    return {"on_train_batch_start": leave}
"""


def until_first_batch(command: list[str], settings: dict[str, object], folder: Path) -> float:
    """Return the seconds until a command reaches its first batch, where it ends itself."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        settings = {**settings, "project": work}
        words = [json.dumps(settings)] if "-c" in command else [f"{k}={v}" for k, v in settings.items()]
        began = time.perf_counter()
        done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=work, check=False)
        taken = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(done.stderr[-3000:])
    return taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--imgsz", type=int, default=160)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = pose_dataset(folder / "data", images=given.images)
        (folder / "leave.py").write_text(EXTENSION)
        settings = {"model": MODEL, "data": str(data), "imgsz": given.imgsz, "epochs": 1, "plots": False, "batch": 16}
        trainer = [str(Path(sys.executable).with_name("trainer")), "run", "--plugin", str(folder / "leave.py")]
        commands = {
            "yolo pose train": [sys.executable, "-c", STOCK],
            "trainer run": [*trainer, "--task", "pose"],
            "trainer run --exact": [*trainer, "--task", "pose", "--exact"],
        }
        timers = {name: partial(until_first_batch, command, settings, folder) for name, command in commands.items()}
        times = in_turn(timers, given.rounds)
    print_times(times)
    print()
    for name in list(commands)[1:]:
        print(f"{name:<20} takes {ratio(times[name], times['yolo pose train']):.2f} of the engine's own time")


if __name__ == "__main__":
    main()

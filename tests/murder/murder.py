"""Kills trainings, resumes them, and compares what they end with.

Each training runs in a process of its own, which starts within a second.
"""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import yaml

import trainer_host
from tests.hostile.files import small_architecture
from tests.support.faulty_io import Fault, faulty
from tests.support.nested_data import TIMES, differences
from tests.support.sample_datasets import pose_dataset
from tests.support.warm_processes import started, status
from trainer_host.base.errors import ExitCode
from trainer_host.engine.packed_state import unpacked

KINDS = ("moment", "kill", "torn", "power", "short", "ENOSPC", "EIO")
NAME = "killed"
PLACE = "/runs/"
"""Part of the paths whose writes meet faults."""
STEPS = "steps"
"""File with the number of steps of writing that a training took."""
MOST_RESUMES = 20
"""Attempts after which a training that is still not done counts as stuck."""
WITHIN_EPOCHS: dict[str, Any] = {"checkpoint_every": "2"}
"""Has states saved within epochs, too."""
SETTINGS: dict[str, Any] = {
    "task": "pose",
    "model": "small.yaml",
    "imgsz": 32,
    "batch": 4,
    "nbs": 12,
    "epochs": 3,
    "close_mosaic": 1,
    "plots": False,
    "threads": 1,
    "seed": 3,
    "keep_state": True,
    "if_exists": "resume",
    "name": NAME,
}


@dataclass(frozen=True)
class Death:
    """How and when a training dies.

    Attributes:
        kind: ``moment`` for SIGKILL from outside, or the fault of a step of its writes, as in `faulty_io`.
        share: When, as a fraction of an undisturbed training: of its duration, or of its steps of writing.
    """

    kind: str
    share: float


@dataclass(frozen=True)
class Undisturbed:
    """A training that nothing happens to.

    Attributes:
        settings: What it does.
        seconds: How long it takes.
        steps: Its steps of writing.
        ending: What it ends with.
    """

    settings: Mapping[str, Any]
    seconds: float
    steps: int
    ending: Mapping[str, Any]


def deaths(count: int, seed: int) -> Iterator[Death]:
    """Yield random deaths, of each kind as many."""
    chance = random.Random(seed)
    for number in range(count):
        yield Death(KINDS[number % len(KINDS)], chance.random())


def prepare(folder: Path) -> None:
    """Write the dataset and the model that all trainings share."""
    folder.mkdir(parents=True, exist_ok=True)
    pose_dataset(folder / "data", 10)
    architecture = {k: v for k, v in small_architecture().items() if k != "yaml_file"}
    (folder / "small.yaml").write_text(yaml.safe_dump(architecture))


def undisturbed(root: Path, settings: Mapping[str, Any]) -> Undisturbed:
    """Train once to the end; a setting that is None is left to its default."""
    wanted = {**SETTINGS, **settings}
    shutil.rmtree(root / "whole", ignore_errors=True)
    began = time.monotonic()
    with forked(root, "whole", wanted, Fault(match=PLACE)) as child:
        code = status(child)
    seconds = time.monotonic() - began
    if code != 0:
        raise AssertionError(f"the undisturbed training ended with {code}: {log_of(root, 'whole')}")
    return Undisturbed(wanted, seconds, int((root / "whole" / STEPS).read_text()), ending_of(root / "whole"))


def survives(root: Path, name: str, whole: Undisturbed, *deaths: Death) -> list[str]:
    """Kill a training and each resume of it, then resume it until it is done; return where it differs from the whole.

    Args:
        root: The folder of the trainings.
        name: The name of this one.
        whole: The undisturbed training.
        deaths: How the first process dies, how the second one does, and so on.
    """
    code = -1
    for death in deaths:
        if code < 0 or code == ExitCode.STORAGE:
            code = _die(root, name, whole, death)
    for _ in range(MOST_RESUMES):
        if code >= 0 and code != ExitCode.STORAGE:
            break
        with forked(root, name, whole.settings) as child:
            code = status(child)
    if code != 0:
        return [f"exit code {code} after {deaths}: {log_of(root, name)}"]
    return differences(whole.ending, ending_of(root / name), but=TIMES)


def _die(root: Path, name: str, whole: Undisturbed, death: Death) -> int:
    """Start or resume a training, and have it die; return its exit code."""
    step = 1 + int(death.share * whole.steps)
    fault = Fault() if death.kind == "moment" else Fault(death.kind, step, PLACE, real=True)
    with forked(root, name, whole.settings, fault) as child:
        if death.kind == "moment":
            end_after(child, death.share * whole.seconds)
        return status(child)


@contextmanager
def forked(root: Path, name: str, settings: Mapping[str, Any], fault: Fault | None = None) -> Iterator[BaseProcess]:
    """Train in another process; yield it."""
    folder = root / name
    folder.mkdir(exist_ok=True)
    process = started(_train, folder, dict(settings), fault or Fault())
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _train(folder: Path, settings: Mapping[str, Any], fault: Fault) -> int:
    """Train in this process, and return the exit code."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = os.fdopen(log, "w", buffering=1)  # not those of pytest
    root = folder.parent
    os.environ["TRAINER_CACHE_DIR"] = str(folder / "cache")
    try:
        os.chdir(folder)
        torch.set_num_threads(1)
        given = {"data": str(root / "data" / "data.yaml"), **settings}
        given = {key: value for key, value in given.items() if value is not None}
        if (root / str(given.get("model"))).is_file():
            given["model"] = str(root / str(given["model"]))
        with faulty(fault):
            trainer_host.run(given.pop("task"), **given)
        (folder / STEPS).write_text(str(fault.taken))
    except trainer_host.TrainerError as error:
        traceback.print_exc()
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end_after(process: BaseProcess, seconds: float) -> None:
    """Kill a process after a time, unless it ends before."""
    process.join(seconds)
    process.kill()


def log_of(root: Path, name: str) -> str:
    """Return the end of what a training printed."""
    return (root / name / "log").read_text(errors="replace")[-2000:]


def ending_of(folder: Path) -> dict[str, Any]:
    """Return what a training ended with: its state, its checkpoints, and its table of results without times."""
    [run] = (folder / "runs").glob(f"*/{NAME}")
    states = sorted((run / "weights").glob("state-*.pt"))
    newest = max(states, key=lambda file: (file.stat().st_mtime_ns, file.name))
    found: dict[str, Any] = {"state": unpacked(torch.load(newest, weights_only=True))}
    for name in ("last", "best"):
        content = torch.load(run / "weights" / f"{name}.pt", map_location="cpu", weights_only=False)
        found[name] = content["trainer_host"].get("state_dict") or content["model"].state_dict()
    table = csv.reader(io.StringIO((run / "results.csv").read_text()))
    head, *rows = list(table)
    place = head.index("time")
    found["results.csv"] = [[value for i, value in enumerate(row) if i != place] for row in (head, *rows)]
    return found

"""A training whose process is killed, and that is resumed, ends like one that was not, to the bit."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.nested_data import TIMES, differences
from tests.support.sample_datasets import pose_dataset
from tests.support.training import checkpoint_tensors
from tests.support.warm_processes import ended
from trainer_host.cli.main import guarded
from trainer_host.engine.packed_state import unpacked

LOOP = "trainer_host.engine.ultralytics.reimplemented.training_loop"
pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(importlib.util.find_spec(LOOP) is None, reason="the engine's own loop saves no states"),
]
EPOCHS = 3
RUN = ("run", "--task", "pose", "model=yolo26n-pose.yaml", f"epochs={EPOCHS}", "imgsz=64", "batch=4", "plots=False")
KILLS = """
import os, signal
from pathlib import Path
from trainer_host import hookimpl

batches = []

def count(trainer):
    batches.append(trainer.epoch)
    order = Path("kill.txt")
    wanted = [int(epoch) for epoch in order.read_text().split()] if order.exists() else []
    if wanted and batches[-len(wanted):] == wanted:
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def callbacks(ctx):
    return {"on_train_batch_start": count}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("dataset"), images=10)


@pytest.fixture
def here(engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kills.py").write_text(KILLS)
    return tmp_path


def carry_out(*words: str, code: int = 0) -> None:
    assert ended(guarded, [*words, "--plugin", "./kills.py"]) == code


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k.strip() != "time"} for row in csv.DictReader(file)]


def ending(folder: Path) -> dict[str, Any]:
    """Return what a run ended with: weights, rows of the table, and the state."""
    import torch

    states = sorted(folder.glob("weights/state-*.pt"))
    found = {name: checkpoint_tensors(folder / "weights" / name) for name in ("last.pt", "best.pt")}
    state = unpacked(torch.load(states[-1], weights_only=True))
    return {**found, "table": table(folder), "states": [file.name for file in states], "state": state}


def resumed(folder: str) -> list[dict[str, Any]]:
    import yaml

    found: list[dict[str, Any]] = yaml.safe_load(Path(folder, "run.yaml").read_text())["record"]["resumed"]
    return found


@pytest.mark.parametrize("words", [("--exact",), ("optimizer=AdamW", "lr0=0.001")], ids=["exact", "seeded"])
def test_a_killed_run_ends_like_one_that_was_not(here: Path, data: Path, words: tuple[str, ...]) -> None:
    run = (*RUN, f"data={data}", "workers=0", *words, "--keep-state", "--checkpoint-every", "2")
    carry_out(*run, "name=whole")
    Path("kill.txt").write_text("0 0 0 1")  # after the first epoch
    carry_out(*run, "name=killed", code=-signal.SIGKILL)
    Path("kill.txt").write_text("1 1 1")  # in the second one, after a state within it
    carry_out("resume", "runs/pose/killed", code=-signal.SIGKILL)
    carry_out("resume", "runs/pose/killed")
    places = [(r["from"]["epoch"], r["from"]["batch"], r["differences"]) for r in resumed("runs/pose/killed")]
    # The state of the moment may still be on its way to the disk; then the one before counts.
    assert places[0] in [(2, 0, []), (1, 3, []), (1, 2, [])] and places[1] in [(2, 2, []), (2, 0, [])]
    assert differences(ending(Path("runs/pose/whole")), ending(Path("runs/pose/killed")), but=TIMES) == []


def doomed(words: list[str], seconds: float) -> int:
    """Carry out a command that dies after a time."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process as SIGKILL does
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return guarded(words)


def test_one_command_that_is_repeated_after_each_kill_ends_like_one_run(here: Path, data: Path) -> None:
    run = (*RUN, f"data={data}", "workers=0", "--keep-state", "--checkpoint-every", "1")
    carry_out(*run, "name=whole")
    chance = random.Random(5)

    words = [*run, "name=night", "--if-exists", "resume", "--plugin", "./kills.py"]
    codes = [ended(doomed, words, chance.uniform(1, 6)) for _ in range(8)]
    assert set(codes) <= {0, -signal.SIGALRM} and -signal.SIGALRM in codes
    carry_out(*run, "name=night", "--if-exists", "resume")
    assert [folder.name for folder in sorted(Path("runs/pose").iterdir())] == ["night", "whole"]
    assert differences(ending(Path("runs/pose/whole")), ending(Path("runs/pose/night")), but=TIMES) == []


def test_a_finished_run_goes_on_with_more_epochs(here: Path, data: Path) -> None:
    carry_out(*RUN, f"data={data}", "workers=0", "--keep-state", "name=more")
    carry_out("resume", "runs/pose/more", f"epochs={EPOCHS + 1}")
    assert [row["epoch"].strip() for row in table(Path("runs/pose/more"))] == [str(n) for n in range(1, EPOCHS + 2)]
    carry_out("resume", "runs/pose/more")  # finished


def train_drop_in(overrides: dict[str, Any], kill_in: int | None = None) -> int:
    from trainer_pose import PoseTrainer

    trainer = PoseTrainer(overrides=overrides)

    def kill(trainer: Any) -> None:
        if trainer.epoch == kill_in:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.add_callback("on_train_batch_end", kill)
    trainer.train()
    return 0


def test_a_drop_in_class_resumes_exactly_from_the_state_next_to_last(here: Path, data: Path) -> None:
    import torch

    settings: dict[str, Any] = {
        "model": "yolo26n-pose.yaml",
        "data": str(data),
        "epochs": EPOCHS,
        "imgsz": 64,
        "batch": 4,
        "workers": 0,
        "plots": False,
        "project": str(here),
        "device": "cpu",
    }
    assert ended(train_drop_in, {**settings, "name": "whole"}) == 0
    assert ended(train_drop_in, {**settings, "name": "killed"}, 1) == -signal.SIGKILL
    weights = here / "killed" / "weights"
    assert json.loads((weights / "states.json").read_text())[-1]["epoch"] in {0, 1}  # the second may be on its way
    assert ended(train_drop_in, {"resume": str(weights / "last.pt")}) == 0
    a, b = (checkpoint_tensors(here / name / "weights" / "last.pt") for name in ("whole", "killed"))
    assert [key for key in a if not torch.equal(a[key], b[key])] == []
    assert table(here / "whole") == table(here / "killed")
    assert sorted(file.name for file in weights.iterdir()) == ["best.pt", "last.pt"]

"""Losses and gradients that are not finite: back to the last good state, or one line with the files of the batch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.support.command import command
from tests.support.recording_reporter import RecordingReporter
from tests.support.sample_datasets import pose_dataset
from tests.support.training import checkpoint_tensors
from trainer_host import LossError, run
from trainer_host.base.reporting import EpochReport

pytestmark = pytest.mark.train

POISON = """
import torch
from trainer_host import hookimpl

started = []

def start(trainer):
    started.append(trainer.epoch)

def poisoned():
    return {poisoned}

@hookimpl
def callbacks(ctx):
    return {{"on_train_batch_start": start, "on_train_epoch_end": lambda trainer: started.append(None)}}

@hookimpl
def loss_terms(ctx):
    weight = next(ctx.model.parameters())
    def term(preds, batch):
        if not started or started[-1] is None or not poisoned():
            return weight.sum() * 0
        return {value}
    return {{"poison": term}}
"""
LOSS, GRADIENT = "weight.sum() * float('nan')", "torch.sqrt((weight * 0).sum())"
SHORT = {"imgsz": 32, "batch": 2, "plots": False, "optimizer": "SGD", "model": "yolo11n-pose.yaml", "nbs": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("data"), images=6)


def poison(folder: Path, poisoned: str, value: str) -> str:
    file = folder / "poison.py"
    file.write_text(POISON.format(poisoned=poisoned, value=value))
    return str(file)


def is_finite(checkpoint: Path) -> bool:
    tensors = checkpoint_tensors(checkpoint).values()
    return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())


class RecordOfEpochs(RecordingReporter):
    """Reads the record of the run after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.recoveries: list[Any] = []

    def epoch(self, report: EpochReport) -> None:
        record = yaml.safe_load(Path("runs/pose/train/run.yaml").read_text())["record"]
        self.recoveries.append(record.get("recoveries", []))


@pytest.mark.smoke
def test_a_loss_that_is_lost_once_is_recovered_from(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    # The fifth batch that is started is the second one of the second epoch.
    reporter, file = RecordOfEpochs(), poison(tmp_path, "len([s for s in started if s is not None]) == 5", LOSS)
    result = run("pose", data=data, reporter=reporter, plugins=[file], epochs=3, **SHORT)
    assert result.epochs == 3
    record = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]
    (recovery,) = record["recoveries"]
    kept = result.save_dir / "not_finite" / "epoch2-batch2.pt"
    assert {k: recovery[k] for k in ("what", "epoch", "batch", "attempt", "kept")} == {
        "what": "loss",
        "epoch": 2,
        "batch": 2,
        "attempt": 1,
        "kept": str(kept),
    }
    assert len(recovery["files"]) == 2
    assert reporter.recoveries == [[], [recovery], [recovery]]  # a run that is killed later keeps it
    content = torch.load(kept, weights_only=True)
    assert content["im_file"] == recovery["files"]
    assert (content["what"], content["epoch"], content["batch"], content["img"].shape[0]) == ("loss", 2, 2, 2)
    with (result.save_dir / "results.csv").open() as rows:
        assert [row["epoch"] for row in csv.DictReader(rows)] == ["1", "2", "3"]
    assert result.last is not None
    assert is_finite(result.last)
    assert any("the loss is NaN or infinite in epoch 2, batch 2 (images: " in w for w in reporter.warnings)


@pytest.mark.parametrize(
    ("value", "what", "optimizer", "fix"),
    [
        (LOSS, "the loss is", "SGD", "lr0=0.001"),
        (GRADIENT, "the gradients are", "auto", "optimizer=AdamW lr0=0.0002"),
    ],
)
def test_in_the_first_epoch_there_is_nothing_to_go_back_to(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: None,
    value: str,
    what: str,
    optimizer: str,
    fix: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LossError) as caught:
        run("pose", data=data, plugins=[poison(tmp_path, "True", value)], epochs=2, **{**SHORT, "optimizer": optimizer})
    folder = tmp_path / "runs" / "pose" / "train"
    assert str(caught.value).startswith(f"{what} NaN or infinite in epoch 1, batch 1 (images: {data.parent}")
    assert f"the batch is kept in {folder / 'not_finite' / 'epoch1-batch1.pt'})." in str(caught.value)
    assert f"Fix: train with a lower learning rate: {fix}; or check the labels" in str(caught.value)
    assert list((folder / "weights").glob("*")) == []
    assert yaml.safe_load((folder / "run.yaml").read_text())["record"]["status"] == "loss not finite"


def test_attempts_are_limited(tmp_path: Path, data: Path) -> None:
    file = poison(tmp_path, "started[-1] == 1", GRADIENT)
    words = [f"{k}={v}" for k, v in SHORT.items()]
    done = command(
        "run", "--task", "pose", f"data={data}", "epochs=3", *words, "--plugin", file, "--json", cwd=tmp_path
    )
    assert done.code == 7, done.err
    assert done.problems[0].startswith("the gradients are NaN or infinite in epoch 2, batch 1 (images: ")
    assert "after 3 recoveries. Fix: train with a lower learning rate: lr0=0.001; or" in done.problems[0]
    assert [r["attempt"] for r in done.json["recoveries"]] == [1, 2, 3]
    assert done.json["not_finite"]["batch"] == 1
    folder = tmp_path / "runs" / "pose" / "train"
    record = yaml.safe_load((folder / "run.yaml").read_text())["record"]
    assert record["recoveries"] == done.json["recoveries"]
    weights = folder / "weights"
    assert is_finite(weights / "last.pt")
    assert is_finite(weights / "best.pt")

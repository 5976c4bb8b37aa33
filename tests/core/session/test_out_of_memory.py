"""A device that runs out of memory: smaller batches in the first epoch, one line with a batch that may fit later."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.recording_reporter import RecordingReporter
from tests.support.sample_datasets import pose_dataset
from trainer_host import MemoryExhaustedError, run

pytestmark = pytest.mark.train

FULL = """
import torch
from trainer_host import hookimpl

now = []

@hookimpl
def callbacks(ctx):
    def start(trainer):
        now.append((trainer.epoch, trainer.batch_size))
    return {{"on_train_batch_start": start, "on_train_epoch_end": lambda trainer: now.clear()}}

@hookimpl
def loss_terms(ctx):
    weight = next(ctx.model.parameters())
    def term(preds, batch):
        if now and {full}:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return weight.sum() * 0
    return {{"full": term}}
"""
SHORT = {"imgsz": 32, "batch": 4, "plots": False, "optimizer": "SGD", "model": "yolo11n-pose.yaml", "nbs": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("data"), images=8)


def full(folder: Path, when: str) -> str:
    file = folder / "full.py"
    file.write_text(FULL.format(full=when))
    return str(file)


def test_the_first_epoch_is_tried_in_smaller_batches(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    reporter, file = RecordingReporter(), full(tmp_path, "now[-1][1] > 2 and len(now) == 2")
    result = run("pose", data=data, reporter=reporter, plugins=[file], epochs=1, **SHORT)
    record = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]
    assert record["reduced_batch"] == 2
    told = "CPU out of memory with batch=4. Reducing to batch=2 and retrying (1/3)."
    assert sum(told in warning for warning in reporter.warnings) == 1


def test_later_epochs_end_with_a_batch_that_may_fit(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MemoryExhaustedError) as caught:
        run("pose", data=data, plugins=[full(tmp_path, "now[-1][0] == 1")], epochs=2, **SHORT)
    told = "CPU out of memory with batch=4 in epoch 2, batch 1. Fix: train with batch=2, or lower imgsz"
    assert str(caught.value) == told
    assert (tmp_path / "runs" / "pose" / "train" / "weights" / "last.pt").exists()


def test_the_batch_is_halved_three_times(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, engine: None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MemoryExhaustedError) as caught:
        run("pose", data=data, plugins=[full(tmp_path, "True")], epochs=2, **{**SHORT, "imgsz": 64, "batch": 8})
    assert str(caught.value) == "CPU out of memory with batch=1 in epoch 1, batch 1. Fix: lower imgsz"

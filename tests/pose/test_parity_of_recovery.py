"""Trainings that read checkpoints on their way: equal to the engine's, which loads them in full."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.sample_datasets import pose_dataset
from tests.support.training import differences, train

pytestmark = pytest.mark.train

SHORT = {"imgsz": 64, "batch": 8, "epochs": 3, "close_mosaic": 1, "workers": 0, "plots": False, "nbs": 16}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pose_dataset(tmp_path_factory.mktemp("pose"), images=16))


def compare(folder: Path, overrides: dict[str, Any], **job: Any) -> dict[str, Any]:
    stock = train("stock-pose", folder / "stock.pt", overrides, **job)
    ours = train("pose", folder / "ours.pt", overrides, **job)
    assert differences(stock, ours) == []
    return ours


def test_distillation_equals_the_engines(tmp_path: Path, data: str) -> None:
    from ultralytics import YOLO

    model = YOLO("yolo26n-pose.yaml").model
    model.args = {"task": "pose"}
    torch.save({"model": deepcopy(model).half(), "train_args": {"task": "pose"}}, tmp_path / "teacher.pt")
    overrides = {**SHORT, "epochs": 2, "data": data, "model": "yolo26n-pose.yaml"}
    ours = compare(tmp_path, {**overrides, "distill_model": str(tmp_path / "teacher.pt")})
    assert "dis_loss" in ours["names"]
    best = YOLO(next((tmp_path / "runs-ours").rglob("best.pt")))
    assert type(best.model).__name__ == "PoseModel", "the student alone remains"


def test_going_back_after_a_lost_loss_equals_the_engines(tmp_path: Path, data: str) -> None:
    overrides = {**SHORT, "data": data, "model": "yolo11n-pose.yaml"}
    compare(tmp_path, overrides, lost_in=1)
    compare(tmp_path, {**overrides, "optimizer": "AdamW"}, lost_in=2)


def test_a_resumed_training_equals_the_engines(tmp_path: Path, data: str) -> None:
    """From the same unfinished checkpoint, by `resume=` of the classes."""
    import shutil

    first = {**SHORT, "data": data, "model": "yolo11n-pose.yaml", "optimizer": "SGD", "save_period": 1}
    train("stock-pose", tmp_path / "first.pt", first)
    unfinished = next((tmp_path / "runs-first").rglob("epoch1.pt"))
    found = {}
    for who in ("stock-pose", "pose"):
        last = tmp_path / who / "last.pt"
        last.parent.mkdir()
        shutil.copy(unfinished, last)
        found[who] = train(who, tmp_path / f"{who}.pt", {"resume": str(last), "model": str(last)})
    assert differences(found["stock-pose"], found["pose"]) == []

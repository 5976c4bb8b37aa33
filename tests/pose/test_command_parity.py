"""``trainer run --exact`` against the engine's own command, each in a process of its own."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

from tests.support.command import TRAINER, process
from tests.support.sample_datasets import pose_dataset
from tests.support.training import checkpoint_tensors

STOCK = "import sys; from ultralytics.cfg import entrypoint; sys.argv[0] = 'yolo'; entrypoint()"


def settings(data: Path, folder: Path) -> list[str]:
    wanted = {"data": data, "imgsz": 64, "batch": 8, "epochs": 2, "seed": 5, "plots": False, "cos_lr": True}
    return [f"{k}={v}" for k, v in wanted.items()] + [f"project={folder}", "name=run"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run" / "results.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(file)]


@pytest.mark.train
@pytest.mark.parametrize("start", ["yaml", "pt"])
def test_exact_equals_the_engines_command(tmp_path: Path, start: str) -> None:
    data = pose_dataset(tmp_path / "data", images=12)
    model = "yolo11n-pose.yaml"
    if start == "pt":
        from ultralytics import YOLO

        model = str(tmp_path / "start.pt")
        YOLO("yolo11n-pose.yaml").save(model)
    stock = [sys.executable, "-c", STOCK, "pose", "train", *settings(data, tmp_path / "stock"), f"model={model}"]
    ours = [*TRAINER, "run", "--exact", "--task", "pose", "--json"]
    for words in (stock, [*ours, *settings(data, tmp_path / "ours"), f"model={model}"]):
        done = process(*words, cwd=tmp_path)
        assert done.code == 0, done.err[-2000:]
    result = json.loads(done.out)
    assert result["status"] == "done"
    assert rows(tmp_path / "stock") == rows(tmp_path / "ours")
    for name in ("best.pt", "last.pt"):
        a = checkpoint_tensors(tmp_path / "stock" / "run" / "weights" / name)
        b = checkpoint_tensors(tmp_path / "ours" / "run" / "weights" / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(v, b[k]) for k, v in a.items())

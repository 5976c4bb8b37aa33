"""The host's trainers against the engine's own, each in a process of its own: equal to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sample_datasets import detect_dataset, pose_dataset, real_dataset
from tests.support.training import differences, train

pytestmark = pytest.mark.train

WRAPPER = """
from trainer_host import hookimpl

@hookimpl(wrapper=True)
def build_optimizer(ctx):
    return (yield)

@hookimpl(wrapper=True)
def preprocess_batch(ctx, batch):
    return (yield)
"""
SHORT = {"imgsz": 64, "batch": 8, "epochs": 2, "close_mosaic": 1, "workers": 0, "plots": False}
# Warm-up ends after the first of these epochs, gradients are accumulated over 64 / 16 batches, mosaic is on and closed.
FULL = {"imgsz": 96, "batch": 16, "epochs": 4, "close_mosaic": 2, "warmup_epochs": 1, "nbs": 64, "workers": 0}


def compare(task: str, folder: Path, overrides: dict[str, Any], **job: Any) -> dict[str, Any]:
    shared = {k: v for k, v in job.items() if k != "plugins"}
    stock = train(f"stock-{task}", folder / "stock.pt", overrides, **shared)
    ours = train(task, folder / "ours.pt", overrides, **job)
    assert differences(stock, ours) == []
    return ours


@pytest.fixture(scope="module")
def pose_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pose_dataset(tmp_path_factory.mktemp("pose"), images=20))


@pytest.fixture(scope="module")
def detect_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(detect_dataset(tmp_path_factory.mktemp("detect"), images=20))


@pytest.mark.smoke
def test_pose_equals_stock(tmp_path: Path, pose_data: str) -> None:
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(WRAPPER)
    overrides = {**SHORT, "data": pose_data, "model": "yolo11n-pose.yaml", "optimizer": "SGD", "nbs": 16}
    ours = compare("pose", tmp_path, overrides, plugins=[str(wrapper)])
    assert ours["names"] == ["box_loss", "pose_loss", "kobj_loss", "cls_loss", "dfl_loss"]


@pytest.mark.smoke
def test_detect_equals_stock(tmp_path: Path, detect_data: str) -> None:
    overrides = {**SHORT, "data": detect_data, "model": "yolo26n.yaml", "multi_scale": 0.5, "cls_pw": 0.5, "seed": 3}
    compare("detect", tmp_path, overrides)


def test_a_time_limit_equals_stock(tmp_path: Path, detect_data: str) -> None:
    # 36 s: the third epoch is cut short, which the first one does not know yet.
    overrides = {**SHORT, "epochs": 9, "data": detect_data, "model": "yolo11n.yaml", "time": 0.01, "cos_lr": True}
    ours = compare("detect", tmp_path, overrides, seconds_per_batch=5.0)
    assert ours["epochs"] == 3


def test_another_seed_differs(tmp_path: Path, pose_data: str) -> None:
    overrides = {**SHORT, "epochs": 1, "data": pose_data, "model": "yolo11n-pose.yaml"}
    one = train("pose", tmp_path / "one.pt", {**overrides, "seed": 0})
    other = train("pose", tmp_path / "other.pt", {**overrides, "seed": 1})
    assert differences(one, other)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Weights to start from, saved as the engine saves them: real ones cannot be had without a network."""
    from ultralytics import YOLO

    folder = tmp_path_factory.mktemp("weights")
    made = {}
    for name in ("yolo11n-pose", "yolo26n-pose", "yolo11n", "yolo26n"):
        made[name] = str(folder / f"{name}.pt")
        YOLO(f"{name}.yaml").save(made[name])
    return made


@pytest.fixture(scope="module")
def real_pose(tmp_path_factory: pytest.TempPathFactory) -> str:
    """At least 100 images: the real ones where they are, else the drawn ones."""
    folder = tmp_path_factory.mktemp("real")
    try:
        return str(real_dataset("mouse-openfield", folder))
    except pytest.skip.Exception:
        return str(pose_dataset(folder / "drawn", images=110))


OPTIMIZERS = ("SGD", "AdamW", "MuSGD")
VARIANTS: list[dict[str, Any]] = [
    {"plots": True},
    {"rect": True},
    {"cls_pw": 0.5},
    {"multi_scale": 0.5},
    {"single_cls": True},
    {"wrap": True, "optimizer": "auto"},
    {"freeze": 3, "cos_lr": True, "fraction": 0.5},
]


@pytest.mark.parity
@pytest.mark.parametrize("start", ["yaml", "pt"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", ["yolo11n-pose", "yolo26n-pose", "yolo11n", "yolo26n"])
def test_parity_of_optimizers(
    tmp_path: Path, real_pose: str, weights: dict[str, str], model: str, optimizer: str, start: str
) -> None:
    task = "pose" if model.endswith("-pose") else "detect"
    chosen = weights[model] if start == "pt" else f"{model}.yaml"
    compare(task, tmp_path, {**FULL, "data": real_pose, "model": chosen, "optimizer": optimizer, "plots": False})


@pytest.mark.parity
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(f"{k}={x}" for k, x in v.items()))
@pytest.mark.parametrize("model", ["yolo26n-pose", "yolo11n"])
def test_parity_of_settings(tmp_path: Path, real_pose: str, model: str, variant: dict[str, Any]) -> None:
    task = "pose" if model.endswith("-pose") else "detect"
    settings = {k: v for k, v in variant.items() if k != "wrap"}
    job = {}
    if variant.get("wrap"):
        (tmp_path / "wrapper.py").write_text(WRAPPER)
        job = {"plugins": [str(tmp_path / "wrapper.py")]}
    overrides = {"plots": False, **FULL, "data": real_pose, "model": f"{model}.yaml", "optimizer": "SGD", **settings}
    compare(task, tmp_path, overrides, **job)

"""Settings that depend on the machine or the model: refused in one line where the engine fails or passes over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import trainer_host
from tests.support.command import command
from tests.support.yolo_datasets import make
from trainer_host import SettingsError
from trainer_host.engine.ultralytics import device_settings
from trainer_host.engine.ultralytics import settings_validation as transforms
from trainer_host.engine.ultralytics.device_settings import refuse_device
from trainer_host.engine.ultralytics.freeze_setting import refuse_freeze
from trainer_host.engine.ultralytics.settings_validation import wrong_augmentations
from trainer_host.engine.ultralytics.training_engine import _size_text

QUICK: dict[str, Any] = {"model": "yolo11n.yaml", "imgsz": 32, "epochs": 1, "batch": 2, "plots": False, "val": False}


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpus))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize("device", ["cuda", "cuda:9", "CUDA:0", "0", 0, -1, "-1", [0]])
def test_a_device_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    machine(monkeypatch, 0)
    with pytest.raises(SettingsError, match=r"Fix: remove it, or write device=cpu$"):
        refuse_device(device)
    machine(monkeypatch, 1, mps=True)
    refuse_device(device)


@pytest.mark.parametrize("device", ["tpu", "intel:gpu", "vulkan", "cpu:0", "foo", "meta", 1.5, True, "cuda:x"])
def test_a_device_that_is_unknown_is_refused(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    machine(monkeypatch, 1, mps=True)
    with pytest.raises(SettingsError, match="unknown device"):
        refuse_device(device)


@pytest.mark.parametrize(
    "device", [None, "", "cpu", "CPU", "None", [], ["cpu"], "npu:0", "xpu", torch.device("cpu"), "0,1"]
)
def test_other_devices_are_left_to_the_engine(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    machine(monkeypatch, 0)
    refuse_device(device)


class Transform:
    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("value", ["x", ["x"], [1], {"p": 1}, [{"p": 1}], [Transform(), "x"], Transform(), True])
def test_augmentations_are_transforms(value: Any) -> None:
    assert "are not transforms of albumentations" in str(wrong_augmentations(value)[0])


def test_augmentations_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, [], [Transform()], [{"__class_fullname__": "Blur"}]):
        monkeypatch.setattr(transforms, "find_spec", lambda name: name)
        assert wrong_augmentations(value) == []
        monkeypatch.setattr(transforms, "find_spec", lambda name: None)
        if value:
            assert "pip install albumentations" in str(wrong_augmentations(value)[0])


class Model(nn.Module):
    """Three layers, of which the second has no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        (
            3,
            "freeze=3 leaves nothing to train; the model has 3 layers, 0 to 2. Fix: freeze fewer layers",
        ),
        (100, "freeze=100 leaves nothing to train"),
        ([0, 2], "freeze=[0,2] leaves nothing to train"),
        ([100], "freeze=[100]: unknown layer 100; the model has 3 layers, 0 to 2. Fix: name layers"),
        (("2.cv2", 0, 7), "unknown layer 2.cv2, 7;"),
    ],
)
def test_layers_to_freeze_are_those_of_the_model(freeze: Any, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        refuse_freeze(freeze, Model())
    assert said in str(refused.value)


@pytest.mark.parametrize("freeze", [None, 0, 1, 2, [1], [0, 1], ["2"]])
def test_layers_that_leave_some_to_train_pass(freeze: Any) -> None:
    refuse_freeze(freeze, Model())


def test_a_model_without_numbered_layers_has_none_to_freeze() -> None:
    refuse_freeze(0, nn.Linear(2, 2))
    with pytest.raises(SettingsError, match="no numbered layers"):
        refuse_freeze(1, nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("imgsz", "text"),
    [
        (64, "64 px"),
        ([64, 64], "64 px"),
        ([64, 96], "96 px (the larger of imgsz=[64,96]: training takes one size)"),
        (33, "33 px (rounded up to a multiple of the model's stride)"),
    ],
)
def test_the_size_is_the_one_that_is_trained_at(imgsz: Any, text: str) -> None:
    assert _size_text(imgsz) == text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"freeze": 24}, "freeze=24 leaves nothing to train; the model has 24 layers, 0 to 23."),
        ({"freeze": [99]}, "unknown layer 99"),
        ({"amp": "bf16"}, "amp=bf16 needs a GPU or a processor"),
        ({"device": "tpu"}, "device=tpu: unknown device."),
        ({"augmentations": ["x"]}, "augmentations=['x'] are not transforms"),
        ({"batch": 3}, "the last batch of an epoch has one image, too few at this imgsz."),
    ],
)
def test_a_run_refuses_them_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], said: str
) -> None:
    if "amp" in settings and torch.cuda.is_available():
        pytest.skip("a GPU may do it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(device_settings, "processor_features", frozenset)  # as of one that has not even bfloat16
    with pytest.raises(SettingsError) as refused:
        trainer_host.run("detect", data=make(tmp_path / "data", 4), **{**QUICK, **settings})
    assert said in str(refused.value)
    assert not [f for f in Path("runs").rglob("*") if f.is_file()]


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    data = make(tmp_path / "data", 4)
    words = [f"{key}={value}" for key, value in QUICK.items()]
    done = command("run", "--task", "detect", f"data={data}", *words, "freeze=24", cwd=tmp_path)
    assert done.code == 3
    assert len(done.problems) == 1
    assert "Traceback" not in done.err


@pytest.mark.train
def test_a_trained_model_has_no_automatic_batch_and_no_other_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    data = make(tmp_path / "data", 4)
    model = trainer_host.run("detect", data=data, **QUICK).last
    assert model is not None
    source = data.parent / "images" / "val"
    for settings, said in (
        ({"batch": -1}, "batch=-1 is not valid"),
        ({"batch": 0.5}, "batch=0.5 is not valid"),
        ({"device": "tpu"}, "device=tpu: unknown device"),
        ({"classes": [0, 7]}, "has no class 7. Fix: choose from 0 (one), 1 (two)"),
    ):
        for evaluate in (lambda s: trainer_host.val(model, **s), lambda s: trainer_host.predict(model, source, **s)):
            with pytest.raises(SettingsError) as refused:
                evaluate(settings)
            assert said in str(refused.value)
    with pytest.raises(SettingsError, match="split=foo is not valid"):
        trainer_host.val(model, split="foo")
    assert trainer_host.predict(model, source, classes=[1]).predictions

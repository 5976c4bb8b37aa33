"""The Python API: a run leaves the process as it found it, and a second run equals one in a fresh process."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trainer_host
from tests.support.command import python
from tests.support.sample_datasets import pose_dataset
from tests.support.training import checkpoint_tensors

SETTINGS: dict[str, Any] = {"model": "yolo11n-pose.yaml", "imgsz": 32, "epochs": 1, "batch": 4, "plots": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("data"), images=8)


def snapshot() -> dict[str, Any]:
    from ultralytics.nn.modules.conv import Conv
    from ultralytics.utils import LOGGER, callbacks

    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "threads": torch.get_num_threads(),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "signals": (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)),
        "logging": (LOGGER.level, LOGGER.handlers[:], logging.getLogger().handlers[:]),
        "warnings": warnings.filters[:],
        "callbacks": {k: v[:] for k, v in callbacks.default_callbacks.items()},
        "activation": Conv.default_act,
    }


@pytest.mark.train
def test_a_run_restores_the_process_and_a_second_equals_a_fresh_one(data: Path, tmp_path: Path) -> None:
    import ultralytics.utils.plotting  # noqa: F401  importing the engine is what a run may leave behind

    torch.manual_seed(7)
    before = snapshot()
    first = trainer_host.run("pose", data=data, project=tmp_path, **SETTINGS)
    assert snapshot() == before
    with pytest.raises(trainer_host.DatasetError):
        trainer_host.run("pose", data=tmp_path / "missing.yaml", project=tmp_path, **SETTINGS)
    assert snapshot() == before
    random.random()
    torch.rand(3)
    second = trainer_host.run("pose", data=data, project=tmp_path, **SETTINGS)
    fresh = in_a_fresh_process(data, tmp_path)
    assert first.best and second.best
    one, two, three = (checkpoint_tensors(p) for p in (first.best, second.best, fresh))
    assert all(torch.equal(v, two[k]) and torch.equal(v, three[k]) for k, v in one.items())
    assert first.metrics == second.metrics
    assert first.epochs == 1
    assert first.save_dir != second.save_dir


def in_a_fresh_process(data: Path, folder: Path) -> Path:
    settings = {**SETTINGS, "data": str(data), "project": str(folder)}
    code = f"import trainer_host; print(trainer_host.run('pose', **{settings!r}).best)"
    return Path(python(code).strip().splitlines()[-1])


@pytest.mark.train
def test_val_and_predict_restore_the_chain(data: Path, tmp_path: Path) -> None:
    trained = trainer_host.run("pose", data=data, project=tmp_path, **SETTINGS)
    assert trained.best
    measured = trainer_host.val(trained.best, project=tmp_path)
    assert measured.task == "pose"
    expected = {k: v for k, v in trained.metrics.items() if k.startswith("metrics/")}
    assert {k: measured.metrics[k] for k in expected} == expected
    found = tmp_path / "found.json"
    images = data.parent / "images" / "val"
    result = trainer_host.predict(trained.best, images, outputs=[found], conf=0.0001, max_det=2, project=tmp_path)
    assert json.loads(found.read_text()) == result.predictions
    assert len(result.predictions) == 8
    objects = [o for p in result.predictions for o in p["objects"]]
    names = [k["name"] for k in objects[0]["keypoints"]]
    import yaml

    assert names == yaml.safe_load(data.read_text())["kpt_names"][0]


def test_errors_are_the_documented_ones(tmp_path: Path) -> None:
    with pytest.raises(trainer_host.SettingsError, match="Did you mean 'epochs'"):
        trainer_host.run("pose", epoch=3)
    with pytest.raises(trainer_host.PluginError, match="Did you mean 'pose'"):
        trainer_host.run("pse")
    with pytest.raises(trainer_host.SettingsError, match="not found"):
        trainer_host.predict(tmp_path / "none.pt", tmp_path)


def test_plugins_lists_the_built_in_tasks() -> None:
    found = {r.name: r for r in trainer_host.plugins()}
    assert found["pose"].kind == "task"
    assert found["pose"].state == "available"
    off = {r.name: r for r in trainer_host.plugins(disabled=["pose"])}
    assert (off["pose"].state, off["detect"].state) == ("disabled", "available")

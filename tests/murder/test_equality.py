"""Trainings of every kind that are killed twice: each ends with the bits of the one that was not."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.murder.murder import WITHIN_EPOCHS, Death, prepare, survives, undisturbed
from tests.support.command import ROOT
from tests.support.sample_datasets import detect_dataset
from trainer_host import LoaderContext, hookimpl

DEATHS = (Death("kill", 0.55), Death("kill", 0.2))


class FewerWorkers:
    """Loads with two workers on a CPU too, and with one once the run is resumed."""

    @hookimpl(wrapper=True)
    def build_dataloader(self, ctx: LoaderContext, dataset: Any) -> Generator[None, Any, Any]:
        """Return the engine's loader with workers for training."""
        from ultralytics.data import build_dataloader

        loader = yield
        if ctx.mode != "train":
            return loader
        resumed = any(Path.cwd().rglob("state-*.pt"))  # the working folder is that of the one training
        loader = build_dataloader(dataset, batch=ctx.batch_size, workers=1 if resumed else 2, device=ctx.device)
        assert loader.num_workers == 1 + (not resumed)
        return loader


EARLY = {"epochs": 9, "patience": 1, "best_metric": "min:val/pose_loss"}
KINDS: dict[str, dict[str, Any]] = {
    "AdamW, images in memory": {"optimizer": "AdamW", "multi_scale": 0.5, "cos_lr": True, "cache": "ram"},
    "MuSGD, fewer workers": {"optimizer": "MuSGD", "cls_pw": 0.5, "warmup_epochs": 1, "plugins": [FewerWorkers()]},
    "end to end": {"model": "yolo26n-pose.yaml"},
    "SGD, early stopping": {**EARLY, "optimizer": "SGD", "lr0": 0.5},
    "exact": {"exact": True, "close_mosaic": 2},
    "exact, images in memory": {"exact": True, "cache": "ram", "optimizer": "SGD"},
}
"""Settings that keep a state of their own, where they do not meet two to a training."""


@pytest.mark.train
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_ends_the_same(tmp_path: Path, kind: str) -> None:
    prepare(tmp_path)
    assert survives(tmp_path, "killed", undisturbed(tmp_path, {**WITHIN_EPOCHS, **KINDS[kind]}), *DEATHS) == []


@pytest.mark.train
def test_detect(tmp_path: Path) -> None:
    prepare(tmp_path)
    data = detect_dataset(tmp_path / "boxes", 10)
    whole = undisturbed(tmp_path, {**WITHIN_EPOCHS, "task": "detect", "model": "yolo26n.yaml", "data": str(data)})
    assert survives(tmp_path, "killed", whole, *DEATHS) == []


def package(name: str, monkeypatch: pytest.MonkeyPatch, module: str) -> Any:
    """Import a module of an example package that need not be installed."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "contract" / "packages" / name)
    return importlib.import_module(module)


@pytest.mark.train
def test_an_extension_with_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    plateau = package("trainer-plateau", monkeypatch, "trainer_plateau").EXTENSION
    options = {"plateau": {"patience": 1, "factor": 0.5}}
    whole = undisturbed(tmp_path, {**WITHIN_EPOCHS, "plugins": [plateau], "options": options})
    assert survives(tmp_path, "killed", whole, *DEATHS) == []
    assert whole.ending["state"]["plugins"]["states"]


@pytest.mark.train
@pytest.mark.parametrize("exact", [False, True])
def test_a_task_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    prepare(tmp_path)
    task = package("trainer-heatmap", monkeypatch, "trainer_heatmap.task").TASK
    whole = undisturbed(tmp_path, {**WITHIN_EPOCHS, "task": task, "model": None, "data": None, "exact": exact})
    assert survives(tmp_path, "killed", whole, *DEATHS) == []

"""Trainings at the default settings: the weights do not depend on the number of workers."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer_host
from tests.support.sample_datasets import pose_dataset
from tests.support.training import checkpoint_tensors
from trainer_host import LoaderContext, hookimpl

SETTINGS: dict[str, Any] = {
    "model": "yolo11n-pose.yaml",
    "imgsz": 32,
    "epochs": 2,
    "batch": 4,
    "close_mosaic": 1,
    "multi_scale": 0.5,
    "plots": False,
    "val": False,
}


class Workers:
    """Loads with workers on a CPU too, where the engine uses none.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    @hookimpl(wrapper=True)
    def build_dataloader(self, ctx: LoaderContext, dataset: Any) -> Generator[None, Any, Any]:
        """Return the engine's loader with workers for training."""
        from ultralytics.data import build_dataloader

        loader = yield
        if ctx.mode != "train":
            return loader
        return build_dataloader(dataset, batch=ctx.batch_size, workers=self.count, device=ctx.device)


@pytest.mark.train
def test_the_weights_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=20)
    found = []
    for count in (0, 2):
        outcome = trainer_host.run("pose", data=data, project=tmp_path, plugins=[Workers(count)], **SETTINGS)
        assert outcome.best
        found.append(checkpoint_tensors(outcome.best))
    alone, with_workers = found
    assert all(torch.equal(tensor, with_workers[name]) for name, tensor in alone.items())
    exact = trainer_host.run("pose", data=data, project=tmp_path, exact=True, **SETTINGS)
    assert exact.best
    assert not all(torch.equal(tensor, alone[name]) for name, tensor in checkpoint_tensors(exact.best).items())

"""What the trainer of one of several processes does with devices, each by itself."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.ranks.test_parts import Alone
from trainer_host.base.errors import MemoryExhaustedError
from trainer_host.engine.ultralytics.joint_setup import JointSetup
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.reimplemented.training_batch import compute
from trainer_host.engine.ultralytics.trainer_data import DataTrainer


class Outvoted(Alone):
    """A process whose others set every flag."""

    def any(self, flag: bool) -> bool:
        return True


def trainer_of(group: Any, **attributes: Any) -> Any:
    usual = {
        "host_run": SimpleNamespace(group=group, options=SimpleNamespace(sync_bn=None), drop_in=False),
        "device": torch.device("cpu"),
        "model": nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        "optimizer": None,
        "freeze_layer_names": [],
        "batch_size": 8,
        "amp": True,
        "scaler": torch.amp.GradScaler("cpu", enabled=True),
        "args": SimpleNamespace(amp=True),
        "loop": LoopState(0),
        "start_epoch": 0,
    }
    return SimpleNamespace(**{**usual, **attributes})


@pytest.mark.parametrize(("group", "stays"), [(Alone(0, 2), True), (Outvoted(0, 2), False)])
def test_mixed_precision_is_off_if_it_is_off_in_any_process(group: Any, stays: bool) -> None:
    trainer = trainer_of(group)
    JointSetup(trainer).before_pipeline()
    assert trainer.amp is stays
    assert trainer.scaler.is_enabled() is stays


@pytest.mark.parametrize(("frozen", "wanted", "said"), [([], None, 1), (["1"], None, 0), ([], False, 0)])
def test_batch_norms_on_a_cpu_are_warned_of_if_they_train(
    monkeypatch: pytest.MonkeyPatch, frozen: list[str], wanted: Any, said: int
) -> None:
    trainer = trainer_of(Alone(0, 2), freeze_layer_names=frozen)
    trainer.host_run.options.sync_bn = wanted
    found: list[str] = []
    monkeypatch.setattr("trainer_host.engine.ultralytics.joint_setup.LOGGER.warning", found.append)
    JointSetup(trainer).before_pipeline()
    assert len(found) == said


def test_a_process_that_lacks_memory_among_synchronised_batch_norms_ends_at_once() -> None:
    def lack(_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    batch = SimpleNamespace(begin=lambda _: None, forward=nullcontext)
    ranks = SimpleNamespace(batch=batch, setup=SimpleNamespace(synchronised=True))
    trainer = trainer_of(Alone(0, 2), ranks=ranks, preprocess_batch=lack, device=torch.device("cpu"), amp=False)
    with pytest.raises(MemoryExhaustedError, match="out of memory with batch=8 in epoch 1"):
        compute(trainer, 0, {})


@pytest.mark.parametrize(("device", "mode", "size"), [("cuda", "val", 6), ("cpu", "val", 16), ("cuda", "train", 16)])
def test_a_process_evaluates_batches_for_which_it_has_memory(device: str, mode: str, size: int) -> None:
    asked: list[int] = []

    def build(path: Any, mode: str, batch: int) -> None:
        asked.append(batch)
        raise InterruptedError

    trainer = trainer_of(Alone(0, 3), device=torch.device(device), build_dataset=build)
    with pytest.raises(InterruptedError):
        DataTrainer.get_dataloader(trainer, "images", 16, mode=mode)
    assert asked == [size]

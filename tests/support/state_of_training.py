"""Trainings whose state is captured at a point, and trainings that go on from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from trainer_host.engine.packed_state import packed, unpacked
from trainer_host.engine.state_files import StateEntry
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.state_saving import StateSaver
from trainer_host.engine.ultralytics.training_state import capture


def copied(content: Any) -> Any:
    return unpacked(packed(content))


class Kept:
    """State files that keep the state of one position in memory."""

    def __init__(self, epoch: int | None) -> None:
        self.epoch = epoch
        self.content: dict[str, Any] = {}

    entries: tuple[Any, ...] = ()

    def wait(self) -> None:
        return None

    def raise_failure(self) -> None:
        return None

    def remove(self) -> None:
        return None  # the test compares it

    def start_writing(self, content: dict[str, Any], *, epoch: int, batch: int, phase: str) -> StateEntry:
        if (epoch, batch) == (self.epoch, 0):
            self.content = copied(content)
        return StateEntry("state-0000-000000.pt", "", 0, epoch, batch, phase)


class Reached(Exception):
    """The training reached the point that a test needs."""


def learned(trainer: Any) -> dict[str, Any]:
    """Return copies of the tensors of a training, by name."""
    found = {f"model.{k}": v.clone() for k, v in trainer.model.state_dict().items()}
    found |= {f"ema.{k}": v.clone() for k, v in trainer.ema.ema.state_dict().items()}
    for index, slots in trainer.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{k}": torch.as_tensor(v).clone() for k, v in slots.items()}
    return found


def rows(trainer: Any) -> list[list[str]]:
    """Return the rows of ``results.csv`` without the time."""
    return [line.split(",")[:1] + line.split(",")[2:] for line in trainer.csv.read_text().splitlines()]


def train(kind: Any, overrides: dict[str, Any], at: int | None = None, after: Any = None) -> dict[str, Any]:
    """Train, and return what it learned.

    Args:
        kind: The class of the trainer.
        overrides: Its settings.
        at: The epoch, counted from 1, at whose end the state is captured.
        after: A state to go on from.
    """
    trainer, kept = kind(overrides=overrides), Kept(at)
    trainer.saver = StateSaver(kept, content=after)
    found: dict[str, Any] = {}

    def end_of_epoch(trainer: Any) -> None:
        if not trainer.own.metric_log.final and trainer.epoch + 1 == trainer.epochs:
            found["learned"] = learned(trainer)

    trainer.add_callback("on_fit_epoch_end", end_of_epoch)
    trainer.train()
    return {**found, "state": kept.content, "trainer": trainer, "rows": rows(trainer)}


def at_batch(kind: Any, overrides: dict[str, Any], batch: int) -> dict[str, Any]:
    """Train until a batch of the first epoch is done, and return the state there."""
    trainer = kind(overrides=overrides)
    found: dict[str, Any] = {"done": 0}

    def count(trainer: Any) -> None:
        found["done"] += 1
        if found["done"] == batch:
            trainer.loop = LoopState(0, batch, last_opt_step=batch - 2)
            found["state"] = copied(capture(trainer))
            raise Reached

    trainer.add_callback("on_train_batch_end", count)
    _until_reached(trainer)
    state: dict[str, Any] = found["state"]
    return state


def set_up(kind: Any, overrides: dict[str, Any], use: Callable[[Any], Any]) -> Any:
    """Set a training up, and return what a function makes of the trainer before the first epoch."""
    trainer = kind(overrides=overrides)
    found = []

    def reached(trainer: Any) -> None:
        trainer.loop = LoopState(0)
        found.append(use(trainer))
        raise Reached

    trainer.add_callback("on_train_start", reached)
    _until_reached(trainer)
    return found[0]


def _until_reached(trainer: Any) -> None:
    try:
        trainer.train()
    except Reached:
        return
    raise AssertionError("the training ended before the point")

"""When the state of a training is saved, and when a request ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainer_host.base.signals import StopRequest
from trainer_host.engine.process_group import SingleProcess
from trainer_host.engine.ultralytics import state_saving
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.not_finite import NotFiniteError, require_finite_weights
from trainer_host.engine.ultralytics.state_saving import StateSaver, TrainingInterrupted


class Files:
    """State files that only note what is written."""

    def __init__(self) -> None:
        self.written: list[tuple[int, str]] = []

    entries: tuple[Any, ...] = ("earlier",)

    def wait(self) -> None:
        return None

    def raise_failure(self) -> None:
        return None

    def start_writing(self, content: Any, *, epoch: int, batch: int, phase: str) -> Any:
        self.written.append((batch, phase))
        return SimpleNamespace(file=f"state-{batch}.pt")

    def newest(self, entries: Any) -> Any:
        return list(entries)[-1] if entries else None


class Training:
    """A training whose batches take two seconds each, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        monkeypatch.setattr(state_saving, "capture", lambda trainer, generators, plugins: {"generators": generators})
        monkeypatch.setattr(state_saving, "plugin_states", lambda trainer: {"counter": {"seen": 1}})
        self.now, self.files, self.stop = 0.0, Files(), StopRequest()
        self.saver = StateSaver(self.files, self.stop, clock=lambda: self.now, **options)  # type: ignore[arg-type]
        model = torch.nn.Linear(2, 1)
        self.trainer: Any = SimpleNamespace(
            loop=LoopState(0),
            host_run=SimpleNamespace(drop_in=False, chain=None, group=SingleProcess()),
            ranks=None,
            context=lambda _: None,
            stop=False,
            train_time_start=0.0,
            device=torch.device("cpu"),
            model=model,
            ema=SimpleNamespace(ema=model),
            scaler=SimpleNamespace(is_enabled=lambda: False),
            add_callback=lambda *_: None,
        )
        self.saver.begin(self.trainer)

    def batches(self, count: int) -> list[int]:
        for _ in range(count):
            self.now += 2
            self.trainer.loop.batch += 1
            self.saver.after_batch(self.trainer)
        return [batch for batch, _ in self.files.written]


def test_by_default_no_batch_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    assert training.batches(9) == []
    training.saver.after_epoch(training.trainer)
    assert len(training.files.written) == 1


def test_an_interval_counts_batches_or_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Training(monkeypatch, batches=3).batches(7) == [3, 6]
    assert Training(monkeypatch, seconds=5.0).batches(7) == [3, 6]


def test_after_the_last_batch_of_an_epoch_or_the_training_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch, batches=1)
    assert training.saver.after_batch(training.trainer, more=False) is False
    training.trainer.stop = True
    assert training.saver.after_batch(training.trainer) is True
    assert training.files.written == []


def test_a_request_to_save_is_met_once(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    training.batches(1)
    training.stop.save_requested = True
    assert training.batches(3) == [2]


def test_a_request_to_stop_ends_with_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    assert training.stop.waits  # from here on, and not for a loop that asks no saver
    training.stop.requested = True
    with pytest.raises(TrainingInterrupted):
        training.batches(3)
    assert training.files.written == [(1, "batches")]


def test_a_validation_that_is_cut_short_is_saved_with_the_generators_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    training.saver.before_validation(training.trainer)
    assert training.files.written == []
    training.stop.requested = True
    with pytest.raises(TrainingInterrupted):
        training.saver.during_validation(None)
    training.trainer.loop.phase = "validation"
    training.saver.interrupted_validation(training.trainer)
    assert training.files.written == [(0, "validation")]


def test_the_first_state_precedes_the_first_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    training.files.entries = ()
    training.trainer.loop.phase = "validation"
    training.saver.before_validation(training.trainer)
    assert training.files.written == [(0, "validation")]


def test_without_files_a_request_still_ends_the_training() -> None:
    stop = StopRequest()
    saver = StateSaver(None, stop)
    stop.requested = True
    with pytest.raises(TrainingInterrupted):
        saver.after_batch(SimpleNamespace(stop=False))  # type: ignore[arg-type]
    assert saver.last_good() is None


@pytest.mark.parametrize(("part", "what"), [("weight", "weights"), ("grad", "gradients")])
def test_what_is_not_finite_is_not_saved(monkeypatch: pytest.MonkeyPatch, part: str, what: str) -> None:
    training = Training(monkeypatch, batches=1)
    weight = training.trainer.model.weight
    weight.grad = torch.zeros_like(weight)
    (weight if part == "weight" else weight.grad).data[0, 1] = float("inf")
    with pytest.raises(NotFiniteError, match=what):
        training.batches(1)
    assert training.files.written == []


def test_large_values_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(monkeypatch)
    training.trainer.model.weight.data.fill_(3e38)  # their sum is infinite
    require_finite_weights(training.trainer)

"""The number of threads of a training on a CPU: found, fixed, recorded, repeated, and resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import trainer_host
from tests.support.training import checkpoint_tensors
from tests.support.warm_processes import ended
from trainer_host import hookimpl
from trainer_host.engine.process_state import THREADS
from trainer_host.engine.ultralytics import thread_search
from trainer_host.engine.ultralytics.thread_search import ThreadSearch

TINY: dict[str, Any] = {"epochs": 2, "imgsz": 64, "batch": 4, "plots": False, "seed": 1}


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = content_of(folder)["record"]
    return record


def content_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "run.yaml").read_text())
    return found


class Stopped(Exception):
    """The training has gone as far as a test wants."""


class Clock:
    """A clock on which two threads take half as long as one."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0 / torch.get_num_threads()
        return self.now


class Watch:
    """Notes the number of threads of each batch and validation.

    Args:
        last: The batch at which the training fails.
    """

    def __init__(self, last: int = 1000) -> None:
        self.batches: list[int] = []
        self.validations: list[int] = []
        self.last, self.searched = last, False

    @hookimpl
    def callbacks(self) -> dict[str, Any]:
        return {
            "on_train_start": self.begin,
            "on_train_batch_start": self.start,
            "on_train_batch_end": self.batch,
            "on_val_batch_start": self.validation,
        }

    def begin(self, trainer: Any) -> None:
        if trainer.threads is not None:
            trainer.threads = ThreadSearch(trainer.threads.number, clock=Clock(), free=lambda: None)

    def start(self, trainer: Any) -> None:
        if len(self.batches) == self.last:
            raise Stopped

    def batch(self, trainer: Any) -> None:
        self.searched |= trainer.threads is not None
        self.batches.append(torch.get_num_threads())

    def validation(self, _: Any) -> None:
        self.validations.append(torch.get_num_threads())


def trainings() -> int:
    """Train with a number that is found, again from the record, with a fixed one, and on from a state."""
    thread_search.usable_cores = lambda: 2  # type: ignore[attr-defined]
    os.environ.pop(THREADS, None)
    torch.set_num_threads(3)  # the program's own

    watch = Watch()
    found = trainer_host.run("pose", name="found", plugins=[watch], **TINY)
    record = record_of(found.save_dir)
    assert torch.get_num_threads() == 3
    assert watch.searched
    assert watch.batches[:30] == [1, 1] + [2] * 28
    assert watch.batches.count(1) <= 6  # it is looked at again
    assert set(watch.validations) == {2}
    assert record["threads"] == 2
    assert record["thread_changes"] == [{"epoch": 1, "batch": 3, "threads": 2}]
    assert "threads" not in content_of(found.save_dir)

    watch = Watch()
    again = trainer_host.run(settings_file=found.save_dir / "run.yaml", name="again", plugins=[watch])
    assert content_of(again.save_dir)["threads"] == record_of(again.save_dir)["threads"] == 2
    assert not watch.searched
    assert {*watch.batches, *watch.validations} == {2}

    os.environ[THREADS] = "2"
    watch = Watch()
    fixed = trainer_host.run("pose", name="fixed", plugins=[watch], **TINY)
    assert not watch.searched
    assert {*watch.batches, *watch.validations} == {2}
    assert torch.get_num_threads() == 3
    tensors = [checkpoint_tensors(run.save_dir / "weights" / "last.pt") for run in (again, fixed)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensor, tensors[1][name]) for name, tensor in tensors[0].items())
    del os.environ[THREADS]

    folder = again.save_dir.parent / "stopped"
    with pytest.raises(trainer_host.TrainerError):
        trainer_host.run("pose", name="stopped", plugins=[Watch(len(watch.batches) - 1)], **TINY)
    watch = Watch()
    trainer_host.resume(folder, plugins=[watch])
    assert watch.searched
    assert watch.batches[:2] == [2, 2]
    assert record_of(folder)["threads"] == 2
    return 0


@pytest.mark.train
def test_the_number_is_found_recorded_repeated_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended(trainings) == 0

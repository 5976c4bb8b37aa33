"""A training that trains nothing: it writes state files as an engine does, and ends as a test wants it to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trainer_host.base.results import Ending, TrainingOutcome
from trainer_host.base.signals import StopRequest
from trainer_host.engine.live_run import LiveRun
from trainer_host.engine.protocol import TrainingRecord
from trainer_host.engine.resumption import Resumption
from trainer_host.engine.state_files import StateEntry
from trainer_host.engine.ultralytics.engine import UltralyticsEngine

Save = Callable[[int, int], StateEntry]


@dataclass
class Plan:
    """What the trainings of a test do.

    Attributes:
        work: What a training does, with a function that saves a state at an epoch and a batch.
        fingerprint: That of the dataset.
        begun: What each training was given.
        contents: The states that trainings went on from.
        records: The record of each training.
    """

    work: Callable[[Save, StopRequest], bool] = lambda _save, _stop: False
    fingerprint: str = "a" * 64
    begun: list[Resumption | None] = field(default_factory=list)
    contents: list[dict[str, Any]] = field(default_factory=list)
    records: list[TrainingRecord] = field(default_factory=list)
    runs: list[LiveRun] = field(default_factory=list)


class FakeTraining:
    """A training of the engine's protocol."""

    def __init__(
        self,
        plan: Plan,
        run: LiveRun,
        save_dir: Path,
        stop: StopRequest,
        resume: Resumption | None,
        record: TrainingRecord,
    ) -> None:
        self.plan, self.run, self.stop, self.save_dir = plan, run, stop, save_dir
        self.states = record.states
        if resume is not None:
            plan.contents.append(resume.take())
        plan.begun.append(resume)
        plan.records.append(record)
        plan.runs.append(run)

    def prepare(self) -> dict[str, Any]:
        (self.save_dir / "args.yaml").write_text("task: detect\n")
        (self.save_dir / "weights").mkdir(exist_ok=True)
        return {"fingerprint": self.plan.fingerprint}

    def describe(self) -> str:
        return "for a test"

    def warnings(self) -> list[str]:
        return []

    def starting_weights(self) -> None:
        return None

    def last_checkpoint(self) -> Path | None:
        return None

    def save(self, epoch: int, batch: int = 0) -> StateEntry:
        return self.states.write({"batches": 40}, epoch=epoch, batch=batch, phase="batches")

    def train(self) -> TrainingOutcome:
        self.stop.waits = True
        (self.save_dir / "weights" / f"owner-{os.getpid()}").touch()
        stopped = self.plan.work(self.save, self.stop)
        epochs = int(self.run.resolved.settings.get("epochs", 100))
        if not stopped:
            self.states.write({"batches": 40}, epoch=epochs, batch=0, phase="finished")
            for name in ("last.pt", "best.pt"):
                (self.save_dir / "weights" / name).write_bytes(b"weights")
        weights = self.save_dir / "weights"
        best, last = (path if path.exists() else None for path in (weights / "best.pt", weights / "last.pt"))
        return TrainingOutcome(
            epochs=epochs,
            metrics={"metrics/mAP50(B)": 0.5},
            best=best,
            last=last,
            interrupted=stopped,
            held_out=(),
            threads=1,
            best_epoch=1,
            ending=Ending("epochs", None, epochs),
        )


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """Replace the trainings of the engine, and return what they do."""
    found = Plan()

    def training(
        engine: UltralyticsEngine,
        run: LiveRun,
        save_dir: Path,
        reporter: Any,
        stop: StopRequest,
        resume: Resumption | None = None,
        record: TrainingRecord | None = None,
    ) -> FakeTraining:
        assert record is not None
        return FakeTraining(found, run, save_dir, stop, resume, record)

    monkeypatch.setattr(UltralyticsEngine, "training", training)
    yield found


def killed(*states: tuple[int, int]) -> Callable[[Save, StopRequest], bool]:
    """Return the work of a training that saves states and is then killed with its process."""

    def work(save: Save, stop: StopRequest) -> bool:
        for state in states:
            save(*state)
        os.kill(os.getpid(), signal.SIGKILL)
        return True

    return work


def signalled(number: int, *states: tuple[int, int]) -> Callable[[Save, StopRequest], bool]:
    """Return the work of a training that gets a signal, saves states, and ends."""

    def work(save: Save, stop: StopRequest) -> bool:
        os.kill(os.getpid(), number)
        for state in states:
            save(*state)
        return True

    return work


def in_a_fork(function: Callable[[], int]) -> int:
    """Call a function in a fork of this process, which has imported everything; return the fork's exit status."""
    child = os.fork()
    if child == 0:
        code = 70
        with suppress(BaseException):
            code = function()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

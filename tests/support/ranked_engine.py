"""An engine whose trainings count together: every rank adds its number in each batch, until one fails as it is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.plain_engine import DEFAULTS, PlainEngine, PlainHooks, PlainSettings
from trainer_host import DatasetError, LossError, TaskSpec

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import TrainingOutcome
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.protocol import LiveRun, TrainingRecord
    from trainer_host.engine.resumption import Resumption

MORE: Mapping[str, Any] = {
    "batch": 16,
    "batches": 8,
    "pace": 0.0,
    "fault": None,
    "fault_rank": 1,
    "fault_batch": 3,
    "once": None,
}
"""``pace`` is the seconds of a batch of several processes. ``fault`` is ``kill``, ``loss``, ``bug``, ``dataset``,
``leave`` or ``hold``; ``once`` a file, made before it."""


class RankedSettings(PlainSettings):
    def defaults(self) -> Mapping[str, Any]:
        return {**DEFAULTS, **MORE, "device": None}

    def keys(self) -> frozenset[str]:
        return frozenset(self.defaults())

    def on_resume(self) -> Mapping[str, bool]:
        return {"epochs": True, "device": False}

    def unknown(self, settings: Mapping[str, Any], where: Any = None, dataset_keys: Any = ()) -> list[Any]:
        return super().unknown({k: v for k, v in settings.items() if k not in MORE}, where)


class RankedEngine(PlainEngine):
    name = "ranked"

    def __init__(self) -> None:
        super().__init__()
        self.settings = RankedSettings()

    def training(  # type: ignore[override]
        self,
        run: LiveRun,
        save_dir: Path,
        reporter: Reporter,
        stop: StopRequest,
        resume: Resumption | None = None,
        record: TrainingRecord | None = None,
    ) -> RankedTraining:
        return RankedTraining(run, save_dir, stop, resume, record)


class RankedTraining:
    def __init__(
        self,
        run: LiveRun,
        save_dir: Path,
        stop: StopRequest,
        resume: Resumption | None,
        record: TrainingRecord | None,
    ) -> None:
        from trainer_host.engine.state_files import StateFiles

        self.run, self.save_dir, self.stop, self.group = run, save_dir, stop, run.group
        self.values = {**MORE, **run.resolved.settings}
        if self.group.ranks.is_first:
            (save_dir / "written-by-0").touch()
        self.files = record.states if record is not None else StateFiles(save_dir / "weights")
        self.batch, self.total = 0, 0.0
        if resume is not None:
            found = resume.take()
            self.batch, self.total = found["batch"], found["total"]

    def prepare(self) -> dict[str, Any]:
        if self.values["fault"] == "dataset" and self.group.ranks.rank == self.values["fault_rank"]:
            raise DatasetError("the dataset cannot be used.")
        with (self.save_dir / "read-by").open("a") as file:
            file.write(f"{self.group.ranks.rank}\n")
        return {"fingerprint": "a" * 64}

    def describe(self) -> str:
        return "together"

    def warnings(self) -> list[str]:
        return []

    def starting_weights(self) -> None:
        return None

    def last_checkpoint(self) -> Path | None:
        return None

    def train(self) -> TrainingOutcome:
        from trainer_host.base.results import TrainingOutcome

        (self.save_dir / "weights").mkdir(exist_ok=True)
        self.stop.waits = True
        interrupted = False
        while self.batch < self.values["batches"] and not interrupted:
            if self.group.ranks.world_size > 1:
                time.sleep(self.values["pace"])
            self._fail()
            self.total += sum(self.group.gather(float(self.group.ranks.rank + 1)))
            self.batch += 1
            interrupted = self.group.any(self.stop.requested)
            if self.group.ranks.is_first:
                state = {"batch": self.batch, "total": self.total}
                self.files.write(state, epoch=0, batch=self.batch, phase="batches")
        last = self.save_dir / "weights" / "last.pt"
        if self.group.ranks.is_first and not interrupted:
            last.write_bytes(b"weights")
        self.group.barrier()
        done = None if interrupted else last
        return TrainingOutcome(1, {"total": self.total}, done, done, interrupted, (), 1)

    def _fail(self) -> None:
        fault, once = self.values["fault"], self.values["once"]
        here = self.group.ranks.rank == self.values["fault_rank"] and self.batch == self.values["fault_batch"]
        if not here or fault is None or (once and Path(once).exists()):
            return
        if once:
            Path(once).touch()
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "leave":
            os._exit(3)
        if fault == "loss":
            raise LossError("the loss is NaN.")
        if fault == "bug":
            raise KeyError("nothing")


TASK = TaskSpec(hooks=PlainHooks, engine=f"{__name__}:RankedEngine", dataset_keys=("gray_values", "names"))

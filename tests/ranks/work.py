"""One of the processes that carry out the jobs of `tests.ranks.jobs`: run as a script.

    python -m tests.ranks.work FOLDER JOB...

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT say its place. What a job returns is written to FOLDER/JOB.RANK.pt.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tests.support.command import DEADLINE_S, ROOT, environment
from trainer_host.base.ranks import Ranks
from trainer_host.base.reporting import NullReporter
from trainer_host.base.results import TrainingOutcome
from trainer_host.base.run_options import options_of
from trainer_host.base.signals import StopRequest
from trainer_host.engine.factory import default_engine
from trainer_host.engine.live_run import load_plugins, run_of_chain
from trainer_host.engine.process_group import ProcessGroup, join
from trainer_host.engine.resumption import Resumption
from trainer_host.engine.state_files import StateEntry, StateFiles
from trainer_host.plugin.registry import Registry

ROUNDING = 1e-6
"""How far several processes may be from one, relative to what is compared."""
Watch = Callable[[Any], None]
"""Takes the trainer before the training."""


@dataclass
class Trained:
    """A training of this process that ended.

    Attributes:
        kept: Copies of what it came to, for comparisons.
        trainer: The trainer.
        outcome: The outcome.
        entries: The state files that the first process recorded.
        recoveries: Recoveries from values that are not finite.
    """

    kept: dict[str, Any]
    trainer: Any
    outcome: TrainingOutcome
    entries: tuple[StateEntry, ...]
    recoveries: list[Mapping[str, Any]]


@dataclass
class States:
    """The record of a training.

    Attributes:
        states: The state files.
        recoveries: Recoveries from values that are not finite.
    """

    states: StateFiles
    recoveries: list[Mapping[str, Any]] = field(default_factory=list)

    def add_recovery(self, recovery: Mapping[str, Any]) -> None:
        """Record a recovery."""
        self.recoveries.append(recovery)


@dataclass
class Work:
    """What a job works with.

    Attributes:
        group: The processes.
        folder: For files; the same in all of them.
    """

    group: ProcessGroup
    folder: Path

    @property
    def rank(self) -> int:
        return self.group.ranks.rank

    def train(
        self,
        name: str,
        task: Any,
        settings: Mapping[str, Any],
        *,
        plugins: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
        frozen: bool = True,
        stop: StopRequest | None = None,
        entries: tuple[StateEntry, ...] = (),
        watch: Watch = lambda _: None,
    ) -> Trained:
        """Train in the folder of this name.

        Args:
            name: The name.
            task: A task.
            settings: Its settings.
            plugins: Extensions.
            options: Options of the host.
            frozen: Whether batch norms keep their statistics, as only then several processes equal one.
            stop: A request to stop.
            entries: State files to go on from.
            watch: Is given the trainer.
        """
        named = task if isinstance(task, str) else task.name
        registry, extensions = Registry.installed().with_plugins([*plugins, *([] if task is named else [task])])
        chain, engine = load_plugins(registry, named, [e for e in extensions if e != named], {})
        save_dir = self.folder / name
        save_dir.mkdir(exist_ok=True)
        usual = {"workers": 0, "plots": False, "optimizer": "SGD", "epochs": 1, "imgsz": 64, "device": "cpu"}
        given = {**usual, **settings}
        run = replace(run_of_chain(chain, engine, given, options_of(options or {})), group=self.group)
        states = StateFiles(save_dir / "weights")
        found = states.newest(entries) if entries else None
        record = States(states)
        training = engine.training(
            run,
            save_dir,
            NullReporter(),
            stop or StopRequest(),
            Resumption(*found) if found is not None else None,
            record,
        )
        training.prepare()
        trainer = training.trainer  # type: ignore[attr-defined]
        kept: dict[str, Any] = {}
        observe(trainer, kept, frozen)
        watch(trainer)
        outcome = training.train()
        kept |= {"metrics": outcome.metrics, "files": sorted(f.name for f in trainer.save_dir.glob("*"))}
        names = self.group.broadcast([entry.as_data() for entry in record.states.entries])
        return Trained(kept, trainer, outcome, tuple(map(StateEntry.of_data, names)), record.recoveries)


def observe(trainer: Any, kept: dict[str, Any], frozen: bool) -> None:
    """Keep the weights at the start, the gradients of the first step, and the weights at the end of each epoch."""

    def begin(trainer: Any) -> None:
        kept["start"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    def freeze(trainer: Any) -> None:
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()

    step = trainer.optimizer_step

    def stepping() -> None:
        if "gradients" not in kept:
            named = trainer.model.named_parameters()
            kept["gradients"] = {k: p.grad.clone() for k, p in named if p.grad is not None}
            kept["items"] = {k: float(v) for k, v in trainer.loss_items.items()}
        step()

    def end(trainer: Any) -> None:
        if trainer.own.metric_log.final:
            return
        kept["model"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        kept["ema"] = {k: v.clone() for k, v in trainer.ema.ema.state_dict().items()}
        kept["validated"] = {k: v for k, v in trainer.metrics.items() if trainer.evaluated_epoch}

    trainer.optimizer_step = stepping
    trainer.add_callback("on_train_start", begin)
    if frozen:
        trainer.add_callback("on_train_batch_start", freeze)
    trainer.add_callback("on_fit_epoch_end", end)


def carry_out(folder: Path, jobs: Sequence[str], processes: int) -> dict[str, list[Any]]:
    """Have processes carry out jobs one after the other, and return what each process came to, by job."""
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        place = {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        place["CUDA_VISIBLE_DEVICES"] = "0"  # one GPU for all, if there is one
        log = (folder / f"{rank}.log").open("w")
        words = [sys.executable, "-m", "tests.ranks.work", str(folder), *jobs]
        started.append(subprocess.Popen(words, cwd=ROOT, env=environment(**place), stdout=log, stderr=log))
        log.close()
    try:
        codes = [each.wait(DEADLINE_S) for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()
    logs = "\n".join((folder / f"{rank}.log").read_text()[-3000:] for rank in range(processes))
    assert codes == [0] * processes, logs
    return {
        job: [torch.load(folder / f"{job}.{rank}.pt", weights_only=True) for rank in range(processes)] for job in jobs
    }


def distance(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> float:
    """Return how far tensors are from others, relative to their length."""
    assert found.keys() == wanted.keys()
    floats = [k for k, v in wanted.items() if v.is_floating_point()]
    whole = sum(float(wanted[k].double().square().sum()) for k in floats)
    return (sum(float((found[k].double() - wanted[k].double()).square().sum()) for k in floats) / (whole or 1)) ** 0.5


def main(folder: str, jobs: Sequence[str]) -> None:
    from tests.ranks import jobs as known

    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"]))
    with join(ranks) as group:
        default_engine().load()
        torch.set_num_threads(1)
        for job in jobs:
            torch.save(getattr(known, job)(Work(group, Path(folder))), Path(folder) / f"{job}.{ranks.rank}.pt")
            group.barrier()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""The part of `slurm` that runs within a job: submitit calls it in each task.

Slurm signals every process of a step, so the run gets each signal itself. SIGTERM, for a job that is cancelled or
preempted, saves its state and ends it, and a second one from here would cut that short. The warning before the end of
the time only saves the state: the run then has to be stopped, and the job queued again.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import submitit

from trainer_host.base.errors import ExitCode
from trainer_host.launchers.rank_process import POLL_S, STOPPED, RankProcess

if TYPE_CHECKING:
    from types import FrameType

GRACE_S = 20.0
"""Seconds that the first rank has to end by itself after another one failed: the exit of that one ends all."""


@dataclass
class SlurmRank:
    """The process of one rank, and the signals that Slurm sends it.

    It is submitted as plain data: no object of a run is pickled.

    Attributes:
        command: Words of the command.
        environment: Variables of the process.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    _signals: list[tuple[int, Any]] = field(default_factory=list, repr=False)
    _process: RankProcess | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"command": self.command, "environment": self.environment, "_signals": [], "_process": None}

    def __call__(self) -> None:
        """Run the rank to its end, and exit with its code."""
        warning = submitit.JobEnvironment._usr_sig()
        requeue = signal.getsignal(warning)  # submitit's own handler, which calls `checkpoint`
        for number in (warning, signal.SIGTERM):
            signal.signal(number, self._note)
        place = submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        self._process = process = RankProcess(self.command, self.environment, ignored=(warning,))
        while (code := process.code) is None:
            for number, frame in self._signals:
                if number == warning and callable(requeue):
                    requeue(number, frame)  # ends this process if the job was queued again
            self._signals.clear()
            time.sleep(POLL_S)
        if place.rank == 0:
            self._end(code)
        if code in STOPPED:  # all were stopped: the first rank may still be saving the state
            sys.exit(ExitCode.DONE)
        end = time.monotonic() + GRACE_S
        while code and not self._signals and time.monotonic() < end:
            time.sleep(POLL_S)
        sys.exit(code)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Stop the run with its state saved, and return what the requeued job calls: the same command, which goes on.

        Called by submitit on the first rank, when the time of the job is almost up.
        """
        process = self._process
        if process is not None:  # otherwise the warning came before the run began
            process.stop()
            if (code := process.wait()) not in STOPPED:  # it ended by itself meanwhile
                self._end(code)
        return submitit.helpers.DelayedSubmission(self)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append((number, frame))

    @staticmethod
    def _end(code: int) -> None:
        """Leave the exit code of the run for whoever waits for the job, and exit with it."""
        paths = submitit.JobEnvironment().paths
        (paths.folder / f"{paths.job_id}_exit_code").write_text(str(code), encoding="utf-8")
        sys.exit(code)

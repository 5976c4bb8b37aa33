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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import submitit

from trainer_host.base.errors import ExitCode
from trainer_host.base.launched_rank import SHARED
from trainer_host.base.rank_failures import failures_in, root_cause
from trainer_host.launchers.rank_process import POLL_S, STOPPED, RankProcess

if TYPE_CHECKING:
    from types import FrameType

GRACE_S = 20.0
"""Seconds that the first rank has to end by itself after another one failed: the exit of that one ends all."""

LEAVE_S = 5.0
"""Seconds that a rank which failed has to leave its failure after the first one has lost it."""


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
        if place.rank == 0:
            self._code_file().unlink(missing_ok=True)  # of an earlier start
        self._process = process = RankProcess(self.command, self.environment, ignored=(warning,))
        while (code := process.code) is None:
            while self._signals:
                number, frame = self._signals.pop(0)
                if number == warning and callable(requeue):
                    requeue(number, frame)  # ends this process if the job was queued again
            time.sleep(POLL_S)
        if place.rank == 0:
            self._end(self._code_of_run(code))
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
                self._end(self._code_of_run(code))
        self._leave(ExitCode.TERMINATED)  # for a job that is not queued again: its requeues are used up
        return submitit.helpers.DelayedSubmission(self)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append((number, frame))

    def _code_of_run(self, code: int) -> int:
        """Return the exit code of the run: that of the rank that failed first, if another one did and has left it."""
        shared = self.environment.get(SHARED)
        if code == ExitCode.DONE or shared is None:
            return code
        end = time.monotonic() + (LEAVE_S if code == ExitCode.RANK else 0)
        while True:
            cause = root_cause(failures_in(Path(shared)))
            if cause is not None and not cause.is_consequence:
                return cause.exit_code
            if time.monotonic() >= end:
                return code
            time.sleep(POLL_S)

    def _end(self, code: int) -> None:
        """Leave the exit code of the run for whoever waits for the job, and exit with it."""
        self._leave(code)
        sys.exit(code)

    def _leave(self, code: int) -> None:
        self._code_file().write_text(str(int(code)), encoding="utf-8")

    @staticmethod
    def _code_file() -> Path:
        paths = submitit.JobEnvironment().paths
        return Path(paths.folder / f"{paths.job_id}_exit_code")

"""The outcome of a run whose processes a launcher has started: from its record, or from what they have left."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import ExitCode, LossError, Problem, RankError, StoppedError, TrainerError
from trainer_host.base.rank_failures import failures_in, root_cause
from trainer_host.base.rank_folder import FOLDER
from trainer_host.base.results import Ending, RunResult
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.run_record import FILE, record_failure

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.base.rank_failures import RankFailure
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import LiveRun

HANDED_OVER = "launched"
"""How a run ends here whose launcher has handed it to a scheduler."""


def result_of(run: LiveRun, folder: Path, recorded: RecordedRun | None, launcher: str) -> RunResult:
    """Return the outcome of a run that is finished, or that a launcher has handed over.

    Args:
        run: What it does.
        folder: Its folder.
        recorded: Its record, if it has one yet.
        launcher: The name of the launcher.
    """
    if recorded is not None and recorded.is_finished:
        return replace(recorded.result(), nothing_done=False)
    ending = Ending(HANDED_OVER, f"handed over to {launcher}")
    return RunResult(run.chain.name, folder, None, None, 0, {}, ending=ending)


def error_of(code: int, folder: Path, before: bytes | None, asked: Request) -> TrainerError:
    """Return the error of a run whose processes failed or were stopped.

    Args:
        code: The exit code of the launcher.
        folder: The folder of the run.
        before: The record of the run before they were started.
        asked: What was given.
    """
    failures = failures_in(folder / FOLDER)
    failure = root_cause(failures)
    cause = failure if failure is not None and not failure.is_consequence else None
    if code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED} and cause is None:
        return _stopped(code, failures)
    error = failure.as_error() if failure is not None else RankError(_unexplained(code))
    if cause is None:
        error.exit_code = ExitCode(code) if code in ExitCode._value2member_map_ else ExitCode.RANK
    if record_of(folder) in {None, before}:  # they have refused the run, and a run that is refused changes nothing
        return error
    with suppress(TrainerError, OSError):  # such as a full disk: the error itself is what counts
        record_failure(folder, "loss not finite" if isinstance(error, LossError) else "failed", str(error))
        if RecordedRun.read(folder, asked).state_entries:
            command = shlex.join(["trainer", "resume", display_path(folder)])
            error.details |= {"save_dir": str(folder), "resume": command}
            if isinstance(error, RankError):
                error.problems = tuple(replace(problem, fix=command) for problem in error.problems)
    return error


def record_of(folder: Path) -> bytes | None:
    """Return the record of a run as it is, for a comparison; None if there is none."""
    with suppress(OSError):
        return (folder / FILE).read_bytes()
    return None


def _unexplained(code: int) -> Problem:
    """Return the problem of a run of which only the exit code is known."""
    return Problem(f"the processes of the run failed (exit code {code}).", "look at their output, then start it again")


def _stopped(code: int, failures: list[RankFailure]) -> StoppedError:
    """Return the error of a run that was stopped, as its first rank has it."""
    name = "SIGTERM" if code == ExitCode.TERMINATED else "SIGINT"
    first = next((one for one in failures if one.rank == 0 and one.problems), None)
    if first is None:
        return StoppedError(f"stopped by {name}: before training began.", terminated=name == "SIGTERM")
    problems = [Problem(**one) for one in first.problems]
    # A second signal reaches the ranks as SIGTERM, whichever it was.
    same = [replace(one, message=one.message.replace("by SIGTERM", f"by {name}")) for one in problems]
    error = StoppedError(*same, terminated=name == "SIGTERM")
    error.details |= first.details
    return error

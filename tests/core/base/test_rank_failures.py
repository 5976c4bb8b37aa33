"""The error of a run of several processes: the first that is no consequence of another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trainer_host import (
    DatasetError,
    ExitCode,
    LossError,
    PluginCrashError,
    Problem,
    RankError,
    StoppedError,
    StorageError,
    TrainerError,
)
from trainer_host.base.rank_failures import (
    RankCrashError,
    RankFailure,
    clear_failures,
    failures_in,
    leave_failure,
    root_cause,
)

CRASH = PluginCrashError(
    Problem("extension 'x' failed."), plugin="x", distribution="trainer-x", hook="callbacks", trace="Traceback"
)
ERRORS: list[TrainerError] = [
    DatasetError(Problem("cannot decode the image.", "remove it", "a.jpg")),
    LossError("the loss is NaN."),
    StorageError("no space."),
    StoppedError("stopped by SIGTERM.", terminated=True),
    CRASH,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_reaches_the_launcher_with_its_rank(error: TrainerError, tmp_path: Path) -> None:
    error.details["not_finite"] = {"epoch": 1}
    leave_failure(tmp_path, RankFailure.of(3, error))
    (found,) = failures_in(tmp_path)
    again = found.as_error()
    assert type(again) is type(error)
    assert (again.exit_code, again.retryable) == (error.exit_code, error.retryable)
    assert again.details["rank"] == 3
    assert again.details["not_finite"] == {"epoch": 1}
    (before,), (after,) = error.problems, again.problems
    assert after == replace(before, message=f"[rank 3] {before.message}")
    if isinstance(again, PluginCrashError):
        assert (again.plugin, again.distribution, again.hook, again.trace) == (
            "x",
            "trainer-x",
            "callbacks",
            "Traceback",
        )
    clear_failures(tmp_path)
    assert failures_in(tmp_path) == []


def test_a_bug_keeps_its_traceback() -> None:
    error = RankFailure.of(1, KeyError("nothing"), "Traceback\nKeyError").as_error()
    assert isinstance(error, RankCrashError)
    assert (error.exit_code, error.trace) == (ExitCode.BUG, "Traceback\nKeyError")
    assert str(error) == "[rank 1] KeyError: 'nothing'"


def test_a_process_that_vanished_is_named() -> None:
    killed, left = RankFailure(2, "", -9).as_error(), RankFailure(0, "", 3).as_error()
    assert isinstance(killed, RankError)
    assert killed.exit_code == ExitCode.RANK
    assert "rank 2 was killed by SIGKILL." in str(killed)
    assert "rank 0 ended with exit code 3" in str(left)


def test_the_cause_is_reported_rather_than_its_consequences() -> None:
    lost = replace(RankFailure.of(0, RankError("the connection was lost.")), at=1.0)
    stopped = replace(RankFailure.of(2, StoppedError("stopped by SIGTERM.", terminated=True)), at=2.0)
    loss = replace(RankFailure.of(1, LossError("NaN.")), at=3.0)
    later = replace(RankFailure.of(3, LossError("NaN.")), at=4.0)

    def cause(*left: RankFailure, codes: dict[int, int] | None = None) -> tuple[int, str]:
        found = root_cause(left, codes)
        assert found is not None
        return found.rank, found.kind

    assert cause(lost, stopped, later, loss) == (1, "LossError")
    assert cause(lost, stopped, codes={0: 10, 2: 143, 1: -9}) == (1, "")
    assert cause(lost, codes={0: 10, 1: -15}) == (0, "RankError")  # ended by the launcher
    assert cause(codes={0: 143, 1: -9}) == (1, "")  # stopped by torchrun while it started
    first, crash = root_cause([loss], {0: -9}, {0: 2.5}), root_cause([loss], {0: -9}, {0: 3.5})
    assert first is not None
    assert crash is not None
    assert (first.rank, crash.rank) == (0, 1)  # what came first is the cause
    assert cause(stopped, lost) == (0, "RankError")
    assert root_cause([]) is None


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (RankFailure(1, "", -9), True),
        (RankFailure(1, "", 1), True),
        (RankFailure.of(1, RankError("lost.")), True),
        (RankFailure.of(1, StorageError("no space.")), True),
        (RankFailure.of(1, KeyError("nothing")), True),
        (RankFailure.of(1, DatasetError("faulty.")), False),
        (RankFailure.of(1, LossError("NaN.")), False),
        (RankFailure.of(1, StoppedError("stopped.")), False),
    ],
)
def test_what_is_worth_a_restart(failure: RankFailure, again: bool) -> None:
    assert failure.is_worth_a_restart is again


def test_a_file_that_is_no_failure_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "rank-0.json").write_text("{")
    (tmp_path / "rank-1.json").write_text(json.dumps({"rank": 1}))
    assert failures_in(tmp_path) == []

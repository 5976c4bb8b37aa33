"""Faults when they matter most: at the first state, at a stop, after more epochs, in a folder that is used again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.murder.murder import (
    NAME,
    SETTINGS,
    ending_of,
    forked,
    log_of,
    prepare,
    undisturbed,
)
from tests.support.faulty_io import Fault
from tests.support.nested_data import TIMES, differences
from tests.support.warm_processes import status
from trainer_host import hookimpl

RUN = Path("runs", "pose", NAME)


class At:
    """Ends the process by SIGTERM at the start of one batch, counted from 1 over all epochs of a process."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    @hookimpl
    def callbacks(self) -> dict[str, Any]:
        return {"on_train_batch_start": self.count}

    def count(self, _: Any) -> None:
        self.batch -= 1
        if self.batch == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def trained(root: Path, folder: str, fault: Fault | None = None, /, **settings: Any) -> int:
    with forked(root, folder, {**SETTINGS, **settings}, fault) as child:
        return status(child)


@pytest.mark.train
@pytest.mark.parametrize("kind", ["kill", "ENOSPC"])
def test_the_first_state(tmp_path: Path, kind: str) -> None:
    """A run whose first state was not written has no checkpoint either, and starts again."""
    prepare(tmp_path)
    whole = undisturbed(tmp_path, {})
    code = trained(tmp_path, "killed", Fault(kind, 1, "/weights/.state-", real=True))
    assert code == (9 if kind == "ENOSPC" else -signal.SIGKILL), log_of(tmp_path, "killed")
    assert not list((tmp_path / "killed" / RUN / "weights").glob("[bl]*.pt"))
    assert trained(tmp_path, "killed") == 0, log_of(tmp_path, "killed")
    assert differences(whole.ending, ending_of(tmp_path / "killed"), but=TIMES) == []


@pytest.mark.train
def test_a_stop_on_a_full_disk_is_an_error_of_storage(tmp_path: Path) -> None:
    prepare(tmp_path)
    stop = At(5)  # in the second epoch
    fault = Fault("ENOSPC", 1, "/weights/.state-0001-000002", real=True)
    assert trained(tmp_path, "full", fault, plugins=[stop], keep_state=None) == 9, log_of(tmp_path, "full")
    log = log_of(tmp_path, "full")
    assert "state-0001-000002" in log and "trainer resume" in log
    assert trained(tmp_path, "full", plugins=[At(0)], keep_state=None) == 0, log_of(tmp_path, "full")


@pytest.mark.train
def test_more_epochs_that_are_killed_at_once(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert trained(tmp_path, "more", epochs=1) == 0
    run = {"resume": str(tmp_path / "more" / RUN), "if_exists": None, "name": None, "epochs": 3}
    with forked(tmp_path, "more", {**SETTINGS, **run}) as child:
        states = tmp_path / "more" / RUN / "run.yaml"
        while "resumed" not in states.read_text():
            os.sched_yield()
        child.kill()
    assert trained(tmp_path, "more", **run) == 0, log_of(tmp_path, "more")
    assert len((tmp_path / "more" / RUN / "results.csv").read_text().splitlines()) == 4
    assert yaml.safe_load((tmp_path / "more" / RUN / "run.yaml").read_text())["record"]["status"] == "done"


@pytest.mark.train
def test_a_run_that_is_refused_in_the_folder_of_another_leaves_it_resumable(tmp_path: Path) -> None:
    prepare(tmp_path)
    whole = undisturbed(tmp_path, {})
    stop = Fault("kill", int(whole.steps * 0.7), "/runs/", real=True)
    assert trained(tmp_path, "used", stop) == -signal.SIGKILL
    (tmp_path / "empty.yaml").write_text("train: none\nval: none\nnames: [a]\nkpt_shape: [1, 3]\n")
    again = {"if_exists": None, "exist_ok": True, "data": str(tmp_path / "empty.yaml")}
    assert trained(tmp_path, "used", **again) == 4
    assert trained(tmp_path, "used") == 0, log_of(tmp_path, "used")
    assert differences(whole.ending, ending_of(tmp_path / "used"), but=TIMES) == []


@pytest.mark.train
@pytest.mark.parametrize("exact", [False, True])
def test_a_state_that_follows_a_repeated_validation(tmp_path: Path, exact: bool) -> None:
    """A run that is resumed at a validation saves the next state before it has drawn a sample."""
    prepare(tmp_path)
    whole = undisturbed(tmp_path, {"exact": exact, "close_mosaic": 10})
    for state in ("0001-000000", "0002-000000"):
        fault = Fault("kill", 1, f"/weights/.state-{state}", real=True)
        assert trained(tmp_path, "killed", fault, exact=exact, close_mosaic=10) == -signal.SIGKILL
    assert trained(tmp_path, "killed", exact=exact, close_mosaic=10) == 0, log_of(tmp_path, "killed")
    assert differences(whole.ending, ending_of(tmp_path / "killed"), but=TIMES) == []

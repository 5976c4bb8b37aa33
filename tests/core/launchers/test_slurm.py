"""`--launcher slurm`: the script that it writes, and the job that it submits, with a Slurm that stands in for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError

from tests.support import small_rank, stand_in_slurm
from tests.support.command import command, environment
from tests.support.recording_reporter import RecordingReporter
from tests.support.small_rank import is_running, until
from tests.support.training import checkpoint_tensors
from trainer_host import EnvironmentProblemError, ExitCode, SettingsError
from trainer_host.base.launched_rank import SHARED
from trainer_host.base.protocols import LaunchContext
from trainer_host.launchers.slurm import Slurm, SlurmLauncher, minutes_of

pytest.importorskip("submitit")


def context(folder: Path, task: str = "wait", processes: int = 2, **options: object) -> LaunchContext:
    """Return a run of small ranks in a new folder."""
    (folder / "shared").mkdir(parents=True, exist_ok=True)
    return LaunchContext(
        run_file=folder / "run.yaml",
        save_dir=folder,
        processes=processes,
        command=(sys.executable, small_rank.__file__, str(folder), task),
        environment={"EXTRA": "given", SHARED: str(folder / "shared")},
        reporter=RecordingReporter(),
        options={"other": object(), "slurm": Slurm(**options)},
    )


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmLauncher]:
    """The launcher, on a machine with the commands of Slurm."""
    for name, value in stand_in_slurm.install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SlurmLauncher, "poll_s", 0.05)
    yield SlurmLauncher()
    for job in (tmp_path / "slurm" / "jobs").iterdir():
        until(lambda job=job: (job / "exit").exists())  # type: ignore[misc]


def exit_code(job: str = "1", seconds: float = 60) -> int:
    path = stand_in_slurm.job_folder(job) / "exit"
    until(path.exists, seconds)
    return int(path.read_text(encoding="utf-8") or -1)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("30:01", 31), ("04:00:00", 240), ("1-12", 2160), ("1-12:30", 2190), ("2-0:0:1", 2881), ("0:30", 1)],
)
def test_times_are_read_as_sbatch_reads_them(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("time_limit", ["", "0", "ten", "1:2:3:4", "1-", "-5", 14400])
def test_other_times_are_refused(time_limit: object) -> None:
    with pytest.raises(ValidationError, match="time"):
        Slurm(time=time_limit)


def test_the_script_is_shown_without_slurm_and_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = {
        "time": "30",
        "partition": "long",
        "nodes": 2,
        "setup": "module load cuda",
        "sbatch": {"mail_type": "END"},
    }
    ctx = replace(context(tmp_path / "run", processes=4, **options), devices=("0", "1"))
    lines = SlurmLauncher().preview(ctx).splitlines()
    assert lines[0] == "#!/bin/bash"
    wanted = {"time=30", "partition=long", "nodes=2", "ntasks-per-node=2", "gpus-per-node=2", "requeue", "job-name=run"}
    wanted |= {"signal=USR2@120", "open-mode=append", "mail-type=END"}
    assert {f"#SBATCH --{option}" for option in wanted} <= set(lines)
    assert lines.index("module load cuda") < next(i for i, line in enumerate(lines) if line.startswith("srun "))
    assert "--kill-on-bad-exit=1" in lines[-2] or "--kill-on-bad-exit=1" in lines[-1]
    assert [path.name for path in ctx.save_dir.iterdir()] == ["shared"]


def test_processes_that_cannot_be_divided_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"3 processes cannot be divided among slurm\.nodes=2\."):
        SlurmLauncher().preview(context(tmp_path / "run", processes=3, nodes=2))
    with pytest.raises(SettingsError, match=r"slurm\.warning=120 is not less than slurm\.time=2\."):
        SlurmLauncher().preview(context(tmp_path / "run", time="2"))


@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "mem"])
def test_a_line_break_in_an_option_is_refused(key: str, tmp_path: Path) -> None:
    """It would end the comment that holds the option, and what follows would be a command."""
    with pytest.raises(ValidationError, match="control characters"):
        Slurm(**{key: "a\ntouch here"})
    with pytest.raises(ValidationError, match="control characters"):
        Slurm(sbatch={"comment": ["a\ntouch here"]})
    with pytest.raises(SettingsError, match="control characters"):
        SlurmLauncher().preview(context(tmp_path / "run\ntouch here"))


def test_a_machine_without_slurm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblemError, match="sbatch and srun not found") as caught:
        SlurmLauncher().launch(context(tmp_path / "run"))
    assert caught.value.exit_code == ExitCode.SETTINGS


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(EnvironmentProblemError) as caught:
        SlurmLauncher().preview(context(tmp_path / "run"))
    assert str(caught.value) == (
        "--launcher slurm needs the package submitit, which is not installed. Fix: pip install 'trainer-host[slurm]'"
    )


def test_a_job_that_slurm_refuses_is_one_line_and_leaves_nothing(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run", partition="missing")
    with pytest.raises(SettingsError) as caught:
        slurm.launch(ctx)
    assert str(caught.value).startswith(
        "Slurm refused the job: Batch job submission failed: Invalid partition name specified. Fix: "
    )
    assert [path.name for path in ctx.save_dir.iterdir()] == ["shared"]


def test_a_job_whose_time_is_up_saves_its_state_and_goes_on(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run")
    assert slurm.launch(ctx) == ExitCode.DONE
    assert ctx.reporter.notes[0].startswith("Submitted job 1: output in ")  # type: ignore[attr-defined]
    until(lambda: all(small_rank.starts(ctx.save_dir, rank) for rank in (0, 1)))
    subprocess.run(["warn", "1"], check=True)
    assert exit_code() == 0
    for rank in (0, 1):
        first, second = small_rank.starts(ctx.save_dir, rank)
        assert (first["resumed"], second["resumed"]) == (False, True)
        assert [first[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")] == [
            *(str(rank), "2", str(rank), "2")
        ]
        assert (first["MASTER_ADDR"], first["EXTRA"]) == ("localhost", "given")
        assert not is_running(first["pid"])
    ports = {small_rank.starts(ctx.save_dir, rank)[0]["MASTER_PORT"] for rank in (0, 1)}
    assert len(ports) == 1


def test_a_cancelled_job_saves_its_state_once_and_ends(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run")
    slurm.launch(ctx)
    until(lambda: all(small_rank.starts(ctx.save_dir, rank) for rank in (0, 1)))
    subprocess.run(["scancel", "1"], check=True)
    assert exit_code() == ExitCode.TERMINATED
    assert (ctx.save_dir / "state").exists()
    assert len(small_rank.starts(ctx.save_dir, 0)) == 1


@pytest.mark.parametrize(("task", "code"), [("settings", ExitCode.SETTINGS), ("fail", ExitCode.LOSS)])
def test_the_exit_code_of_a_failed_rank_is_waited_for(
    tmp_path: Path, slurm: SlurmLauncher, task: str, code: ExitCode
) -> None:
    assert slurm.launch(context(tmp_path / "run", task=task, wait=True)) == code


def test_a_job_whose_requeues_are_used_up_ends_like_one_that_is_stopped(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run", wait=True, requeues=0, time="2", warning=60)

    def warn() -> None:
        until(lambda: all(small_rank.starts(ctx.save_dir, rank) for rank in (0, 1)))
        subprocess.run(["warn", "1"], check=True)

    thread = threading.Thread(target=warn)
    thread.start()
    code = slurm.launch(ctx)
    thread.join()
    assert (code, (ctx.save_dir / "state").exists()) == (ExitCode.TERMINATED, True)
    assert len(small_rank.starts(ctx.save_dir, 0)) == 1


def test_a_signal_while_waiting_cancels_the_job(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run", wait=True)

    def interrupt() -> None:
        until(lambda: all(small_rank.starts(ctx.save_dir, rank) for rank in (0, 1)))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code = slurm.launch(ctx)
    thread.join()
    assert code == ExitCode.TERMINATED
    assert (ctx.save_dir / "state").exists()


@pytest.mark.train
def test_a_training_that_was_requeued_ends_like_one_that_was_not(tmp_path: Path, slurm: SlurmLauncher) -> None:
    words = ["run", "--task", "pose", "model=yolo11n-pose.yaml", "epochs=3", "imgsz=64", "batch=4", "plots=False"]
    words += [f"project={tmp_path / 'runs'}", "--threads", "1"]
    whole = command(*words, "name=whole", "--json", cwd=tmp_path)
    assert whole.code == 0, whole.err
    ctx = context(tmp_path / "job", processes=1)
    run = tmp_path / "runs" / "cut"
    resumable = (sys.executable, "-m", "trainer_host", *words, "name=cut", "--if-exists", "resume")
    ctx = replace(ctx, command=resumable, environment=environment())
    slurm.launch(ctx)
    until(lambda: (run / "results.csv").exists(), 240)
    subprocess.run(["warn", "1"], check=True)
    assert exit_code(seconds=240) == 0
    record = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))["record"]
    assert (record["status"], len(record["resumed"])) == ("done", 1)
    found, wanted = (
        checkpoint_tensors(folder / "weights" / "last.pt") for folder in (run, tmp_path / "runs" / "whole")
    )
    assert not [key for key, value in wanted.items() if not torch.equal(value, found[key])]

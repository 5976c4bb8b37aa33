"""`--launcher slurm` on a real Slurm of one machine, where its programs are installed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.launchers.test_slurm import context
from tests.support import one_node_slurm, small_rank
from tests.support.small_rank import is_running, until
from trainer_host import ExitCode
from trainer_host.launchers.slurm import SlurmLauncher

pytest.importorskip("submitit")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(one_node_slurm.missing()), reason="needs slurmctld, slurmd, slurm-client and munge"),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with one_node_slurm.running(tmp_path_factory.mktemp("slurm")) as settings:
        yield settings


@pytest.fixture
def slurm(settings: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmLauncher:
    monkeypatch.setenv("SLURM_CONF", str(settings))

    def is_idle() -> bool:
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
        return done.stdout.strip() == "idle"

    until(is_idle)
    return SlurmLauncher()


def test_a_cancelled_job_saves_its_state_once(tmp_path: Path, slurm: SlurmLauncher) -> None:
    ctx = context(tmp_path / "run", time="2", warning=10)
    slurm.launch(ctx)
    until(lambda: all(small_rank.starts(ctx.save_dir, rank) for rank in (0, 1)))
    job = ctx.reporter.notes[0].split()[2].rstrip(":")  # type: ignore[attr-defined]
    subprocess.run(["scancel", job], check=True)
    code = ctx.save_dir / "slurm" / f"{job}_exit_code"
    until(code.exists)
    until(lambda: bool(code.read_text(encoding="utf-8")))
    assert int(code.read_text(encoding="utf-8")) == ExitCode.TERMINATED
    assert (ctx.save_dir / "state").exists()
    assert not list(ctx.save_dir.glob("warned-*")), "that signal was for another reason"


@pytest.mark.parametrize(("task", "code"), [("settings", ExitCode.SETTINGS), ("fail", ExitCode.LOSS)])
def test_a_failed_rank_ends_the_job_with_its_code(
    tmp_path: Path, slurm: SlurmLauncher, task: str, code: ExitCode
) -> None:
    slurm.poll_s = 0.5
    assert slurm.launch(context(tmp_path / "run", task=task, time="2", warning=10, wait=True)) == code


@pytest.mark.timeout(500)
def test_a_job_whose_time_is_up_is_requeued_and_goes_on(tmp_path: Path, slurm: SlurmLauncher) -> None:
    slurm.poll_s = 0.5
    ctx = context(tmp_path / "run", time="2", warning=90, wait=True)  # the warning comes early, within a minute
    assert slurm.launch(ctx) == ExitCode.DONE
    for rank in (0, 1):
        first, second = small_rank.starts(ctx.save_dir, rank)
        assert (first["resumed"], second["resumed"]) == (False, True)
        assert not is_running(first["pid"])
    assert (ctx.save_dir / "warned-1").exists(), "Slurm signals every process of a step"

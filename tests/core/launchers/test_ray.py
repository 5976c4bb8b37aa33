"""`--launcher ray`: two processes, on a cluster of this machine that exists already."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import small_rank
from tests.support.command import ROOT, process
from tests.support.recording_reporter import RecordingReporter
from tests.support.small_rank import is_running
from trainer_host import EnvironmentProblemError, ExitCode
from trainer_host.base.protocols import LaunchContext
from trainer_host.launchers.ray_cluster import Ray, RayLauncher

VARIABLES = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "400",
}  # a busy machine starts slowly
TASKS = ("ok", "settings", "die-once", "wait")


@pytest.fixture(scope="module")
def launched() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folder with a run for each task, and its outcome."""
    pytest.importorskip("ray.train")
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # sockets have short names
        words = [sys.executable, "-m", "tests.support.ray_launches", folder, *TASKS]
        done = process(*words, cwd=ROOT, path=[ROOT], **VARIABLES)
        assert done.code == 0, done.err[-3000:]
        yield Path(folder), json.loads(done.out.splitlines()[-1])


def context(**options: Any) -> LaunchContext:
    here = Path("runs/small/train")
    return LaunchContext(
        run_file=here / "run.yaml",
        save_dir=here,
        processes=2,
        devices=("0", "1"),
        command=("trainer", "run", "run.yaml"),
        reporter=RecordingReporter(),
        options={"ray": Ray(**options)},
    )


def test_what_would_be_started_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shown = RayLauncher().preview(context(storage_path="s3://bucket/runs"))
    assert "address: this machine\nprocesses: 2\nresources of each:\n  CPU: 1\n  GPU: 1.0\n" in shown
    assert "storage: s3://bucket/runs\n" in shown


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentProblemError) as caught:
        RayLauncher().launch(context())
    assert str(caught.value) == (
        "--launcher ray needs the package ray, which is not installed. Fix: pip install 'trainer-host[ray]'"
    )


class Kept:
    """A checkpoint of Ray, with one file."""

    def to_directory(self, path: str) -> None:
        Path(path, "weights").mkdir(parents=True)
        Path(path, "weights", "last.pt").write_bytes(b"kept")


def work(folder: Path) -> Any:
    from trainer_host.launchers.ray_worker import Work

    return Work(
        ("trainer",), {}, str(folder), str(folder / "run" / "run.yaml"), b"task: small", str(folder / "run"), True
    )


def test_a_machine_without_the_run_folder_gets_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = pytest.importorskip("ray.train")
    from trainer_host.launchers import ray_worker

    monkeypatch.setattr(train, "get_checkpoint", lambda: None)
    ray_worker._restore(work(tmp_path), False)
    assert not (tmp_path / "run").exists(), "one process of a machine does it"
    ray_worker._restore(work(tmp_path), True)
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["run.yaml"]
    monkeypatch.setattr(train, "get_checkpoint", Kept)
    ray_worker._restore(work(tmp_path), True)
    assert not (tmp_path / "run" / "weights").exists(), "a folder that is there is newer"
    (tmp_path / "run" / "run.yaml").unlink()
    (tmp_path / "run").rmdir()
    ray_worker._restore(work(tmp_path), True)
    assert {file.name for file in (tmp_path / "run").iterdir()} == {"run.yaml", "weights"}


def test_the_run_folder_is_brought_to_the_machine_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.train")
    from trainer_host.launchers import ray_worker

    monkeypatch.setattr(ray_worker.ray, "get", lambda value: value)
    status = SimpleNamespace(read=SimpleNamespace(remote=lambda: (False, None)))
    ctx = replace(context(), save_dir=tmp_path / "run")
    assert ray_worker.outcome(ctx, status, SimpleNamespace(checkpoint=Kept()), None) == ExitCode.DONE
    assert (tmp_path / "run" / "weights" / "last.pt").read_bytes() == b"kept"
    assert ctx.reporter.warnings == []  # type: ignore[attr-defined]
    lost = replace(ctx, save_dir=tmp_path / "elsewhere")
    assert ray_worker.outcome(lost, status, SimpleNamespace(checkpoint=None), None) == ExitCode.DONE
    (warning,) = ctx.reporter.warnings  # type: ignore[attr-defined]
    assert warning.startswith("the run folder is on the machine of rank 0 only. Fix: ")
    with pytest.raises(EnvironmentProblemError, match="Ray could not run the processes: no such node"):
        ray_worker.outcome(ctx, status, None, RuntimeError("several lines\nno such node"))


def test_the_rank_that_failed_first_is_known() -> None:
    pytest.importorskip("ray.train")
    from trainer_host.launchers.ray_worker import RunStatus

    status = RunStatus()
    for rank, code in ((0, ExitCode.RANK), (1, ExitCode.LOSS), (2, ExitCode.RANK), (3, ExitCode.MEMORY)):
        status.fail(rank, code)
    assert status.read() == (0, (1, ExitCode.LOSS))


@pytest.mark.parametrize("stops", [1, 2])
def test_a_second_request_ends_a_rank_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stops: int) -> None:
    pytest.importorskip("ray.train")
    from trainer_host.launchers import ray_worker
    from trainer_host.launchers.rank_process import RankProcess

    monkeypatch.setattr(ray_worker.ray, "get", lambda value: value)
    asked = iter(lambda: stops if small_rank.starts(tmp_path, 0) else 0, None)
    status = SimpleNamespace(
        read=SimpleNamespace(remote=lambda: (next(asked), None)),
        fail=SimpleNamespace(remote=lambda rank, code: None),
    )
    task = "wait" if stops == 1 else "stay"
    process = RankProcess([sys.executable, small_rank.__file__, str(tmp_path), task], {"RANK": "0"})
    assert ray_worker._watch(process, 0, status) == (143 if stops == 1 else 137)


@pytest.mark.slow
def test_ranks_know_their_places(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, outcomes = launched
    assert outcomes["ok"]["code"] == ExitCode.DONE
    (first,), (second,) = (small_rank.starts(folder / "ok", rank) for rank in (0, 1))
    places = [[one[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")] for one in (first, second)]
    assert places == [["0", "2", "0", "2"], ["1", "2", "1", "2"]]
    assert (first["MASTER_ADDR"], first["MASTER_PORT"]) == (second["MASTER_ADDR"], second["MASTER_PORT"])
    assert first["EXTRA"] == "given"


@pytest.mark.slow
def test_an_error_that_would_come_again_is_not_repeated(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, outcomes = launched
    assert outcomes["settings"]["code"] == ExitCode.SETTINGS
    assert len(small_rank.starts(folder / "settings", 0)) == 1


@pytest.mark.slow
def test_a_killed_rank_starts_all_again(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, outcomes = launched
    assert outcomes["die-once"]["code"] == ExitCode.DONE
    assert [len(small_rank.starts(folder / "die-once", rank)) for rank in (0, 1)] == [2, 2]
    ports = {one["MASTER_PORT"] for one in small_rank.starts(folder / "die-once", 0)}
    assert len(ports) == 2, "each start has a store of its own"


@pytest.mark.slow
def test_the_run_is_kept_in_the_storage_of_ray(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = launched
    (kept,) = (folder / "storage" / "die-once").glob("checkpoint_2*")
    assert {file.name for file in kept.iterdir()} >= {"run.yaml", "rank-0.jsonl", "rank-1.jsonl"}


@pytest.mark.slow
def test_a_signal_stops_all_with_the_state_saved(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, outcomes = launched
    assert outcomes["wait"]["code"] == ExitCode.TERMINATED
    assert (folder / "wait" / "state").exists()


@pytest.mark.slow
def test_no_process_is_left(launched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = launched
    starts = [start for task in TASKS for rank in (0, 1) for start in small_rank.starts(folder / task, rank)]
    assert not [start for start in starts if is_running(start["pid"])]

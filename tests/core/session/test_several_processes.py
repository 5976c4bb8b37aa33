"""Runs of several processes: what they write, how they end, and who starts them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import trainer_host
from tests.support import one_process
from tests.support.command import ROOT, TRAINER, Done, command, process
from tests.support.written_package import write_package
from trainer_host import SettingsError, hookimpl

TOTAL = {"total": 24.0}
"""What two ranks count in eight batches."""
DEADLINE_S = 120
LAUNCHER = """
from dataclasses import dataclass
from trainer_host import ExtensionSpec, hookimpl

@dataclass(frozen=True)
class Queue:
    time: int = 1

class Waiting:
    def launch(self, ctx):
        ctx.reporter.note(f"{ctx.processes} on {ctx.devices}: {ctx.command[4:]} {sorted(ctx.environment)}")
        assert ctx.run_file.is_relative_to(ctx.save_dir) and ctx.run_file.parent.is_dir()
        ctx.reporter.note(f"time {[one.time for one in ctx.options.values() if hasattr(one, 'time')]}")
        return CODE

    def preview(self, ctx):
        return f"start {ctx.processes} of {ctx.command[4]} in {ctx.save_dir.relative_to(ctx.save_dir.parents[2])}\\n"

class Hooks:
    @hookimpl
    def launchers(self):
        return {"queue": Waiting()}

EXTENSION = ExtensionSpec(hooks=Hooks(), options=Queue)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(tmp_path / "site", "trainer-ranked", tasks={"ranked": "tests.support.ranked_engine:TASK"})
    (tmp_path / "data.yaml").write_text("gray_values: true\nnames: [thing]\ntrain: .\nval: .\n")
    return tmp_path


def trainer(folder: Path, *words: object, **variables: str) -> Done:
    return command(*words, cwd=folder, path=(folder / "site", ROOT), **variables)


def run_two(folder: Path, *words: object) -> Done:
    return trainer(folder, "run", "--task", "ranked", "data=data.yaml", "--processes", 2, "--json", *words)


def written(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def record_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    return found


@pytest.mark.smoke
def test_the_first_rank_writes_the_one_folder(folder: Path) -> None:
    done = run_two(folder)
    assert done.code == 0, done.err
    assert done.json["metrics"] == TOTAL
    assert not done.json["nothing_done"]
    (run,) = (folder / "runs" / "ranked").iterdir()
    assert written(run) == {"read-by", "run.yaml", "weights", "written-by-0"}
    assert (run / "read-by").read_text().split() == ["0", "1"]  # the first reads alone, the others from its cache
    record = record_of(run)
    assert (record["processes"], record["record"]["status"]) == (2, "done")
    assert "save_dir" not in record
    assert record["record"]["origins"]["data"] == "command"
    assert done.err.count("Training ranked") == 1
    assert done.err.count("trainer 0.") == 1
    again = trainer(folder, "resume", run, "--json")
    assert again.json["nothing_done"]


@pytest.mark.slow
def test_a_resume_that_is_refused_changes_nothing(folder: Path) -> None:
    run_two(folder, "fault=kill")
    run = folder / "runs" / "ranked" / "train"
    kept, text = written(run), (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(changed := text.replace("a" * 64, "b" * 64))
    assert changed != text
    refused = trainer(folder, "resume", run)
    assert refused.code == 3, refused.err
    assert (run / "run.yaml").read_text() == changed
    assert written(run) == kept


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (["fault=loss"], 7, "[rank 1] the loss is NaN."),
        pytest.param(["fault=kill", "fault_rank=0"], 10, "rank 0 was killed by SIGKILL.", marks=pytest.mark.slow),
        pytest.param(["fault=leave"], 10, "rank 1 ended with exit code 3", marks=pytest.mark.slow),
        pytest.param(["fault=dataset", "fault_rank=0"], 4, "[rank 0] the dataset cannot", marks=pytest.mark.slow),
        pytest.param(["fault=dataset"], 4, "[rank 1] the dataset cannot", marks=pytest.mark.slow),
        pytest.param(["fault=bug"], 5, "[rank 1] task 'ranked' from", marks=pytest.mark.slow),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_a_rank_that_fails_ends_all_with_its_message(folder: Path, fault: list[str], code: int, said: str) -> None:
    done = run_two(folder, *fault)
    assert done.code == done.json["exit_code"] == code, done.err
    (problem,) = done.problems
    assert problem.startswith(said)
    assert done.json["rank"] == int(said.partition("rank ")[2][0])
    run = folder / "runs" / "ranked" / "train"
    if fault[0] != "fault=dataset":
        assert done.json["resume"] == "trainer resume runs/ranked/train"
        record = record_of(run)["record"]
        assert record["status"] == ("loss not finite" if code == 7 else "failed")
        assert said in record["error"]
    assert not (run / ".ranks").exists()


def test_a_killed_rank_is_started_again_from_the_newest_state(folder: Path) -> None:
    done = run_two(folder, "fault=kill", f"once={folder / 'once'}", "--max-restarts=1")
    assert done.code == 0, done.err
    assert "rank 1 was killed by SIGKILL." in done.err
    assert "Starting again (1 restart left)." in done.err
    assert done.json["metrics"] == TOTAL
    assert done.json["resumed_from"]["batch"] in {2, 3}
    assert not done.problems


@pytest.mark.slow
def test_an_error_that_would_come_again_is_not_tried_again(folder: Path) -> None:
    done = run_two(folder, "fault=loss", "--max-restarts=3")
    assert done.code == 7
    assert "Starting again" not in done.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_to_the_launcher_stops_all_with_the_state_saved(folder: Path, number: int, code: int) -> None:
    words = [*TRAINER, "run", "--task", "ranked", "data=data.yaml", "--processes", "2", "batches=400", "pace=0.25"]
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell ignore it
    with started(words, folder) as launcher:
        signal.signal(signal.SIGINT, kept)
        shared = folder / "runs" / "ranked" / "train" / ".ranks"
        weights = shared.parent / "weights"
        _wait_for(lambda: any(weights.glob("state-*.pt")), launcher)
        ranks = [int(file.read_text().split("-")[2]) for file in shared.glob("process-*")]
        assert len(ranks) == 2
        if number == signal.SIGTERM:
            _refused_while_it_runs(folder)
        launcher.send_signal(number)
        _, err = launcher.communicate(timeout=DEADLINE_S)
    assert launcher.returncode == code, err
    assert "the state is saved" in err
    assert err.count("trainer: ") == 1
    assert not any(map(_lives, ranks))
    assert not shared.exists()
    record = record_of(shared.parent)["record"]
    assert (record["status"], bool(record["states"])) == ("stopped", True)
    # It goes on in as many processes as it had, or in another number of them.
    more = trainer(folder, "resume", shared.parent, "--processes", "1", "--json")
    assert more.code == 0, more.err
    assert "Changed: processes=2 -> 1 " in more.err
    assert "processes" not in record_of(shared.parent)
    done = more.json["resumed_from"]["batch"]
    assert more.json["metrics"] == {"total": 3.0 * done + (400 - done)}


def _refused_while_it_runs(folder: Path) -> None:
    """Have other launchers come to a run: each is refused, and changes nothing."""
    run = folder / "runs" / "ranked" / "train"
    shared = sorted(path.name for path in (run / ".ranks").iterdir())
    two = ["--task", "ranked", "data=data.yaml", "--processes", 2]
    for words in (["resume", run, "--processes", 2], ["run", *two, "exist_ok=True", "name=train"]):
        done = trainer(folder, *words)
        assert done.code == 9
        assert "the folder is in use by another run (process " in done.err
        assert record_of(run)["record"]["status"] == "running"
        assert sorted(path.name for path in (run / ".ranks").iterdir()) == shared


@pytest.mark.slow
@pytest.mark.parametrize("trains", [True, False])
def test_no_rank_outlives_a_launcher_that_is_killed(folder: Path, trains: bool) -> None:
    words = [*TRAINER, "run", "--task", "ranked", "data=data.yaml", "--processes", "2", "batches=100000", "pace=0.05"]
    with started(words, folder) as launcher:
        if trains:
            _wait_for((folder / "runs" / "ranked" / "train" / ".ranks" / "begun").exists, launcher)
        else:  # before they have entered
            _wait_for(lambda: len(_ranks_of(launcher)) == 2, launcher)
        ranks = _ranks_of(launcher)
        launcher.kill()
    _wait_for(lambda: not any(map(_lives, ranks)))


@pytest.mark.slow
def test_a_second_signal_ends_all_at_once(folder: Path) -> None:
    words = [*TRAINER, "run", "--task", "ranked", "data=data.yaml", "--processes", "2", "batches=9", "pace=100"]
    with started(words, folder) as launcher:
        _wait_for((folder / "runs" / "ranked" / "train" / ".ranks" / "begun").exists, launcher)
        ranks = _ranks_of(launcher)
        for process in (launcher.pid, *ranks, *ranks):  # as a scheduler signals all of them: one request
            os.kill(process, signal.SIGTERM)
        assert all(map(_lives, ranks))
        at_once = folder / "runs" / "ranked" / "train" / ".ranks" / "at-once"
        _wait_for(lambda: at_once.exists() or _again(launcher))  # of two at once, one counts
        _, err = launcher.communicate(timeout=DEADLINE_S)
    assert launcher.returncode == 143
    assert "stopped by SIGTERM: without saving the state." in err
    assert not any(map(_lives, ranks))


def _again(process: subprocess.Popen[str]) -> bool:
    process.send_signal(signal.SIGTERM)
    return False


def started(words: list[str], folder: Path, **variables: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return one_process.started(words, folder, (folder / "site", ROOT), **variables)


def _ranks_of(launcher: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a launcher has started as ranks."""
    found = []
    for child in psutil.Process(launcher.pid).children():
        with suppress(psutil.Error):
            if "RANK" in child.environ():
                found.append(child.pid)
    return found


@pytest.mark.slow
def test_torchrun_starts_ranks_on_two_nodes(folder: Path) -> None:
    port = _free_port()
    with ExitStack() as stack:
        agents = []
        for node in range(2):
            words = ["--nnodes=2", f"--node-rank={node}", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=two"]
            words += [f"--rdzv-endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1", "-m", "trainer_host", "run"]
            line = [sys.executable, "-m", "torch.distributed.run", *words, "--task", "ranked", "data=data.yaml"]
            agents.append(stack.enter_context(started([*line, "--json"], folder)))
        said = "".join(agent.communicate(timeout=DEADLINE_S)[0] for agent in agents)
        assert [agent.returncode for agent in agents] == [0, 0]
    assert Done(0, said, "").json["metrics"] == TOTAL  # printed once
    assert written(folder / "runs" / "ranked" / "train") == {"read-by", "run.yaml", "weights", "written-by-0"}


@pytest.mark.slow
def test_tasks_of_srun_are_ranks(folder: Path) -> None:
    with ExitStack() as stack:
        tasks = []
        for number in "01":
            variables = {"SLURM_PROCID": number, "SLURM_LOCALID": number, "SLURM_STEP_ID": "0"}
            variables |= {
                "SLURM_STEP_NUM_TASKS": "2",
                "SLURM_STEP_NODELIST": "localhost",
                "SLURM_JOB_ID": str(os.getpid()),
            }
            words = [*TRAINER, "run", "--task", "ranked", "data=data.yaml", "fault=loss"]
            tasks.append(stack.enter_context(started(words, folder, **variables)))
        said = [task.communicate(timeout=DEADLINE_S)[1] for task in tasks]
        assert tasks[1].returncode == 7
    assert "trainer: [rank 1] the loss is NaN." in said[1]
    assert "Training ranked" in said[0]
    assert "Training ranked" not in said[1]


MANY_CALLS = """
import sys
import psutil
import trainer_host

for _ in range(int(sys.argv[1])):
    trainer_host.run("ranked", data="data.yaml", processes=2)
here = psutil.Process()
left = [child.cmdline() for child in here.children(recursive=True)]
assert not left, left
assert not [one for one in here.net_connections() if one.status == "LISTEN"]
"""


@pytest.mark.slow
def test_twenty_runs_leave_no_process_and_no_port(folder: Path) -> None:
    done = process(sys.executable, "-c", MANY_CALLS, "20", cwd=folder, path=(folder / "site", ROOT))
    assert done.code == 0, done.err
    assert len(list((folder / "runs" / "ranked").glob("*/written-by-0"))) == 20
    assert not list((folder / "runs" / "ranked").glob("*/.ranks"))


CALL = """
import trainer_host
done = trainer_host.run("ranked", data="data.yaml", processes=2)
assert done.metrics == {"total": 24.0}, done
try:
    trainer_host.run("ranked", data="data.yaml", processes=2, fault="loss")
except trainer_host.LossError as error:
    assert error.details["rank"] == 1
else:
    raise AssertionError
"""


@pytest.mark.train
def test_a_task_of_the_host_trains_in_two_processes(tmp_path: Path) -> None:
    words = ["run", "--task", "detect", "--processes", 2, "epochs=1", "imgsz=64", "batch=4", "--json"]
    done = command(*words, cwd=tmp_path)
    assert done.code == 0, done.err
    run = Path(done.json["save_dir"])
    assert done.json["best"] == str(run / "weights" / "best.pt")
    assert {"best.pt", "last.pt"} == written(run / "weights")
    assert {"results.csv", "labels.jpg", "results.png", "predictions.jpg", "args.yaml"} <= written(run)
    assert not [name for name in written(run) if name.startswith(".")]
    assert len((run / "results.csv").read_text().splitlines()) == 2
    assert done.err.count("1/1 ") == 1


WORKERS = """
from trainer_host import ExtensionSpec, hookimpl

class Hooks:
    @hookimpl(wrapper=True)
    def build_dataloader(self, ctx, dataset):
        from ultralytics.data import build_dataloader

        loader = yield
        if ctx.mode == "val":
            return loader
        return build_dataloader(dataset, batch=ctx.batch_size, workers=2, device=ctx.device)

EXTENSION = ExtensionSpec(hooks=Hooks())
"""


@pytest.mark.train
def test_a_signal_to_all_processes_saves_the_state_in_spite_of_loaders_with_workers(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    words = ["--task", "detect", "--plugin", "./workers.py", "epochs=100", "imgsz=64", "batch=4", "plots=False"]
    with started([*TRAINER, "run", *words, "--processes", "2", "--checkpoint-every", "2"], tmp_path) as launcher:
        weights = tmp_path / "runs" / "detect" / "train" / "weights"
        _wait_for(lambda: any(weights.glob("state-*.pt")), launcher)
        processes = [launcher.pid, *(one.pid for one in psutil.Process(launcher.pid).children(recursive=True))]
        assert len(processes) >= 7  # two ranks with two workers each
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        _, err = launcher.communicate(timeout=DEADLINE_S)
    assert launcher.returncode == 143, err
    assert "the state is saved at epoch" in err
    assert err.count("trainer: ") == 1
    assert not any(map(_lives, processes))


@pytest.mark.slow
def test_a_call_starts_processes(folder: Path) -> None:
    done = process(sys.executable, "-c", CALL, cwd=folder, path=(folder / "site", ROOT))
    assert (done.code, done.out, done.err) == (0, "", ""), done.err


TWO_CALLS = """
import trainer_host
for name in ("a", "b"):
    done = trainer_host.run("ranked", data="data.yaml", name=name)
    assert done.metrics == {"total": 24.0}, done
"""


@pytest.mark.slow
@pytest.mark.parametrize("launched", [True, False])
def test_a_script_of_several_ranks_calls_twice(folder: Path, launched: bool) -> None:
    (folder / "two.py").write_text(TWO_CALLS)
    if launched:
        words = ["--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
        done = process(
            *(sys.executable, "-m", "torch.distributed.run", *words, "two.py"), cwd=folder, path=(folder / "site", ROOT)
        )
        assert done.code == 0, done.err
    else:  # whose first process keeps the store
        place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        with ExitStack() as stack:
            line = [sys.executable, "two.py"]
            ranks = [stack.enter_context(started(line, folder, RANK=rank, **place)) for rank in "01"]
            said = [rank.communicate(timeout=DEADLINE_S)[1] for rank in ranks]
            assert [rank.returncode for rank in ranks] == [0, 0], said
    assert {path.name for path in (folder / "runs" / "ranked").iterdir()} == {"a", "b"}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class _Nothing:
    @hookimpl
    def callbacks(self, ctx: Any) -> dict[str, Any]:
        return {}


def test_what_cannot_be_launched_is_refused_before_anything_starts(
    trainer: Callable[..., Done], installed: Callable[..., Path], tmp_path: Path
) -> None:
    installed("trainer-ranked", tasks={"ranked": "tests.support.ranked_engine:TASK"})
    (tmp_path / "data.yaml").write_text("gray_values: true\nnames: [thing]\ntrain: .\nval: .\n")
    words = ["run", "--task", "ranked", "data=data.yaml"]
    for given, said in {
        ("device=0,1",): "device=0,1: CUDA finds no GPU.",
        ("device=0,1", "mean=2"): "mean is a fraction.",
        ("--processes=2", "--launcher=ray2"): "unknown launcher 'ray2'.",
        ("--processes=2", "--exact"): "--exact with 2 processes: there is nothing to compare with on a CPU",
        ("--processes=40", "batch=16"): "batch=16 with 40 processes: some would have no image of any batch.",
        ("--processes=two",): "--processes=two is not a number of processes.",
        ("--max-restarts=-1",): "--max-restarts=-1 is not a number of restarts.",
    }.items():
        done = trainer(*words, *given)
        assert done.code == 3
        assert any(problem.startswith(said) for problem in done.problems), done.err
    with pytest.raises(SettingsError, match="was given as an object"):
        trainer_host.run("ranked", data="data.yaml", processes=2, plugins=[_Nothing()])
    assert not (tmp_path / "runs").exists()


def test_another_number_of_processes_than_the_environment_says(
    trainer: Callable[..., Done], installed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("trainer-ranked", tasks={"ranked": "tests.support.ranked_engine:TASK"})
    (tmp_path / "data.yaml").write_text("gray_values: true\nnames: [thing]\ntrain: .\nval: .\n")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    refused = trainer("run", "--task", "ranked", "data=data.yaml", "device=0,1")
    assert refused.code == 3
    assert "Fix: unset RANK and WORLD_SIZE" in refused.err
    warned = trainer("run", "--task", "ranked", "data=data.yaml", "--processes", "4")
    assert warned.code == 0, warned.err
    assert "--processes 4 has no effect: 1 process was started (RANK and WORLD_SIZE)." in warned.err


def test_an_extension_brings_a_launcher(
    trainer: Callable[..., Done], installed: Callable[..., Path], tmp_path: Path
) -> None:
    installed("trainer-ranked", tasks={"ranked": "tests.support.ranked_engine:TASK"})
    (tmp_path / "data.yaml").write_text("gray_values: true\nnames: [thing]\ntrain: .\nval: .\n")
    (tmp_path / "queue.py").write_text(LAUNCHER.replace("CODE", "0"))
    (tmp_path / "failing.py").write_text(LAUNCHER.replace("CODE", "137"))
    words = ["run", "--task", "ranked", "data=data.yaml", "--launcher", "queue", "--processes", "3"]
    assert trainer(*words, "--plugin", "./queue.py", "--dry-run").out == "start 3 of run in runs/ranked/train\n"
    preview = trainer(*words, "--plugin", "./queue.py", "--dry-run", "--json", "project=p", "name=n").json
    assert preview == {"preview": "start 3 of run in runs/ranked/p/n\n".replace("runs/", "")}
    assert not (tmp_path / "runs").exists()
    done = trainer(*words, "--plugin", "./queue.py", "--json")
    assert done.code == 0, done.err
    assert "3 on (): ('run', " in done.err
    assert "Handed over to queue." in done.err
    assert done.json["stop_reason"] == "launched"
    shared = Path(done.json["save_dir"]) / ".ranks"
    assert record_of(shared)["processes"] == 3  # the processes start later, from this file
    # How it starts the processes is not part of the run.
    plain = ["run", "--task", "ranked", "data=data.yaml", "name=plain", "fault=loss", "fault_rank=0"]
    assert trainer(*plain, "--plugin", "./queue.py", "queue.time=2").code == 7
    run = tmp_path / "runs" / "ranked" / "plain"
    assert record_of(run)["plugins"] == {str(tmp_path / "queue.py"): {}}
    more = ["--launcher", "queue", "--plugin", "./queue.py", "--processes", "2"]
    again = trainer("resume", str(run), *more, "queue.time=3")
    assert again.code == 0, again.err
    assert "time [3" in again.err
    numbered = trainer(*words, "--plugin", "./queue.py", "--dry-run", "name=plain").out
    assert numbered == "start 3 of run in runs/ranked/plain2\n"
    shutil.rmtree(run)
    failed = trainer(*words, "--plugin", "./failing.py")
    assert failed.code == 10
    assert failed.problems[0].startswith("the processes of the run failed (exit code 137). Fix: look at their output")
    assert [path.name for path in (tmp_path / "runs" / "ranked").iterdir()] == ["train"]


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any] | None = None) -> None:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}

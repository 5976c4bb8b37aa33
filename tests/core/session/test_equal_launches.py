"""One training in two processes, started in each way: by the host, by torchrun, on two nodes, by Ray, and again."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from tests.support.command import ROOT, command
from tests.support.one_process import started
from tests.support.sample_datasets import detect_dataset
from tests.support.training import checkpoint_tensors

pytestmark = pytest.mark.train
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--rdzv-backend=c10d", "--local-addr=127.0.0.1"]
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "400"}
DEADLINE_S = 300
KILL = """
import os, signal
from pathlib import Path
from trainer_host import ExtensionSpec, hookimpl

class Hooks:
    @hookimpl
    def callbacks(self, ctx):
        def kill(trainer):
            if ctx.rank == 1 and trainer.epoch == 1 and not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"on_train_batch_end": kill}

EXTENSION = ExtensionSpec(hooks=Hooks())
"""

THREADS = """
import atexit, os
from pathlib import Path
from trainer_host import ExtensionSpec, hookimpl

class Hooks:
    @hookimpl
    def callbacks(self, ctx):
        def write():
            names = [name.read_text() for name in Path("/proc/self/task").glob("*/comm")]
            Path(f"threads.{ctx.rank}").write_text("".join(names))
        atexit.register(write)
        return {}

EXTENSION = ExtensionSpec(hooks=Hooks())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a dataset and the run that the host has started."""
    folder = tmp_path_factory.mktemp("launches")
    detect_dataset(folder / "data", 10)
    (folder / "threads.py").write_text(THREADS)
    done = command(*words("whole"), "--plugin", "./threads.py", "--processes", 2, cwd=folder)
    assert done.code == 0, done.err
    return folder


def words(name: str) -> list[str]:
    settings = ["model=yolo26n.yaml", "data=data", "epochs=2", "imgsz=64", "batch=4", "plots=False", f"name={name}"]
    return ["run", "--task", "detect", *settings]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return checkpoint_tensors(folder / "runs" / "detect" / name / "weights" / "last.pt")


def require_equal(folder: Path, name: str) -> None:
    wanted, found = weights(folder, "whole"), weights(folder, name)
    assert wanted.keys() == found.keys()
    assert not [key for key, value in wanted.items() if not torch.equal(value, found[key])]


def test_no_thread_of_the_group_is_left_when_its_processes_end(folder: Path) -> None:
    """The interpreter would end while it runs, and abort now and again."""
    threads = [(folder / f"threads.{rank}").read_text().split() for rank in range(2)]
    assert all(names and not [name for name in names if "gloo" in name] for names in threads)


def test_weights_after_a_restart_are_those_of_an_undisturbed_run(folder: Path) -> None:
    (folder / "kill.py").write_text(KILL)
    more = ["--plugin", "./kill.py", "--processes", 2, "--max-restarts", 1, "--checkpoint-every", 2, "--json"]
    done = command(*words("restarted"), *more, cwd=folder)
    assert done.code == 0, done.err
    assert "rank 1 was killed by SIGKILL." in done.err
    assert done.json["resumed_from"]
    require_equal(folder, "restarted")


@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun_gives_the_same_weights(folder: Path, nodes: int) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        place = [f"--rdzv-endpoint=127.0.0.1:{one.getsockname()[1]}", "--rdzv-id=equal"]
    size = [f"--nnodes={nodes}", f"--nproc-per-node={2 // nodes}", *place]
    with ExitStack() as stack:
        agents = [
            stack.enter_context(
                started(
                    [*TORCHRUN, *size, f"--node-rank={node}", "-m", "trainer_host", *words(f"nodes{nodes}")], folder
                )
            )
            for node in range(nodes)
        ]
        said = [agent.communicate(timeout=DEADLINE_S)[1] for agent in agents]
        assert [agent.returncode for agent in agents] == [0] * nodes, said
    require_equal(folder, f"nodes{nodes}")


def test_ray_gives_the_same_weights(folder: Path) -> None:
    pytest.importorskip("ray.train")
    done = command(*words("ray"), "--processes", 2, "--launcher", "ray", cwd=folder, path=(ROOT,), **RAY)
    assert done.code == 0, done.err[-3000:]
    require_equal(folder, "ray")

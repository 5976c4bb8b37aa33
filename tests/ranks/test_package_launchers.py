"""A task and extensions of packages under every launcher, that of a package among them: the same run, to the bit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import rows
from tests.ranks.packages import Place, Trained, recorder, shown_once, trained
from tests.support import stand_in_slurm
from tests.support.command import TRAINER, process
from tests.support.warm_processes import warm_ranks

pytestmark = pytest.mark.train

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
TORCHRUN += ["--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1", "-m", "trainer_host"]
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "400"}
LAUNCHERS: dict[str, tuple[list[str], list[str]]] = {
    "torchrun": (TRAINER, ["--launcher", "torchrun", "--processes", "2"]),
    "torchrun from outside": (TORCHRUN, []),
    "slurm": (TRAINER, ["--launcher", "slurm", "--processes", "2", "slurm.wait=true"]),
    "ray": (TRAINER, ["--launcher", "ray", "--processes", "2"]),
    "popen": (TRAINER, ["--launcher", "popen", "--processes", "2", "popen.before=['env', 'BEFORE=1']"]),
}
"""The beginning of a command, and words that say who starts the processes."""
NEEDS = {"slurm": "submitit", "ray": "ray.train"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place.in_folder(tmp_path_factory.mktemp("launchers"))


def words_in(folder: Path) -> list[str]:
    """Return the words of the run, apart from who starts it."""
    plugins = ["--plugin", "layer-rates", "layer-rates.layers=stem.", "--plugin", "json-log", *recorder(folder)]
    settings = ["epochs=1", "workers=0", "--threads", "1", f"json-log.file={folder / 'log.jsonl'}", "--json"]
    return ["run", "--task", "heatmap", "heatmap.channels=12", *plugins, *settings]


@pytest.fixture(scope="module")
def wanted(place: Place) -> Trained:
    """The run of two processes that find out by themselves what they are."""
    folder = place.folder / "alone"
    folder.mkdir()
    first, second = warm_ranks(*words_in(folder), cwd=folder, path=place.path)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    return trained(folder, first.out, "heatmap")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_packages_are_there_under_every_launcher(launcher: str, place: Place, wanted: Trained, tmp_path: Path) -> None:
    if launcher in NEEDS:
        pytest.importorskip(NEEDS[launcher])
    variables = {"slurm": stand_in_slurm.install(tmp_path / "slurm"), "ray": RAY}.get(launcher, {})
    begin, who = LAUNCHERS[launcher]
    done = process(*begin, *words_in(tmp_path), *who, cwd=tmp_path, path=place.path, **variables)
    assert done.code == 0, done.err[-3000:]
    run = trained(tmp_path, done.out, "heatmap")
    assert [rank["weights"] for rank in run.ranks] == [rank["weights"] for rank in wanted.ranks]
    assert run.result["metrics"] == wanted.result["metrics"]
    assert "metrics/PCK" in run.row
    first, epoch, last = map(json.loads, (tmp_path / "log.jsonl").read_text("utf-8").splitlines())
    assert (first["task"], epoch["epoch"], last["epoch"]) == ("heatmap", 1, None)
    (rates,) = (json.loads(line) for line in (run.run / "layer-rates.jsonl").read_text("utf-8").splitlines())
    assert rates["rates"][3:] == [pytest.approx(rate / 10) for rate in rates["rates"][:3]]
    assert {row["point"] for row in rows(run.run / "points.csv")} == {"red", "green", "blue"}
    if launcher not in {"slurm", "ray"}:  # whose processes write elsewhere
        shown_once(done.err, "Training heatmap")


def test_a_launcher_of_a_package_shows_what_it_would_start(place: Place, tmp_path: Path) -> None:
    begin, who = LAUNCHERS["popen"]
    done = process(*begin, *words_in(tmp_path)[:-1], *who, "--dry-run", cwd=tmp_path, path=place.path)
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first == "# 2 times:"
    assert second.startswith("env BEFORE=1 ")
    assert not (tmp_path / "runs" / "heatmap").exists()

"""Two processes that start for one folder at the same moment get two folders, or one of them is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_training import Plan, plan
from trainer_host import ExitCode, TrainerError
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.base.signals import StopRequest
from trainer_host.engine.process_group import SingleProcess
from trainer_host.session import training
from trainer_host.session.opening import open_request
from trainer_host.session.ranks import RankGroup
from trainer_host.session.resolution import resolve
from trainer_host.session.session_context import SessionContext
from trainer_host.session.working_engine import engine_of_request

__all__ = ["plan"]
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "numbered": ({}, {}),
    "exist_ok": ({"exist_ok": True}, {}),
    "save_dir": ({"save_dir": "runs/detect/night"}, {}),
    "resume": ({}, {"if_exists": "resume"}),
    "fail": ({}, {"if_exists": "fail"}),
}
REFUSED = {"numbered": ExitCode.STORAGE, "fail": ExitCode.SETTINGS}
"""Exit code of a process that is refused; others get that of a folder in use."""


class Race:
    """Starts processes at one moment; those that got a folder stay in it until all have come that far."""

    def __init__(self, plan: Plan, runs: dict[str, Any]) -> None:
        self.runs = runs
        self.start, self.arrived, self.end = os.pipe(), os.pipe(), os.pipe()
        plan.work = self.work

    def work(self, _save: Any, _stop: Any) -> bool:
        """Stay until the other process has a folder too, or is refused."""
        os.write(self.arrived[1], b".")
        os.read(self.end[0], 1)
        os._exit(0)

    def outcome(self, *ways: str) -> list[int]:
        """Return the exit codes of runs that begin together."""
        children = []
        for way in ways:
            if (child := os.fork()) == 0:
                os._exit(self._begin(way))
            children.append(child)
        os.close(self.start[1])
        for _ in ways:
            os.read(self.arrived[0], 1)
        os.close(self.end[1])
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        for descriptor in (self.start[0], self.end[0], *self.arrived):
            os.close(descriptor)
        return codes

    def _begin(self, way: str) -> int:
        os.close(self.start[1])
        os.close(self.end[1])
        try:
            os.read(self.start[0], 1)  # until the parent closes its end
            training.begin(*self.runs[way])
        except TrainerError as error:
            os.write(self.arrived[1], b".")
            return int(error.exit_code)
        except BaseException:
            os.write(self.arrived[1], b".")
            return 70
        return 71


OFTEN = [pytest.param((way, way), 50, id=way) for way in ("numbered", "resume")]
LESS_OFTEN = [(way, way) for way in ("exist_ok", "save_dir", "fail")] + [
    ("numbered", "exist_ok"),
    ("numbered", "resume"),
    ("resume", "save_dir"),
]


@pytest.mark.parametrize(
    ("ways", "rounds"),
    OFTEN + [pytest.param(ways, 50, id="-".join(ways), marks=pytest.mark.slow) for ways in LESS_OFTEN],
)
def test_two_processes_never_share_a_folder(
    engine: None, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: tuple[str, str], rounds: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text("train: train\nval: val\nnames: {0: a}\n")
    given = {"data": str(tmp_path / "data.yaml"), "model": "yolo26n.yaml", "name": "night"}
    runs = {}
    for way in ways:
        settings, options = WAYS[way]
        request, registry = open_request(Request.of("run", {**given, **settings}, task="detect", **options), "call")
        run = resolve(request, registry, NullReporter(), engine_of_request(request, registry))
        ranks = RankGroup(SingleProcess())
        runs[way] = run, request, SessionContext(registry, NullReporter(), StopRequest(), run.engine, ranks)
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        codes = Race(plan, runs).outcome(*ways)
        owners = [len(list(made.glob("weights/owner-*"))) for made in folder.glob("runs/detect/*")]
        assert sorted(owners) in ([1], [1, 1]), (number, codes, owners)
        assert codes.count(0) == len(owners), (number, codes, owners)
        refusals = {int(REFUSED.get(way, ExitCode.STORAGE)) for way in ways}
        assert set(codes) - {0} <= refusals, (number, codes)
        if ways == ("numbered", "numbered"):
            assert codes == [0, 0]

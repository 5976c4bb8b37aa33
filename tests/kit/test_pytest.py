"""The kit in the test suite of somebody else: checks as items of their own, and fixtures that are asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.command import process

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.train

SUITE = """
import trainer_host
from tests.kit.broken import UNMARKED
from tests.kit.toy import TASK
from trainer_host import TaskSpec
from trainer_host.testing import parametrize_with_checks

pytest_plugins = ["trainer_host.testing.pytest_plugin"]
FEW = {"hooks", "host-version", "options", "trains"}


class Nothing:
    pass


@parametrize_with_checks([TASK, UNMARKED], checks=FEW)
def test_it_keeps_the_contract(check):
    check()


def test_nothing_else_is_there(only_plugins):
    assert only_plugins().records == ()
    assert [r.name for r in only_plugins("detect", my_toy=TASK).records] == ["detect", "my-toy"]


def test_bases_are_there_too(only_plugins):
    paws = TaskSpec(hooks=Nothing(), base="my-pose")
    registry = only_plugins(paws=paws, my_pose=TaskSpec(hooks=Nothing(), base="pose"))
    assert [r.name for r in registry.records] == ["detect", "my-pose", "paws", "pose"]


def test_a_tiny_sample(tiny_dataset, only_plugins):
    registry = only_plugins("pose", my_toy=TASK)
    drawn = tiny_dataset("my-toy", registry=registry)
    assert trainer_host.check(drawn.file, registry=registry).findings == []
    assert len(list(tiny_dataset("pose").folder.glob("images/*/*"))) == 12
"""


def test_a_suite_of_an_author(tmp_path: Path) -> None:
    (tmp_path / "test_plugin.py").write_text(SUITE)
    options = ["-p", "no:cacheprovider", "-v", "--rootdir", str(tmp_path), "-W", "error"]
    done = process(sys.executable, "-m", "pytest", *options, "test_plugin.py", cwd=tmp_path, path=[ROOT])
    said = {line.split()[0].partition("::")[2]: line.split()[1] for line in done.out.splitlines() if "::test" in line}
    assert done.code == 1, done.out
    assert said["test_it_keeps_the_contract[toy-hooks]"] == "PASSED", done.out
    assert said["test_it_keeps_the_contract[toy-trains]"] == "PASSED"
    assert said["test_it_keeps_the_contract[toy-host-version]"] == "SKIPPED"
    assert said["test_it_keeps_the_contract[unmarked-hooks]"] == "FAILED"
    fixtures = ("test_nothing_else_is_there", "test_bases_are_there_too", "test_a_tiny_sample")
    assert [said[name] for name in fixtures] == ["PASSED"] * 3, done.out
    assert "plot_data: not marked as a hook, so never called. Fix: put @hookimpl above it" in done.out


def test_the_fixtures_load_only_where_they_are_asked_for() -> None:
    from importlib import metadata

    groups = {e.group for e in metadata.distribution("trainer-host").entry_points}
    assert "pytest11" not in groups

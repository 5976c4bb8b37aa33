"""What the kit looks at of installed packages, and the command ``trainer plugins verify``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.engine_copy import engine_copy
from tests.support.command import command
from tests.support.written_package import write_package
from trainer_host.testing import VerificationError, check_plugin
from trainer_host.testing.engine_overlay import engine_overlay

ROOT = Path(__file__).resolve().parents[2]
REQUIRES = ["trainer-host>=0.1"]


def put(folder: Path, *, requires: list[str] = REQUIRES, target: str = "tests.kit.toy:TASK") -> Path:
    """Install a package with the toy task into a folder, as an installer would leave it."""
    return write_package(folder, "trainer-toy", tasks={"toy": target}, requires=requires)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    return folder


def failed(*checks: str) -> list[str]:
    try:
        check_plugin("toy", checks=checks)
    except VerificationError as error:
        return [str(o) for o in error.outcomes if o.state == "failed"]
    return []


CONTRACT = ("hooks", "host-version", "options", "listing-imports-nothing")


def test_a_sound_package_passes(site: Path) -> None:
    put(site)
    assert [(o.check, o.state) for o in check_plugin("toy", checks=CONTRACT)] == [(name, "ok") for name in CONTRACT]


@pytest.mark.parametrize(
    ("requires", "reported"),
    [
        ([], "trainer-toy does not require trainer-host."),
        (["trainer-host"], "trainer-toy requires trainer-host, without a lower bound."),
        (["trainer-host<99"], "trainer-toy requires trainer-host<99, without a lower bound."),
    ],
)
def test_a_package_has_to_say_which_host_it_needs(site: Path, requires: list[str], reported: str) -> None:
    put(site, requires=requires)
    (found,) = failed(*CONTRACT)
    assert found.startswith(f"host-version: {reported}")
    assert "dependencies" in found


def test_a_package_that_imports_itself_when_python_starts_is_found(site: Path) -> None:
    put(site, target="toy_package:TASK")
    (site / "toy_package.py").write_text("from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object())\n")
    (site / "sitecustomize.py").write_text("import toy_package\n")
    (found,) = failed("listing-imports-nothing")
    assert "listing imports toy_package." in found


@pytest.mark.train
def test_the_command_prints_a_line_for_each_check(tmp_path: Path) -> None:
    site = put(tmp_path / "site", requires=[])
    done = command("plugins", "verify", "toy", "lr0=0.01", cwd=tmp_path, path=[site, ROOT])
    lines = [line for line in done.out.splitlines() if not line.startswith(" ")]
    assert done.code == 5
    assert [line.split()[:2] for line in lines if not line.startswith("ok")] == [["FAILED", "host-version"]]
    assert "Fix: require the release that you test with" in done.out
    assert "toy: 18 checks, 1 failed." in done.err
    assert not list(tmp_path.glob("runs"))


def test_an_unknown_check_or_plugin_is_reported(tmp_path: Path) -> None:
    site = put(tmp_path / "site")
    done = command("plugins", "verify", "toy", "--check", "learn", cwd=tmp_path, path=[site, ROOT])
    assert (done.code, done.problems) == (3, ["unknown check 'learn'. Did you mean 'learns'?"])
    done = command("plugins", "verify", "toys", cwd=tmp_path, path=[site, ROOT])
    assert (done.code, done.problems) == (5, ["unknown plugin 'toys'. Did you mean 'toy'?"])


def test_settings_are_given_as_for_a_run(tmp_path: Path) -> None:
    site = put(tmp_path / "site")
    words = ("plugins", "verify", "toy", "--check", "trains")
    done = command(*words, "toy.gain=2", cwd=tmp_path, path=[site, ROOT])
    assert done.code == 5 and "unknown option of plugin 'toy': 'gain'" in done.out
    done = command(*words, "epoch", cwd=tmp_path, path=[site, ROOT])
    assert (done.code, done.problems) == (3, ["'epoch' is not a setting. Fix: write key=value, such as epochs=10"])


def test_a_file_is_checked_as_an_extension(tmp_path: Path) -> None:
    site = put(tmp_path / "site")
    (tmp_path / "rates.py").write_text("def build_optimizer(ctx):\n    yield\n")
    words = ("plugins", "verify", "./rates.py", "--task", "toy", "--check", "hooks", "--json")
    done = command(*words, cwd=tmp_path, path=[site, ROOT])
    assert done.code == 5
    assert "implements no hooks." in done.json["checks"][0]["found"]
    assert "write @hookimpl above the function build_optimizer" in str(done.json["checks"][0])


@pytest.mark.train
def test_another_engine_takes_precedence_over_the_installed_one(tmp_path: Path) -> None:
    site = put(tmp_path / "site")
    engine_copy(tmp_path / "cache" / "engines" / "8.3.7", {}, "8.3.7")
    words = ("plugins", "verify", "toy", "--engine", "8.3.7", "--check", "trains", "--json")
    done = command(*words, cwd=tmp_path, path=[site, ROOT], TRAINER_CACHE_DIR=str(tmp_path / "cache"))
    assert (done.code, done.json["engine"], done.json["ok"]) == (0, "8.3.7", True)
    assert "With ultralytics 8.3.7:" in done.err


def test_what_is_no_version_is_refused(tmp_path: Path) -> None:
    done = command("plugins", "verify", "detect", "--engine", "newest", cwd=tmp_path)
    assert done.code == 3
    assert done.problems == ["--engine newest is not a version. Fix: write one such as --engine 8.4.190"]


def test_without_an_index_another_engine_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path))
    with pytest.raises(
        Exception, match=r"ultralytics 8\.3\.6 cannot be installed: .* Fix: check the network"
    ) as caught:
        engine_overlay("8.3.6")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "engines").iterdir())


@pytest.mark.train
def test_a_task_of_the_host_passes(tmp_path: Path) -> None:
    """The other one does as the base of a package in tests/contract/test_plugins_new.py."""
    done = command("plugins", "verify", "detect", "--json", cwd=tmp_path)
    assert done.code == 0, done.out
    assert all(c["state"] == "ok" for c in done.json["checks"])

"""Fixtures of the tests of the host."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.command import Done
from tests.support.written_package import write_package
from trainer_host.base.run_options import declared

# The same examples every time, however slow the machine is.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's own environment out of the tests."""
    for name in (*(one.environment for one in declared().values() if one.environment), "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Return a function that puts a package on the path of this process, as an installer would."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    known = set(sys.modules)

    def install(name: str, version: str = "1.0", **parts: object) -> Path:
        return write_package(folder, name, version, **parts)

    yield install
    for module in set(sys.modules) - known:
        origin = getattr(sys.modules[module], "__file__", None)
        if origin and Path(origin).is_relative_to(folder):
            del sys.modules[module]


@pytest.fixture(scope="session")
def engine() -> None:
    """Import the engine outside of any captured stream, which its log would otherwise keep."""
    import ultralytics.models  # noqa: F401


@pytest.fixture
def trainer(
    engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Return a function that calls ``trainer`` in this process, in a folder of its own."""
    from trainer_host.cli.main import guarded

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_OFFLINE", "")  # put back afterwards, since --offline sets it

    def call(*words: str) -> Done:
        capsys.readouterr()
        code = guarded(list(words))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call

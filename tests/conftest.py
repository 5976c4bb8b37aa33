"""Selection of the tests that run, the processes that run them, and fixtures that all of them share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports torch, here, in workers and in the processes that tests start: two pools of threads that
# share a core wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LONG = ("parity", "slow", "train", "wheel")
"""Markers of tests that run only when they are named, or with ``--all``; those of ``parity`` only when named."""

MURDER = Path(__file__).parent / "murder"
"""The folder of the longest tests, which begin first; then come files by how often they train, and by their tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", dest="every_test", help="Run the long tests too, except parity")


def pytest_configure(config: pytest.Config) -> None:
    """Skip long tests, unless the command line names tests: by path, by node id, by ``-k``, ``-m`` or ``--lf``."""
    option = config.option
    # Workers of xdist parse the same command line, so they come to the same result.
    named = _paths(config) or option.keyword or option.markexpr or config.getoption("lf", False)
    option.omitted = [] if named else ["parity"] if option.every_test else list(LONG)
    option.loadscopereorder = False  # xdist's own order, by which files with few long tests begin last


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    omitted = {i for i in items if _is_omitted(i, config.option.omitted)}
    config.hook.pytest_deselected(items=[*omitted])
    chosen = [i for i in items if i not in omitted]
    tests, trainings = Counter(i.path for i in chosen), Counter(i.path for i in chosen if i.get_closest_marker("train"))
    items[:] = sorted(chosen, key=lambda i: (i.path.parent != MURDER, -trainings[i.path], -tests[i.path]))


def _is_omitted(item: pytest.Item, markers: list[str]) -> bool:
    return any(map(item.get_closest_marker, markers)) and not item.get_closest_marker("smoke")


def pytest_report_header(config: pytest.Config) -> str:
    return f"omitted: {', '.join(config.option.omitted) or 'nothing'} (--all, or name tests to run long ones)"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start no workers for tests of a single file: one of them would run all of it."""
    files = {path.partition("::")[0] for path in _paths(config)}
    return 0 if len(files) == 1 and Path(*files).is_file() else None


def _paths(config: pytest.Config) -> list[str]:
    return config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []


@pytest.fixture(scope="session", autouse=True)
def cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what is read of datasets out of the tester's own cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    kept = os.environ.get("TRAINER_CACHE_DIR")
    os.environ["TRAINER_CACHE_DIR"] = str(folder)
    yield folder
    os.environ.pop("TRAINER_CACHE_DIR")
    if kept is not None:
        os.environ["TRAINER_CACHE_DIR"] = kept

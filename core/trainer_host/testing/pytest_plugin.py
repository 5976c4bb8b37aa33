"""Fixtures for tests of plugins: ``pytest_plugins = ["trainer_host.testing.pytest_plugin"]``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from trainer_host.plugin.chain import task_chain
from trainer_host.plugin.discovery import discover, only, select
from trainer_host.testing.plugin_under_test import holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trainer_host.testing.tiny_dataset import TinyDataset


@pytest.fixture
def trainer_host_only() -> Iterator[Callable[..., None]]:
    """A host without any plugin. Call it with those that are to be there.

    As keywords, plugins by name (``my_task=TASK`` is ``my-task``); as words, the names of installed ones. The tasks
    that they build on are there as well::

        def test_it(trainer_host_only):
            trainer_host_only("detect", my_task=TASK)
            trainer_host.run("my-task", data="my.yaml")
    """
    installed = discover()
    with ExitStack() as stack:
        stack.enter_context(only(()))

        def put(*names: str, **specs: Any) -> None:
            given = stack.enter_context(holding({n.replace("_", "-"): s for n, s in specs.items()}))
            kinds = {r.name: r.kind for r in installed}
            there = [select(name, kinds.get(name, "task"), installed) for name in names]
            tasks = [r.name for r in (*given, *there) if r.kind == "task"]
            bases = [r for name in tasks for r, _ in task_chain(name, [*given, *there, *installed])]
            stack.enter_context(only(dict.fromkeys([*given, *there, *bases])))

        yield put


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Callable[..., TinyDataset]:
    """A function that draws the sample of a task, cut down to a few images: ``tiny_dataset("detect").file``."""
    from trainer_host.testing.tiny_dataset import tiny_dataset as draw

    def drawn(task: str, data: str | Path | None = None) -> TinyDataset:
        return draw(task, tmp_path / f"tiny-{task}", data)

    return drawn

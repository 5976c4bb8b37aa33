"""Fixtures for tests of plugins: ``pytest_plugins = ["trainer_host.testing.pytest_plugin"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trainer_host.plugin.chain import task_chain
from trainer_host.plugin.plugin_objects import record_of_object
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainer_host.testing.tiny_dataset import TinyDataset


@pytest.fixture
def only_plugins() -> Callable[..., Registry]:
    """A function that returns a registry with the named plugins alone, to be passed to the functions of the API.

    As keywords, plugins by name (``my_task=TASK`` is ``my-task``); as words, the names of installed ones. The tasks
    that they build on are included::

        def test_it(only_plugins):
            registry = only_plugins("detect", my_task=TASK)
            trainer_host.run("my-task", data="my.yaml", registry=registry)
    """
    installed = Registry.installed()

    def registry(*names: str, **plugins: Any) -> Registry:
        records = [record_of_object(plugin, name.replace("_", "-")) for name, plugin in plugins.items()]
        records += [installed.find(name) for name in names]
        for name in [r.name for r in records if r.kind == "task"]:
            records += [r for r, _ in task_chain(name, [*records, *installed.records]) if r not in records]
        return Registry.of(records)

    return registry


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Callable[..., TinyDataset]:
    """A function that draws the sample of a task, cut down to a few images: ``tiny_dataset("detect").file``."""
    from trainer_host.testing.tiny_dataset import tiny_dataset as draw

    def drawn(task: str, data: str | Path | None = None, registry: Registry | None = None) -> TinyDataset:
        return draw(task, tmp_path / f"tiny-{task}", data, registry)

    return drawn

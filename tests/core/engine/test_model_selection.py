"""Which value selects ``best.pt``: the user's metric, the hook, the task's metric or the validator's fitness."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from trainer_host import PluginError, RunContext, SettingsError, TaskSpec, hookimpl
from trainer_host.base.best_metric import BestMetric
from trainer_host.base.run_options import RunOptions
from trainer_host.engine.factory import default_engine
from trainer_host.engine.protocol import LiveRun
from trainer_host.engine.ultralytics.model_selection import fitness_of, require_known, shown_metrics
from trainer_host.plugin.chain import DEFAULTS, Chain, HookManager

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

METRICS = {"metrics/a": 1.0, "metrics/b": 2.0, "val/loss": 3.0}


class Default:
    @hookimpl
    def compute_fitness(self, metrics: Mapping[str, float]) -> float:
        return metrics["fitness"]


class Answer:
    @hookimpl
    def compute_fitness(self, metrics: Mapping[str, float]) -> float:
        return metrics["fitness"] + 100


class Wrapper:
    seen: float | None = None

    @hookimpl(wrapper=True)
    def compute_fitness(self) -> Generator[None, float, float]:
        self.seen = yield
        return self.seen * 10


def plan(own: str | None, named: str | None, *plugins: object) -> LiveRun:
    """Return a run of a task with a ``best_metric``, a metric that the user names, and plugins."""
    manager = HookManager()
    manager.register(Default(), name=DEFAULTS)
    for plugin in plugins:
        manager.register(plugin)
    member: Any = SimpleNamespace(
        spec=TaskSpec(hooks=None, best_metric=own, metrics=("metrics/a",)), record=SimpleNamespace(name="task")
    )
    options = RunOptions(best_metric=BestMetric.parse(named) if named else None)
    chain: Any = Chain((member,), (), manager)
    return LiveRun(SimpleNamespace(options=options), chain, default_engine())  # type: ignore[arg-type]


def value(own: str | None, named: str | None, *plugins: object) -> float | None:
    return fitness_of(plan(own, named, *plugins), RunContext(task="task", engine_task="", args=None), METRICS, 0.5)


@pytest.mark.parametrize(
    ("own", "named", "plugins", "expected"),
    [
        (None, None, [], 0.5),
        ("fitness", None, [], 0.5),
        ("metrics/b", None, [], 2.0),
        ("min:metrics/b", None, [], -2.0),
        ("metrics/b", None, [Answer()], 102.0),
        (None, None, [Answer(), Wrapper()], 1005.0),
        ("metrics/b", "metrics/a", [Answer()], 1.0),
        ("metrics/b", "loss", [Answer(), Wrapper()], -30.0),
        ("metrics/b", "fitness", [], 2.0),
    ],
)
def test_one_value_selects(own: str | None, named: str | None, plugins: list[object], expected: float) -> None:
    assert value(own, named, *plugins) == expected


def test_a_wrapper_sees_the_metric_that_the_user_names() -> None:
    wrapper = Wrapper()
    value(None, "metrics/a", wrapper)
    assert wrapper.seen == 1.0


@pytest.mark.parametrize(
    ("own", "named", "plugins", "expected"),
    [
        (None, None, [], ("metrics/a", "fitness")),
        ("metrics/b", None, [], ("metrics/a", "metrics/b")),
        ("metrics/a", "val/loss", [], ("metrics/a", "val/loss")),
        ("metrics/a", None, [Wrapper()], ("metrics/a", "fitness")),
    ],
)
def test_the_table_shows_what_selects(
    own: str | None, named: str | None, plugins: list[object], expected: tuple[str, ...]
) -> None:
    assert shown_metrics(plan(own, named, *plugins)) == expected


def test_an_unknown_metric_is_the_fault_of_who_named_it() -> None:
    require_known(plan("metrics/b", None), METRICS)
    with pytest.raises(SettingsError, match="unknown metric 'c'"):
        require_known(plan("metrics/b", "c"), METRICS)
    with pytest.raises(PluginError, match="the best_metric of task 'task': unknown metric 'c'"):
        require_known(plan("c", None), METRICS)

"""The choice of ``best.pt``: one value per evaluation, of which the highest selects the checkpoint.

In order of precedence it is the metric that the user names, the answer of plugins to the hook
``compute_fitness``, the task's
``best_metric``, and the fitness of the validator. Wrappers of the hook see the value whatever it is made of, and may
change it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer_host.base.best_metric import FITNESS, BestMetric, full_name
from trainer_host.base.errors import PluginError, SettingsError
from trainer_host.plugin.chain import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.base.contexts import RunContext
    from trainer_host.engine.protocol import LiveRun


def selecting_metric(run: LiveRun) -> BestMetric:
    """Return the metric that the user names, or else that of the task; ``fitness`` if neither names one."""
    named = run.options.best_metric or BestMetric(FITNESS)
    own = run.chain.attribute("best_metric")
    return BestMetric.parse(own) if named.is_fitness and own else named


def shown_metrics(run: LiveRun) -> tuple[str, ...]:
    """Return the metrics of the table of epochs, with each that decides about ``best.pt``."""
    deciding = [selecting_metric(run).name, *([FITNESS] if run.chain.answers("compute_fitness") else [])]
    return tuple(dict.fromkeys([*(run.chain.attribute("metrics") or ()), *deciding]))


def fitness_of(run: LiveRun, ctx: RunContext, metrics: Mapping[str, float], fitness: float) -> float | None:
    """Return the value of an evaluation: the larger, the better; None if no plugin answers.

    Args:
        run: The plugins of the run, and the metric that the user names.
        ctx: The run.
        metrics: The metrics of the evaluation.
        fitness: The validator's own fitness.
    """
    best = selecting_metric(run)
    value = fitness if best.is_fitness else best.fitness(metrics)
    manager = run.chain.manager
    caller = manager.hook.compute_fitness
    if run.options.best_metric is not None and not run.options.best_metric.is_fitness:
        # What the user names takes precedence: only wrappers stay, around the host's default answer.
        impls = [i for i in caller.get_hookimpls() if i.plugin_name != DEFAULTS]
        caller = manager.subset_hook_caller(
            "compute_fitness", [i.plugin for i in impls if not (i.wrapper or i.hookwrapper)]
        )
    answer: float | None = caller(ctx=ctx, metrics={**metrics, FITNESS: value})
    return answer


def require_known(run: LiveRun, known: Iterable[str]) -> None:
    """Refuse a metric that the run does not measure.

    Raises:
        SettingsError: If the user named it.
        PluginError: If the task did.
    """
    best = selecting_metric(run)
    if best.is_fitness or full_name(best.name, known) is not None:
        return
    problem = best.unknown(known)
    if best == run.options.best_metric:
        raise SettingsError(problem)
    raise PluginError(replace(problem, message=f"the best_metric of task {run.chain.name!r}: {problem.message}"))

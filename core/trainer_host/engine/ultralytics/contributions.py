"""What the plugins of a run add to the task's own: metrics, augmentations, samplers, post-processing, callbacks.

Each function asks a hook and joins the answers; where the task cannot use them, that is told and never passed over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ultralytics.utils import callbacks

from trainer_host.base.errors import PluginError, Problem, unknown
from trainer_host.engine.ultralytics.trackers import asked_for
from trainer_host.plugin.hook_collection import answers, claimed, mappings, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.contexts import DataContext, PredictionContext, RunContext, ValidationContext
    from trainer_host.base.protocols import Augmentation, Dataset, Loader, Metric
    from trainer_host.base.vision import Detections
    from trainer_host.plugin.chain import Chain, HookManager


def require_function(what: str, value: Any) -> None:
    """Refuse what a plugin returns in place of a function.

    Raises:
        PluginError: If it cannot be called; ``what`` says what it is.
    """
    if not callable(value):
        said = f"{what} that a plugin returned is a {type(value).__name__}, not a function."
        raise PluginError(Problem(said, "Return what can be called; a wrapper returns what it got from its yield."))


def join_callbacks(events: dict[str, list[Any]], manager: HookManager, ctx: RunContext) -> None:
    """Add the plugins' functions to the engine's, by event.

    Raises:
        PluginError: If the engine has no such event.
    """
    for _, given in mappings(manager, "callbacks", ctx=ctx):
        for event, function in given.items():
            if event not in callbacks.default_callbacks:
                raise PluginError(unknown("callback event", event, callbacks.default_callbacks))
            require_function(f"the callback of {event}", function)
            events[event].append(asked_for(function))


def joined_augmentations(chain: Chain, ctx: DataContext) -> tuple[Augmentation, ...]:
    """Return the augmentations of plugins for a training dataset; there are none for any other."""
    if ctx.mode != "train":
        return ()
    functions = []
    for plugin, answer in answers(chain.manager, "augmentations", ctx=ctx):
        if callable(answer):
            what = f"{told(plugin)} answers the hook 'augmentations' with a function."
            raise PluginError(Problem(what, "Return a list of functions."))
        functions += list(answer)
    return tuple(functions)


def joined_metrics(chain: Chain, ctx: ValidationContext) -> dict[str, Metric]:
    """Return the metrics of plugins by name.

    Raises:
        PluginError: If two have one name, or if one is no metric.
    """
    found = claimed(chain.manager, "metrics", "metric", ctx=ctx)
    for name, (who, metric) in found.items():
        if missing := [m for m in ("reset", "update", "compute") if not callable(getattr(metric, m, None))]:
            lacks = " and ".join(missing)
            what = f"{who} brings the metric {name!r}, of type {type(metric).__name__}, without {lacks}."
            raise PluginError(Problem(what, "Give it these methods: docs/how-to/add-a-metric.md."))
    return {name: metric for name, (_, metric) in found.items()}


def require_augmentations(chain: Chain, ctx: DataContext, dataset: Dataset) -> None:
    """Refuse a dataset that has no use for augmentations.

    Raises:
        PluginError: If there are any.
    """
    if ctx.augmentations and tuple(getattr(dataset, "augmentations", ())) != ctx.augmentations:
        what = f"datasets of task {chain.name!r} take no augmentations of plugins."
        raise PluginError(Problem(what, "Leave out the extensions that bring them."))


def require_sampler(chain: Chain, ctx: DataContext, loader: Loader) -> None:
    """Refuse a loader that has no use for a sampler.

    Raises:
        PluginError: If there is one.
    """
    if ctx.sampler is not None and loader.sampler is not ctx.sampler:
        what = f"loaders of task {chain.name!r} take no sampler of plugins."
        raise PluginError(Problem(what, "Leave out the extension that brings it."))


class Postprocessing:
    """Asks the plugins what is kept of predictions.

    Args:
        chain: The plugins.
        ctx: Where the predictions come from.
    """

    def __init__(self, chain: Chain, ctx: PredictionContext) -> None:
        self.chain, self.ctx, self.asked = chain, ctx, False

    def __call__(self, found: Sequence[Detections]) -> Sequence[Detections]:
        """Return what is kept of the predictions on a batch of images.

        Raises:
            PluginError: If there is not one answer for each image.
        """
        self.asked = True
        kept: Sequence[Detections] | None = self.chain.manager.hook.postprocess(ctx=self.ctx, found=found)
        if kept is None:
            what = "post-processing returned nothing."
            raise PluginError(Problem(what, "A wrapper of the hook 'postprocess' returns what it keeps."))
        if len(kept) != len(found):
            what = f"post-processing returned {len(kept)} answers for {len(found)} images."
            raise PluginError(Problem(what, "Return one for each image, with no objects where none are kept."))
        return kept


def postprocessing(chain: Chain, ctx: PredictionContext) -> Postprocessing | None:
    """Return what asks the plugins about predictions, or None where none of them has a say."""
    return Postprocessing(chain, ctx) if chain.answers("postprocess") else None


def require_asked(chain: Chain, kept: Postprocessing | None, who: str) -> None:
    """Refuse a validator or predictor that left its predictions as they were.

    Raises:
        PluginError: If a plugin has a say in them.
    """
    if kept is not None and not kept.asked:
        what = f"the {who} of task {chain.name!r} does not let plugins change what it finds."
        raise PluginError(Problem(what, "Leave out the extensions that post-process predictions."))


def require_measured(chain: Chain, names: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Refuse a validator that did not measure the metrics of plugins.

    Raises:
        PluginError: If one is missing.
    """
    missing = [name for name in names if name not in metrics]
    if missing:
        what = f"the validator of task {chain.name!r} does not measure {', '.join(missing)}."
        raise PluginError(Problem(what, "Leave out the extensions that bring these metrics."))


def require_finite(fitness: Any) -> None:
    """Refuse an answer to the hook `fitness` that cannot select a checkpoint.

    Raises:
        PluginError: If it is not a finite number.
    """
    try:
        finite = math.isfinite(fitness)
    except TypeError:
        finite = False
    if not finite:
        fix = "Return a finite number from the hook 'fitness'."
        raise PluginError(Problem(f"the fitness that plugins return is {fitness!r}.", fix))

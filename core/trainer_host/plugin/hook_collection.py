"""The answers of single plugins to hooks that all answer: metrics, augmentations, samplers, post-processing.

A name that two plugins bring is an error, and so is an answer that the task cannot use: nothing is dropped silently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pluggy import HookCaller

    from trainer_host.base.contexts import LoaderContext, PredictionContext, ValidationContext
    from trainer_host.base.protocols import Augmentation, Dataset, Loader, Metric
    from trainer_host.base.vision import Detections
    from trainer_host.plugin.chain import Chain, HookManager


def implementers(manager: HookManager, hook: str) -> Iterator[tuple[str, HookCaller]]:
    """Yield each plugin that answers a hook, as kind and name (``extension:cbam``), and a caller of it alone."""
    own = [i for i in getattr(manager.hook, hook).get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    for impl in reversed(own):  # the order in which pluggy calls them
        others = [i.plugin for i in own if i is not impl]
        yield impl.plugin_name, manager.subset_hook_caller(hook, others)


def answers(manager: HookManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
    """Yield the kind and name of each plugin that answers a hook, and its answer."""
    for plugin, caller in implementers(manager, hook):
        yield from ((plugin, answer) for answer in caller(**arguments))


def mappings(manager: HookManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the kind and name of each plugin that answers a hook, and its answer, a mapping.

    Raises:
        PluginError: If an answer is not a mapping.
    """
    for plugin, answer in answers(manager, hook, **arguments):
        if not isinstance(answer, Mapping):
            what = f"the hook {hook!r} of {described(plugin)} returned a {type(answer).__name__}, not a mapping."
            raise PluginError(Problem(what, "return a dict, by name"))
        yield plugin, answer


def described(plugin: str) -> str:
    """Return the kind and name under which a plugin is registered, for people."""
    kind, _, name = plugin.partition(":")
    return f"{kind} {name!r}"


def joined(manager: HookManager, hook: str, what: str, **arguments: Any) -> dict[str, Any]:
    """Return the mappings of all plugins that answer a hook as one; see `claimed`."""
    return {name: value for name, (_, value) in claimed(manager, hook, what, **arguments).items()}


def claimed(manager: HookManager, hook: str, what: str, **arguments: Any) -> dict[str, tuple[str, Any]]:
    """Return the mappings of all plugins that answer a hook as one: for each name its plugin, for people, and value.

    Args:
        manager: The plugins.
        hook: The hook's name.
        what: The kind of thing that the mappings name, for messages.
        arguments: The arguments of the hook.

    Raises:
        PluginError: If two plugins bring the same name, or an answer is not a mapping.
    """
    found: dict[str, tuple[str, Any]] = {}
    for plugin, answer in mappings(manager, hook, **arguments):
        owner = described(plugin)
        for name, value in answer.items():
            if name in found:
                problem = f"{found[name][0]} and {owner} both provide the {what} {name!r}."
                raise PluginError(Problem(problem, "switch one of them off: --no-plugin NAME"))
            found[name] = owner, value
    return found


def require_function(what: str, value: Any) -> None:
    """Refuse a value that is not a function.

    Args:
        what: The role of the function, for the message.
        value: The value that a plugin returned.

    Raises:
        PluginError: If it cannot be called.
    """
    if not callable(value):
        said = f"{what} that a plugin returned is a {type(value).__name__}, not a function."
        raise PluginError(Problem(said, "return a function; a wrapper returns the answer of its yield"))


def joined_augmentations(chain: Chain, ctx: LoaderContext) -> tuple[Augmentation, ...]:
    """Return the augmentations of plugins for a training dataset; none for any other."""
    if ctx.mode != "train":
        return ()
    functions = []
    for plugin, answer in answers(chain.manager, "augmentations", ctx=ctx):
        if callable(answer):
            what = f"the hook 'augmentations' of {described(plugin)} returned a function."
            raise PluginError(Problem(what, "return a list of functions"))
        functions += list(answer)
    return tuple(functions)


def joined_metrics(chain: Chain, ctx: ValidationContext) -> dict[str, Metric]:
    """Return the metrics of plugins by name.

    Raises:
        PluginError: If two have the same name, or if one is not a metric.
    """
    found = claimed(chain.manager, "metrics", "metric", ctx=ctx)
    for name, (who, metric) in found.items():
        if missing := [m for m in ("reset", "update", "compute") if not callable(getattr(metric, m, None))]:
            lacks = " and ".join(missing)
            what = f"the metric {name!r} of {who} is a {type(metric).__name__}, which lacks {lacks}."
            raise PluginError(Problem(what, "give it these methods: docs/how-to/add-a-metric.md"))
    return {name: metric for name, (_, metric) in found.items()}


def require_augmentations(chain: Chain, ctx: LoaderContext, dataset: Dataset) -> None:
    """Refuse a dataset that ignores the augmentations of plugins.

    Raises:
        PluginError: If there are any.
    """
    if ctx.augmentations and tuple(getattr(dataset, "augmentations", ())) != ctx.augmentations:
        what = f"datasets of task {chain.name!r} do not support augmentations of plugins."
        raise PluginError(Problem(what, "switch off the extensions that add them"))


def require_sampler(chain: Chain, ctx: LoaderContext, loader: Loader) -> None:
    """Refuse a loader that ignores the sampler of a plugin.

    Raises:
        PluginError: If there is one.
    """
    if ctx.sampler is not None and loader.sampler is not ctx.sampler:
        what = f"loaders of task {chain.name!r} do not support samplers of plugins."
        raise PluginError(Problem(what, "switch off the extension that adds it"))


class Postprocessing:
    """Post-processing by plugins.

    Args:
        chain: The plugins.
        ctx: The model that predicts.
    """

    def __init__(self, chain: Chain, ctx: PredictionContext) -> None:
        self.chain, self.ctx, self.asked = chain, ctx, False

    def __call__(self, found: Sequence[Detections]) -> Sequence[Detections]:
        """Return the predictions on a batch of images after post-processing.

        Raises:
            PluginError: If there is not one answer for each image.
        """
        self.asked = True
        kept: Sequence[Detections] | None = self.chain.manager.hook.postprocess_predictions(ctx=self.ctx, found=found)
        if kept is None:
            what = "the hook 'postprocess_predictions' returned None."
            raise PluginError(Problem(what, "return the predictions from the wrapper"))
        if len(kept) != len(found):
            what = f"the hook 'postprocess_predictions' returned {len(kept)} predictions for {len(found)} images."
            raise PluginError(Problem(what, "return one for each image, without objects if none are kept"))
        return kept


def postprocessing(chain: Chain, ctx: PredictionContext) -> Postprocessing | None:
    """Return the post-processing by plugins, or None if no plugin implements it."""
    return Postprocessing(chain, ctx) if chain.answers("postprocess_predictions") else None


def require_asked(chain: Chain, kept: Postprocessing | None, who: str) -> None:
    """Refuse a validator or predictor that skipped the post-processing.

    Raises:
        PluginError: If plugins implement it.
    """
    if kept is not None and not kept.asked:
        what = f"the {who} of task {chain.name!r} does not call the hook 'postprocess_predictions'."
        raise PluginError(Problem(what, "switch off the extensions that post-process predictions"))


def require_measured(chain: Chain, names: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Refuse a validator that did not compute the metrics of plugins.

    Raises:
        PluginError: If one is missing.
    """
    missing = [name for name in names if name not in metrics]
    if missing:
        what = f"the validator of task {chain.name!r} does not compute {', '.join(missing)}."
        raise PluginError(Problem(what, "switch off the extensions that add these metrics"))


def require_finite(fitness: Any) -> None:
    """Refuse an answer to the hook `compute_fitness` by which the best checkpoint cannot be selected.

    Raises:
        PluginError: If it is not a finite number.
    """
    try:
        finite = math.isfinite(fitness)
    except TypeError:
        finite = False
    if not finite:
        fix = "return a finite number from the hook 'compute_fitness'"
        raise PluginError(Problem(f"the fitness that plugins return is {fitness!r}.", fix))

"""What the plugins of a run add to the task's own: losses, metrics, augmentations, samplers, post-processing, state.

Each function asks a hook and joins the answers; where the task cannot use them, that is told and never passed over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils import callbacks
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.contexts import LossContext, PredictionContext
from trainer_host.base.errors import PluginError, Problem, unknown
from trainer_host.plugin.claims import answers, implementers, joined, mappings, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.contexts import DataContext, RunContext, ValidationContext
    from trainer_host.base.protocols import Augmentation, Batch, Dataset, Loader, Loss, LossTerm, Metric, Tensor
    from trainer_host.base.vision import Detections
    from trainer_host.engine.trainer import HostTrainer
    from trainer_host.plugin.chain import Chain, HookManager


PLUGIN_STATES = "plugin_states"
"""Where a checkpoint's record keeps what plugins return from `state_dict`."""


class JoinedLoss:
    """A loss and the terms that plugins add to it.

    Whatever else the engine asks of a loss, such as ``update`` after an epoch, goes to the loss itself.

    Args:
        base: The loss.
        terms: What is added to it, by name.
    """

    def __init__(self, base: Loss, terms: Mapping[str, LossTerm]) -> None:
        self.base, self.terms = base, dict(terms)

    def __call__(self, preds: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of all, and each part by name: a term's own for an image, as the engine tells its parts."""
        loss, items = self.base(preds, batch)
        total, parts = loss.sum(), dict(items)
        for name, term in self.terms.items():
            if name in items:
                raise PluginError(Problem(f"the loss has a part {name!r} already.", "Rename the term."))
            value = term(preds, batch)
            if getattr(value, "ndim", None) != 0:
                what = f"the loss term {name!r} returned {type(value).__name__}, not a tensor without dimensions."
                raise PluginError(Problem(what, "Return the term's sum over the batch."))
            total = total + value
            parts[name] = value.detach() / len(batch["img"])
        return total, parts

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the loss itself."""
        if name.startswith("__") or name == "base":  # asked while copying, before there is a loss
            raise AttributeError(name)
        return getattr(self.base, name)


def add_losses(trainer: HostTrainer) -> None:
    """Give the models of a training the loss that plugins build; without any the engine builds its own when needed.

    Raises:
        PluginError: If the task's model computes its loss itself.
    """
    chain = trainer.plan.chain
    if not (chain.answers("build_loss") or chain.answers("loss_terms")):
        return
    for model in (unwrap_model(trainer.model), trainer.ema.ema):
        if not isinstance(model, BaseModel):
            what = f"the model of task {chain.name!r} computes its loss itself, so that plugins cannot change it."
            raise PluginError(Problem(what, "Leave out the extensions that bring losses."))
        ctx = trainer.context(LossContext, model=model)
        base = chain.manager.hook.build_loss(ctx=ctx)
        terms = joined(chain.manager, "loss_terms", "loss term", ctx=ctx)
        _require_function("the loss", base)
        for name, term in terms.items():
            _require_function(f"the loss term {name!r}", term)
        model.criterion = JoinedLoss(base, terms)  # a loss that is a module would become a part of the model


def _require_function(what: str, value: Any) -> None:
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
            _require_function(f"the callback of {event}", function)
            events[event].append(function)


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
    metrics: dict[str, Metric] = joined(chain.manager, "metrics", "metric", ctx=ctx)
    for name, metric in metrics.items():
        if missing := [m for m in ("reset", "update", "compute") if not callable(getattr(metric, m, None))]:
            what = f"the metric {name!r} is a {type(metric).__name__} without {' and '.join(missing)}."
            raise PluginError(Problem(what, "See docs/how-to/add-a-metric.md."))
    return metrics


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


def require_figure(fitness: Any) -> None:
    """Refuse an answer to the hook `fitness` that cannot tell the best checkpoint.

    Raises:
        PluginError: If it is no finite number.
    """
    try:
        finite = math.isfinite(fitness)
    except TypeError:
        finite = False
    if not finite:
        fix = "Return a finite number from the hook 'fitness'."
        raise PluginError(Problem(f"the fitness that plugins return is {fitness!r}.", fix))


def states(chain: Chain, ctx: RunContext) -> dict[str, dict[str, Any]]:
    """Return what the checkpoint keeps for plugins, by their names.

    Raises:
        PluginError: If some of it is not what a checkpoint can be read back with.
    """
    found = {p.partition(":")[2]: dict(s) for p, s in mappings(chain.manager, "state_dict", ctx=ctx) if s}
    for plugin, state in found.items():
        if (strange := _unstorable(state, "state")) is not None:
            fix = "Return numbers, text, lists, dicts and tensors."
            raise PluginError(Problem(f"the state of plugin {plugin!r} cannot be stored: {strange}.", fix))
    return found


def _unstorable(value: Any, place: str) -> str | None:
    """Return where in a state something stands that reading a checkpoint refuses, or None."""
    if isinstance(value, dict):
        inner = [(each, f"{place}[{key!r}]") for key, each in value.items()]
        inner += [(key, f"the key {key!r} of {place}") for key in value]
    elif isinstance(value, (list, tuple)):
        inner = [(each, f"{place}[{i}]") for i, each in enumerate(value)]
    elif value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return None
    else:
        return f"{place} is a {type(value).__name__}"
    return next(filter(None, (_unstorable(each, where) for each, where in inner)), None)


def restore_states(chain: Chain, ctx: RunContext, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Give plugins back what a checkpoint keeps for them."""
    for plugin, load in implementers(chain.manager, "load_state_dict"):
        if (state := kept.get(plugin.partition(":")[2])) is not None:
            load(ctx=ctx, state=state)

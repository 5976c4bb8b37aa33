"""What the plugins of a run add to the task's own: losses, metrics, augmentations, samplers, post-processing, state.

Each function asks a hook and joins the answers; where the task cannot use them, that is told and never passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.nn.tasks import BaseModel
from ultralytics.utils import callbacks
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.contexts import LossContext, PredictionContext
from trainer_host.base.errors import PluginError, Problem, unknown
from trainer_host.plugin.claims import answers, implementers, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.contexts import DataContext, RunContext
    from trainer_host.base.protocols import Augmentation, Batch, Dataset, Loader, Loss, LossTerm, Tensor
    from trainer_host.base.vision import Detections
    from trainer_host.engine.trainer import HostTrainer
    from trainer_host.plugin.chain import Chain


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
        model.criterion = JoinedLoss(base, terms) if terms else base


def join_callbacks(events: dict[str, list[Any]], hooks: Any, ctx: RunContext) -> None:
    """Add the plugins' functions to the engine's, by event.

    Raises:
        PluginError: If the engine has no such event.
    """
    for given in hooks.callbacks(ctx=ctx):
        for event, function in given.items():
            if event not in callbacks.default_callbacks:
                raise PluginError(unknown("callback event", event, callbacks.default_callbacks))
            events[event].append(function)


def joined_augmentations(chain: Chain, ctx: DataContext) -> tuple[Augmentation, ...]:
    """Return the augmentations of plugins for a training dataset; there are none for any other."""
    if ctx.mode != "train":
        return ()
    return tuple(a for answer in chain.manager.hook.augmentations(ctx=ctx) for a in answer or ())


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
        kept: Sequence[Detections] = self.chain.manager.hook.postprocess(ctx=self.ctx, found=found)
        if len(kept) != len(found):
            what = f"post-processing returned {len(kept)} answers for {len(found)} images."
            raise PluginError(Problem(what, "Return one for each image, with no objects where none are kept."))
        return kept


def postprocessing(chain: Chain, ctx: PredictionContext) -> Postprocessing | None:
    """Return what asks the plugins about predictions, or None where none of them has a say."""
    return Postprocessing(chain, ctx) if chain.answers("postprocess") else None


def require_measured(chain: Chain, names: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Refuse a validator that did not measure the metrics of plugins.

    Raises:
        PluginError: If one is missing.
    """
    missing = [name for name in names if name not in metrics]
    if missing:
        what = f"the validator of task {chain.name!r} does not measure {', '.join(missing)}."
        raise PluginError(Problem(what, "Leave out the extensions that bring these metrics."))


def states(chain: Chain, ctx: RunContext) -> dict[str, dict[str, Any]]:
    """Return what the checkpoint keeps for plugins, by their names."""
    found = answers(chain.manager, "state_dict", ctx=ctx)
    return {plugin.partition(":")[2]: dict(state) for plugin, state in found if state}


def restore_states(chain: Chain, ctx: RunContext, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Give plugins back what a checkpoint keeps for them."""
    for plugin, load in implementers(chain.manager, "load_state_dict"):
        if (state := kept.get(plugin.partition(":")[2])) is not None:
            load(ctx=ctx, state=state)

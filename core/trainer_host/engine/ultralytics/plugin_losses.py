"""Losses of plugins, and the terms that they add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.contexts import LossContext
from trainer_host.base.errors import PluginError, Problem
from trainer_host.plugin.hook_collection import joined, require_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.protocols import Loss, LossTerm
    from trainer_host.base.type_aliases import Batch, Tensor
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


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
        """Return the sum of all, and each part by name: that of a term per image, as the engine reports its parts."""
        loss, items = self.base(preds, batch)
        total, parts = loss.sum(), dict(items)
        for name, term in self.terms.items():
            if name in items:
                raise PluginError(Problem(f"the loss already has a part named {name!r}.", "rename the term"))
            value = term(preds, batch)
            if getattr(value, "ndim", None) != 0:
                what = f"the loss term {name!r} returned {type(value).__name__}, not a tensor without dimensions."
                raise PluginError(Problem(what, "return the term's sum over the batch"))
            total = total + value
            parts[name] = value.detach() / len(batch["img"])
        return total, parts

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the loss itself."""
        if name.startswith("__") or name == "base":  # asked while copying, before there is a loss
            raise AttributeError(name)
        return getattr(self.base, name)


def add_losses(trainer: HostTrainer) -> None:
    """Give the models of a training the loss of plugins; without plugins the engine builds its own when needed.

    Raises:
        PluginError: If the task's model computes its loss itself.
    """
    chain, ranks = trainer.host_run.chain, trainer.ranks
    if not (chain.answers("build_loss") or chain.answers("loss_terms")):
        model = unwrap_model(trainer.model)
        model = getattr(model, "student_model", model)  # of a model in distillation
        if ranks is not None and isinstance(model, BaseModel):
            model.criterion = _shared(trainer, chain.manager.hook.build_loss(ctx=_context(trainer, model)))
        return
    for model in (unwrap_model(trainer.model), trainer.ema.ema):
        if not isinstance(model, BaseModel):
            what = f"the model of task {chain.name!r} computes its loss itself, so that plugins cannot change it."
            raise PluginError(Problem(what, "remove the extensions that add losses"))
        ctx = _context(trainer, model)
        base = chain.manager.hook.build_loss(ctx=ctx)
        terms = joined(chain.manager, "loss_terms", "loss term", ctx=ctx)
        require_function("the loss", base)
        if ranks is not None and model is not trainer.ema.ema:
            base = _shared(trainer, base)
        for name, term in terms.items():
            require_function(f"the loss term {name!r}", term)
        model.criterion = JoinedLoss(base, terms)  # a loss that is a module would become a part of the model


def _context(trainer: HostTrainer, model: Any) -> LossContext:
    """Return the context of a loss; that of the EMA is computed by each process for batches of its own."""
    if trainer.ranks is None or model is trainer.ema.ema:
        return trainer.context(LossContext, model=model)
    return trainer.context(LossContext, model=model, sum_over_ranks=trainer.ranks.batch.totals.sum_over_ranks)


def _shared(trainer: HostTrainer, loss: Any) -> Any:
    """Return the loss of one of several processes."""
    ctx = _context(trainer, unwrap_model(trainer.model))
    answer = trainer.hooks.share_loss(ctx=ctx, loss=loss)
    return loss if answer is None else answer

"""The extension `focal-loss`: a loss of classes that looks at what is still hard, for classes far out of balance.

trainer run data=birds.yaml --plugin focal-loss focal-loss.gamma=2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host import ExtensionSpec, LossContext, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@dataclass(frozen=True)
class FocalLoss:
    """The options."""

    gamma: float = 1.5  # 0 is the loss as it was


def focal(loss: Callable[[Any, Any], Any], gamma: float) -> Callable[[Any, Any], Any]:
    """Return a loss of single outputs whose easy ones count less, as Lin et al. (2017) propose."""

    def weighed(logits: Any, targets: Any) -> Any:
        chances = logits.sigmoid()
        missed = targets * (1 - chances) + (1 - targets) * chances
        return loss(logits, targets) * missed**gamma

    return weighed


class FocalLossHooks:
    """A wrapper around whoever builds the loss."""

    @hookimpl(wrapper=True)
    def build_loss(self, ctx: LossContext) -> Generator[None, Any, Any]:
        """Weigh the loss of classes, in both branches where a model has two."""
        loss = yield
        gamma = ctx.options_for(FocalLoss).gamma
        for part in [loss.one2many, loss.one2one] if hasattr(loss, "one2many") else [loss]:
            part.bce = focal(part.bce, gamma)
        return loss


EXTENSION = ExtensionSpec(hooks=FocalLossHooks(), options=FocalLoss)

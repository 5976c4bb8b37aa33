"""Losses of the engine in several processes: what they divide by counts the batch of all, not that of one.

The engine divides the sum over its batch by counts of the same batch. So each part of the loss is multiplied by the
count of this process and divided by that of all; the parts then add up to those of the whole batch in one process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

IMAGES, SCORES, ANCHORS = range(3)
"""Counts of a batch: its images, the sum of the target scores, and the anchors that have an object."""
DIVISORS = {
    **dict.fromkeys(("box_loss", "cls_loss", "dfl_loss", "l1_loss", "angle_loss"), SCORES),
    "seg_loss": ANCHORS,
    "sem_loss": IMAGES,
}
"""What the engine divides the parts of its losses by."""


class Assignments:
    """An assigner of the engine that notes what it has assigned.

    Args:
        base: The assigner.

    Attributes:
        counts: The sum of the target scores, and the number of anchors that have an object.
    """

    counts: Tensor

    def __init__(self, base: Any) -> None:
        self.base = base

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the assigner returns."""
        found = self.base(*args, **kwargs)
        self.counts = torch.stack([found[2].sum().double(), found[3].sum().double()])
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)


class SharedLoss:
    """A loss of the engine whose divisors count the batch of all processes.

    Args:
        base: The loss.
        total: Adds up a few numbers over the processes.

    Attributes:
        divisors: What its parts are divided by.
    """

    divisors: ClassVar[Mapping[str, int]] = DIVISORS

    def __init__(self, base: Any, total: Callable[[Tensor], Tensor]) -> None:
        self.base, self.total = base, total
        base.assigner = Assignments(base.assigner)

    def __call__(self, preds: Any, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of this process, summed over its images, and its parts by name."""
        return self.loss(self.base.parse_output(preds), batch)

    def loss(self, preds: dict[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of this process, and its parts: their mean over the images of all is that of the batch."""
        loss, items = self.raw(preds, batch)
        own = self.counts(preds["boxes"].shape[0])
        shares = self.shares(own, self.total(own))
        factors = torch.stack([shares[self.divisors[name]] for name in items]).to(loss)
        return loss * factors, {
            name: item * factor for (name, item), factor in zip(items.items(), factors, strict=True)
        }

    def raw(self, preds: dict[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the engine's loss, and its parts."""
        loss, items = self.base.loss(preds, batch)
        return loss, items

    def shares(self, own: Tensor, whole: Tensor) -> Tensor:
        """Return what to multiply a part by that is divided by each of the counts, and multiplied by the images."""
        divisors = own.clone()
        divisors[SCORES] = divisors[SCORES].clamp(min=1)  # as the engine does
        shares: Tensor = divisors / whole.clamp(min=1) * (whole[IMAGES].clamp(min=1) / own[IMAGES])
        return shares

    def counts(self, images: int) -> Tensor:
        """Return the counts of the batch of this process."""
        counts = self.base.assigner.counts
        return torch.cat([counts.new_tensor([images]), counts])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)


def shared(loss: Any, total: Callable[[Tensor], Tensor], kind: type[SharedLoss] = SharedLoss) -> Any:
    """Return a loss of the engine with divisors that count the batch of all processes; None if it is another loss."""
    branches = ("one2many", "one2one")
    if all(hasattr(loss, name) for name in branches):
        parts = {name: shared(getattr(loss, name), total, kind) for name in branches}
        if None in parts.values():
            return None
        for name, part in parts.items():
            setattr(loss, name, part)
        return loss
    names = getattr(loss, "loss_names", ())
    if not hasattr(loss, "assigner") or not names or not set(names) <= kind.divisors.keys():
        return None
    return kind(loss, total)

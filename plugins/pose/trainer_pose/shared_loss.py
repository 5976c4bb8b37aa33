"""Losses of keypoints in several processes: what they divide by counts the batch of all, not that of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from trainer_detect.shared_loss import ANCHORS, DIVISORS, SharedLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

POINTS = ANCHORS + 1
"""Count of a batch: its visible keypoints, as often as an anchor has their object."""
LIKELIHOOD = "rle_loss"


class NotedLikelihood:
    """The engine's likelihood loss, which notes how many keypoints it is the mean of.

    The engine cuts the mean off at zero. That is for the mean over all processes to decide, so that of this one is
    raised above zero by a constant, which is taken off later.

    Args:
        base: The loss.

    Attributes:
        points: How many keypoints there were.
        mean: The mean, without the constant.
        raised: The constant.
    """

    def __init__(self, base: Any) -> None:
        self.base = base
        self.points, self.mean, self.raised = 0, torch.zeros(()), torch.zeros(())

    def forget(self) -> None:
        """Begin a batch, in which there may be no keypoint, so that the engine does not ask for this loss."""
        self.points, self.mean, self.raised = 0, torch.zeros_like(self.mean), torch.zeros_like(self.mean)

    def __call__(self, sigma: Tensor, *args: Any) -> Tensor:
        """Return the raised mean."""
        mean: Tensor = self.base(sigma, *args)
        self.points, self.mean = len(sigma), mean.detach()
        self.raised = 1 + self.mean.abs()
        return mean + self.raised


class SharedKeypointLoss(SharedLoss):
    """A loss of the engine of boxes and keypoints whose divisors count the batch of all processes."""

    divisors: ClassVar[Mapping[str, int]] = {
        **DIVISORS,
        **dict.fromkeys(("pose_loss", "kobj_loss"), ANCHORS),
        LIKELIHOOD: POINTS,
    }

    def __init__(self, base: Any, total: Callable[[Tensor], Tensor]) -> None:
        super().__init__(base, total)
        self.likelihood = NotedLikelihood(base.rle_loss) if getattr(base, "rle_loss", None) is not None else None
        if self.likelihood is not None:
            base.rle_loss = self.likelihood

    def loss(self, preds: dict[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of this process, and its parts: their mean over the images of all is that of the batch."""
        if self.likelihood is not None:
            self.likelihood.forget()
        return super().loss(preds, batch)

    def raw(self, preds: dict[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the engine's loss, without what the mean of the likelihood was raised by."""
        loss, items = super().raw(preds, batch)
        if (noted := self.likelihood) is None:
            return loss, items
        place, gain = list(items).index(LIKELIHOOD), self.base.hyp.rle
        off = torch.zeros_like(loss)
        off[place] = gain * noted.raised
        return loss - off * preds["boxes"].shape[0], {**items, LIKELIHOOD: items[LIKELIHOOD] - off[place]}

    def counts(self, images: int) -> Tensor:
        """Return the counts of the batch of this process; the last is the sum of its likelihoods."""
        counts = super().counts(images)
        if (noted := self.likelihood) is None:
            return counts
        return torch.cat([counts, counts.new_tensor([noted.points]), noted.points * noted.mean.view(1).to(counts)])

    def shares(self, own: Tensor, whole: Tensor) -> Tensor:
        """Return the shares of this process; none of a likelihood that the engine cuts off."""
        shares = super().shares(own, whole)
        if self.likelihood is not None:
            shares[POINTS] *= whole[POINTS + 1] >= 0
        return shares

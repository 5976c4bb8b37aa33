"""Numbers that the processes of a run add up within a batch: normalisers of losses, and the loss itself.

Every exchange of a batch has the same size, so that a process that failed can take part in those of the others until
all are at the last one, where they learn of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.base.type_aliases import Device, Tensor
    from trainer_host.engine.process_group import ProcessGroup

MOST_NUMBERS = 62
LAST, FAILED, FIRST = 0, 1, 2
"""Places in an exchange: whether it is the last of the batch, whether the process failed, and the first number."""


class BatchTotals:
    """Adds up numbers of a batch over the processes of a run.

    Args:
        group: The processes.
        device: Where the losses are.

    Attributes:
        counts: Whether the batch of this process counts; otherwise it only stands in.
        own: The numbers of this process in this batch.
    """

    def __init__(self, group: ProcessGroup, device: Device) -> None:
        self.group, self.device, self.counts = group, device, True
        self.own: list[Tensor] = []

    def begin(self, counts: bool) -> None:
        """Begin a batch.

        Args:
            counts: Whether it counts.
        """
        self.counts, self.own = counts, []

    def sum_over_ranks(self, numbers: Tensor) -> Tensor:
        """Return the sums of a few numbers over all processes, without gradients.

        All have to call it equally often in a batch: not only if there are objects, for example.

        Raises:
            PluginError: If they are too many.
        """
        if numbers.numel() > MOST_NUMBERS:
            what = f"sum_over_ranks was given {numbers.numel()} numbers, which is more than {MOST_NUMBERS}."
            raise PluginError(Problem(what, "add up counts, not tensors of predictions"))
        exchanged = self._empty()
        if self.counts:
            self.own.append(numbers.detach())
            exchanged[FIRST : FIRST + numbers.numel()] = numbers.detach().flatten()
        self.group.sum(exchanged)
        return exchanged[FIRST : FIRST + numbers.numel()].view(numbers.shape).to(numbers.dtype)

    def finish(self, numbers: Sequence[Tensor | float] = ()) -> list[Tensor] | None:
        """Return the sums of what a batch came to, in its last exchange; None if a process failed."""
        exchanged = self._empty()
        exchanged[LAST] = 1
        for place, number in enumerate(numbers, FIRST):
            exchanged[place] = number.detach() if isinstance(number, torch.Tensor) else number
        self.group.sum(exchanged)
        if exchanged[FAILED].item():
            return None
        return list(exchanged[FIRST : FIRST + len(numbers)])

    def fail(self) -> None:
        """Take part in what is left of the batch, whatever that is, and let the others know."""
        while True:
            exchanged = self._empty()
            exchanged[FAILED] = 1
            self.group.sum(exchanged)
            if int(exchanged[LAST].item() + exchanged[FAILED].item()) == self.group.ranks.world_size:
                return

    def _empty(self) -> Tensor:
        return torch.zeros(FIRST + MOST_NUMBERS, dtype=torch.float64, device=self.device)


def images_in(batch: Any) -> int:
    """Return the number of images of a batch."""
    return len(batch["img"])

"""Numbers that the processes of a run add up within a batch: normalisers of losses, and the loss itself.

Every exchange of a batch has the same size, so that a process that failed can take part in those of the others until
all are at the last one, where they learn of it.
"""

from __future__ import annotations

import hashlib
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
CHUNKS, BITS = 3, 20
"""Parts of a digest, and their size: squares of it are exact for thousands of processes."""


class BatchTotals:
    """Adds up numbers of a batch over the processes of a run.

    Args:
        group: The processes.
        device: Where the losses are.

    Attributes:
        counts: Whether the batch of this process counts; otherwise it only stands in.
        own: The numbers of this process in this batch.
        alike: Whether all processes gave the same digest at the end of the last batch.
    """

    def __init__(self, group: ProcessGroup, device: Device) -> None:
        self.group, self.device, self.counts = group, device, True
        self.own: list[Tensor] = []
        self.alike = False
        self._last: list[Tensor] = []

    def begin(self, counts: bool) -> None:
        """Begin a batch.

        Args:
            counts: Whether it counts.
        """
        self.counts, self.own, self._last = counts, [], []

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
        self._last.append(exchanged[LAST])  # looked at later: now it would wait for the device
        return exchanged[FIRST : FIRST + numbers.numel()].view(numbers.shape).to(numbers.dtype)

    def finish(self, numbers: Sequence[Tensor | float] = (), digest: bytes = b"") -> list[Tensor] | None:
        """Return the sums of what a batch came to, in its last exchange; None if a process failed.

        Args:
            numbers: The numbers of this process.
            digest: Anything that may differ between processes: see `alike`.

        Raises:
            PluginError: If another process took part in another number of exchanges.
        """
        self._require_no_end()
        exchanged = self._empty()
        exchanged[LAST] = 1
        for place, number in enumerate(numbers, FIRST):
            exchanged[place] = number.detach() if isinstance(number, torch.Tensor) else number
        exchanged[FIRST + MOST_NUMBERS :] = exchanged.new_tensor(_comparable(digest))
        found = self.group.sum(exchanged).tolist()
        if found[LAST] + found[FAILED] != self.group.ranks.world_size:
            raise _unequal_calls()
        if found[FAILED]:
            return None
        self.alike = _are_alike(found[FIRST + MOST_NUMBERS :], self.group.ranks.world_size)
        return list(exchanged[FIRST : FIRST + len(numbers)])

    def fail(self) -> None:
        """Take part in what is left of the batch, whatever that is, and let the others know.

        Raises:
            PluginError: If the others take part in different numbers of exchanges.
        """
        self._require_no_end()
        while True:
            exchanged = self._empty()
            exchanged[FAILED] = 1
            last, failed = self.group.sum(exchanged)[:FIRST].tolist()
            if last + failed == self.group.ranks.world_size:
                return
            if last:
                raise _unequal_calls()

    def _require_no_end(self) -> None:
        """Require that no process was at its last exchange in one of the earlier ones."""
        if self._last and bool(torch.stack(self._last).any()):
            raise _unequal_calls()

    def _empty(self) -> Tensor:
        return torch.zeros(FIRST + MOST_NUMBERS + 2 * CHUNKS, dtype=torch.float64, device=self.device)


def _unequal_calls() -> PluginError:
    what = "the loss called sum_over_ranks another number of times in some process."
    return PluginError(Problem(what, "call it equally often in every batch, also in one without objects"))


def _comparable(digest: bytes) -> list[float]:
    """Return numbers whose sums over processes show whether all have the same: parts of a hash, and their squares."""
    whole = int.from_bytes(hashlib.blake2b(digest, digest_size=8).digest(), "little")
    parts = [whole >> BITS * place & ((1 << BITS) - 1) for place in range(CHUNKS)]
    return [float(value) for part in parts for value in (part, part * part)]


def _are_alike(sums: Sequence[float], count: int) -> bool:
    return all(int(total) ** 2 == count * int(squares) for total, squares in zip(sums[::2], sums[1::2], strict=True))


def images_in(batch: Any) -> int:
    """Return the number of images of a batch."""
    return len(batch["img"])

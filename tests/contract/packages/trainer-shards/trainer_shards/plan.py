"""The order of an epoch, and the part of it that each process and each worker reads: numbers alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Piece:
    """A part of a shard.

    Attributes:
        shard: The shard's index.
        start: The first sample.
        stop: The sample after the last one.
    """

    shard: int
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """The samples of an epoch, shard after shard, divided among the processes.

    Each process reads one contiguous stretch, so a shard is read by one of them, or by two neighbours who each use a
    part of it. Every process has a part of every batch: fewer samples at the end than there are processes are not read
    in this epoch. In the next one they are others.

    Attributes:
        counts: The number of samples of each shard.
        order: The shards in the order of this epoch.
        batch: Samples per batch, of all processes together.
        processes: Number of processes.
    """

    counts: Sequence[int]
    order: Sequence[int]
    batch: int
    processes: int = 1

    @classmethod
    def of_epoch(cls, counts: Sequence[int], seed: int | None, epoch: int, batch: int, processes: int = 1) -> Plan:
        """Return the plan of an epoch, the same in every process; without a seed the shards keep their order."""
        order = list(range(len(counts)))
        if seed is not None:
            random.Random(f"{seed} {epoch}").shuffle(order)
        return cls(counts, order, batch, processes)

    @property
    def samples(self) -> int:
        """The number of samples that are read."""
        total = sum(self.counts)
        left = total % self.batch
        return total - left if left < self.processes else total

    @property
    def batches(self) -> int:
        """The number of batches."""
        return -(-self.samples // self.batch)

    def sizes(self, process: int) -> list[int]:
        """Return how many samples of each batch a process has."""
        full, last = divmod(self.samples, self.batch)
        wholes = [self.batch] * full + ([last] if last else [])
        return [whole // self.processes + (process < whole % self.processes) for whole in wholes]

    def pieces(self, process: int, worker: int = 0, workers: int = 1) -> tuple[list[Piece], list[int]]:
        """Return what a worker of a process reads, and the sizes of the batches that it makes of it.

        The batches of a process come from its workers in turn: from the first, the second and so on.
        """
        sizes = self.sizes(process)
        begin = sum(sum(self.sizes(earlier)) for earlier in range(process))
        begin += sum(sum(sizes[earlier::workers]) for earlier in range(worker))
        own = sizes[worker::workers]
        return list(self._between(begin, begin + sum(own))), own

    def _between(self, begin: int, end: int) -> list[Piece]:
        found = []
        stops = list(accumulate(self.counts[shard] for shard in self.order))
        for shard, stop in zip(self.order, stops, strict=True):
            start = stop - self.counts[shard]
            first, last = max(begin, start), min(end, stop)
            if first < last:
                found.append(Piece(shard, first - start, last - start))
        return found

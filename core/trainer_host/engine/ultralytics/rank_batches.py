"""The part that each of several processes has in every batch, and in the batches of an evaluation."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from trainer_host.base.errors import PluginError, Problem
from trainer_host.engine.ultralytics.batch_source import BatchSource, is_countable
from trainer_host.engine.ultralytics.held_generators import seed_of
from trainer_host.engine.ultralytics.seeded_dataset import SeededBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trainer_host.base.ranks import Ranks
    from trainer_host.engine.process_group import ProcessGroup


@dataclass(frozen=True)
class PartSize:
    """How much of a batch this process has.

    Attributes:
        images: Its images; 0 if it only stands in, with an image of another process, so that all do the same.
        digest: What the order of the epoch is known by, with its first batch.
    """

    images: int
    digest: str | None = None


class RankShare:
    """Takes the part of this process out of each batch, and says how large it is when the batch arrives.

    Args:
        group: The processes of the run.
    """

    def __init__(self, group: ProcessGroup) -> None:
        self.group = group
        self._sizes: deque[PartSize] = deque()
        self._digest: str | None = None

    def restart(self) -> None:
        """Forget the batches that have not arrived: their loader was reset."""
        self._sizes.clear()

    def note_order(self, order: Sequence[Sequence[Any]]) -> None:
        """Note the order of an epoch, of which a batch comes next."""
        self._digest = hashlib.sha256(repr([list(map(str, batch)) for batch in order]).encode()).hexdigest()

    def part(self, batch: SeededBatch) -> SeededBatch:
        """Return the part of this process, whose samples have the seeds that they have in the whole batch."""
        start, end = part_of(len(batch), self.group.ranks)
        self._sizes.append(PartSize(end - start, self._digest))
        self._digest = None
        if start == end:
            start, end = 0, 1
        own = SeededBatch(list(batch)[start:end])
        own.seeds, own.epoch, own.recent = batch.seeds[start:end], batch.epoch, batch.recent
        own.seed = seed_of(batch.seed, start) if start else batch.seed
        return own

    def arrived(self) -> PartSize:
        """Return the size of the batch that arrived: batches do so in the order in which they were taken.

        Raises:
            PluginError: If the processes drew different orders: images would be trained on twice, others not at all.
        """
        size = self._sizes.popleft()
        if size.digest is not None:
            found = self.group.gather(size.digest)
            if len(set(found)) > 1:
                other = next(rank for rank, digest in enumerate(found) if digest != found[0])
                what = f"the sampler chose other images in process {other} than in process 0."
                raise PluginError(Problem(what, "draw from random, numpy.random or torch only, which the host seeds"))
        return size


def part_of(count: int, ranks: Ranks) -> tuple[int, int]:
    """Return where the part of a process starts and ends; the first processes have one item more than the others."""
    size, more = divmod(count, ranks.world_size)
    start = ranks.rank * size + min(ranks.rank, more)
    return start, start + size + (ranks.rank < more)


class RankLoader:
    """The batches of a loader that this process evaluates: every one of as many as there are processes.

    Everything else is the loader's, its number of batches too. From the first iteration on, the loader itself loads
    these batches alone.

    Args:
        loader: A loader of all batches, in the same order in every process.
        ranks: The place of this process.
        before_round: Called by all processes before each round of batches, of which the last may have none for some.
    """

    def __init__(self, loader: Any, ranks: Ranks, before_round: Callable[[], None] = lambda: None) -> None:
        self._loader, self._ranks, self._before_round = loader, ranks, before_round
        self._source: _RankBatches | None = None

    def __len__(self) -> int:
        return len(self._loader) if self._source is None else self._source.total

    def __iter__(self) -> Iterator[Any]:
        self._take_part()
        own: Iterator[Any] = iter(self._loader)
        if self._source is None:
            own = islice(own, self._ranks.rank, None, self._ranks.world_size)
        for number in range(0, len(self), self._ranks.world_size):
            self._before_round()
            if number + self._ranks.rank < len(self):
                yield next(own)

    @property
    def sampler(self) -> Any:
        """The images that this process evaluates, in their order, if the loader loads by indices."""
        self._take_part()
        return self._loader.sampler if self._source is None else self._source.images()

    def _take_part(self) -> None:
        if self._source is None and isinstance(self._loader, DataLoader) and is_countable(self._loader):
            self._source = _RankBatches(self._loader, self._ranks)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._loader, name)


class _RankBatches(BatchSource):
    """The batches of a batch sampler that this process evaluates."""

    def __init__(self, loader: Any, ranks: Ranks) -> None:
        super().__init__(loader)
        self.ranks, self.total = ranks, len(self.batches)
        if self.endless:  # the engine's loader takes its length from here
            self.sampler = self

    def __len__(self) -> int:
        return len(range(self.ranks.rank, self.total, self.ranks.world_size))

    def images(self) -> list[Any]:
        """Return the indices of the images of this process."""
        return list(chain.from_iterable(self._own()))

    def _own(self) -> Iterator[Any]:
        return islice(iter(self.batches), self.ranks.rank, None, self.ranks.world_size)

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self._own()
            if not self.endless or not len(self):
                return

"""The seeded order: every epoch's order and every sample have a seed of their own."""

from __future__ import annotations

import operator
from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from trainer_host.engine.ultralytics.batch_source import (
    BatchSource,
    is_live,
    remaining,
    replace,
    require_mode,
    set_epoch,
)
from trainer_host.engine.ultralytics.held_generators import (
    held_generators,
    preserved_generators,
    seed_all,
    seed_of,
)
from trainer_host.engine.ultralytics.rank_batches import RankShare
from trainer_host.engine.ultralytics.seeded_dataset import SeededBatch, SeededCollate, SeededDataset, loading_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainer_host.engine.process_group import ProcessGroup

ORDER, BATCH, SAMPLE = range(3)
"""Kinds of seeds."""


class SeededOrder:
    """The order of a loader of torch, seeded by (seed, epoch, index).

    It replaces the loader's batch sampler, dataset and function that joins samples.

    Args:
        loader: The loader.
        seed: The seed of the run.
        group: The processes of the run, each of which loads its part of every batch.
    """

    def __init__(self, loader: Any, seed: int, group: ProcessGroup | None = None) -> None:
        dataset = SeededDataset(loader.dataset)
        replace(loader, "dataset", dataset)
        loader.collate_fn = SeededCollate(loader.collate_fn)
        self._loader, self._loading = loader, loading_of(dataset)
        self._source = _SeededBatches(loader, seed, self._loading.windows.size)
        if group is not None and group.ranks.world_size > 1:
            self._source.share = RankShare(group)
        self._next = (0, 0, 0)
        self._done = 0

    @property
    def share(self) -> RankShare | None:
        """What says how much of each batch this process has; None if it has all."""
        return self._source.share

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        """Set the position; an iterator that is about to deliver something else is dropped."""
        if is_live(self._loader) and (epoch, batch, attempt) != self._next:
            self._loader.reset()
        if self.share is not None and not is_live(self._loader):
            self.share.restart()
        self._source.position = (epoch, batch, attempt)
        self._next, self._done = (epoch + 1, 0, attempt), batch
        self._loading.epoch = None  # transforms may have been replaced
        for past in [e for e in self._source.ends if e < epoch - 1]:
            del self._source.ends[past]

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch from the position on."""
        with preserved_generators():  # torch's loader draws a seed from that of the process, once more if resumed
            return remaining(self._loader, self._source, self._done)

    def state(self) -> dict[str, Any]:
        """Return the last images of this epoch and the one before, from which mosaic draws."""
        epoch = self._source.position[0]
        return {"mode": "seeded", "ends": {e: v for e, v in self._source.ends.items() if e <= epoch}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        require_mode(state, "seeded")
        if is_live(self._loader):
            self._loader.reset()
        self._source.ends = {int(e): list(v) for e, v in state["ends"].items()}


class _SeededBatches(BatchSource):
    """Yields the batches of epochs, with seeds.

    Attributes:
        position: Epoch, batch and attempt from which a new iterator starts.
        ends: The last images of epochs, as many as mosaic draws from.
        share: Takes the part of this process out of each batch, if there are several.
    """

    share: RankShare | None = None

    def __init__(self, loader: Any, seed: int, window: int) -> None:
        super().__init__(loader)
        self.seed, self.window = seed, window
        self.position = (0, 0, 0)
        self.ends: dict[int, list[int]] = {}
        self._generator, self._dataset = loader.generator, loading_of(loader.dataset).dataset

    def __iter__(self) -> Iterator[SeededBatch]:
        epoch, batch, attempt = self.position
        while True:
            left = islice(self._epoch(epoch, attempt), batch, None)
            yield from left if self.share is None else map(self.share.part, left)
            if not self.endless:
                return
            epoch, batch = epoch + 1, 0

    def _epoch(self, epoch: int, attempt: int) -> Iterator[SeededBatch]:
        before = self._end(epoch - 1)
        order = self._order(epoch)
        if self.share is not None:
            self.share.note_order(order)
        images = _images(order)
        self.ends[epoch] = _end(images or (), self.window)
        history, end = [*before, *(images or ())], len(before)
        repeats: Counter[Any] = Counter()
        place = 0
        for number, indices in enumerate(order):
            batch = SeededBatch(indices)
            batch.epoch, batch.seed = epoch, seed_of(BATCH, self.seed, epoch, attempt, number)
            if images is None:  # no numbers: seeded by their place in the epoch
                keys = [(place + i, 0) for i in range(len(indices))]
            else:
                keys = list(_counted(images[place : place + len(indices)], repeats))
            place += len(indices)
            batch.seeds = [seed_of(SAMPLE, self.seed, epoch, attempt, *key) for key in keys]
            if images is not None and self.window:
                batch.recent = self._recent(history, end + place)
            yield batch

    def _recent(self, history: Sequence[int], end: int) -> list[int]:
        """Return the images before a place in the order, the newest first, each once."""
        # Twice as many as wanted, because an image of this epoch may be among the last of the one before.
        return list(dict.fromkeys(reversed(history[max(0, end - 2 * self.window) : end])))[: self.window]

    def _end(self, epoch: int) -> list[int]:
        """Return the last images of an epoch, which may lie before this process."""
        if epoch < 0 or not self.window:
            return []
        if epoch not in self.ends:
            self.ends[epoch] = _end(_images(self._order(epoch)) or (), self.window)
        return self.ends[epoch]

    def _order(self, epoch: int) -> list[list[Any]]:
        """Return the batches of an epoch; drawn at once, so that nothing else comes between its random numbers."""
        set_epoch(epoch, self.batches)
        held = held_generators(self._generator, self.batches, without=self._dataset)
        found: list[list[Any]] = []
        with preserved_generators(held):
            seed_all(held, seed_of(ORDER, self.seed, epoch))
            while len(found) < len(self):  # the engine's loader repeats a sampler that yields less than its length
                more = [list(indices) for indices in islice(iter(self.batches), len(self) - len(found))]
                found += more
                if not more or not self.endless:
                    break
        return found


def _images(order: Sequence[Sequence[Any]]) -> list[int] | None:
    """Return the indices of an epoch as plain numbers, None if they are something else."""
    try:
        return [operator.index(i) for i in chain.from_iterable(order)]
    except TypeError:
        return None


def _counted(images: Sequence[int], repeats: Counter[Any]) -> Iterator[tuple[int, int]]:
    """Yield images with how often each came before in the epoch."""
    for image in images:
        yield image, repeats[image]
        repeats[image] += 1


def _end(images: Sequence[int], count: int) -> list[int]:
    return list(images[-count:]) if count else []

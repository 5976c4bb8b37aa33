"""A dataset whose samples are seeded one by one, so that they do not depend on the worker that loads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.engine.ultralytics.held_generators import held_generators, preserved_generators, seed_all
from trainer_host.engine.ultralytics.mosaic_window import MosaicWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class SeededBatch(list[Any]):
    """The indices of a batch with their seeds, as they travel to a worker.

    Attributes:
        seeds: One for each index.
        seed: One for the batch as a whole.
        epoch: The epoch.
        recent: The images that mosaic draws from, the newest first.
    """

    seeds: Sequence[int] = ()
    seed = 0
    epoch = 0
    recent: Sequence[int] = ()


class _Samples(list[Any]):
    seed = 0


class _Loading:
    """How a process loads the samples of a dataset.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.windows = dataset, MosaicWindows(dataset)
        self.epoch: int | None = None
        self._held: list[Any] = []

    def load(self, batch: SeededBatch) -> _Samples:
        """Return the samples of a batch, and put the generators of the process back."""
        self.windows.move(batch.recent)
        held = self._generators(batch.epoch)
        several: Any = getattr(self.dataset, "__getitems__", None)
        with preserved_generators(held):
            if several:
                seed_all(held, batch.seed)
                samples = _Samples(several(list(batch)))
            else:
                samples = _Samples()
                for index, seed in zip(batch, batch.seeds, strict=True):
                    seed_all(held, seed)
                    samples.append(self.dataset[index])
        samples.seed = batch.seed
        return samples

    def _generators(self, epoch: int) -> list[Any]:
        """Return the generators that the dataset holds; looked for in each epoch, as transforms may be replaced."""
        if epoch != self.epoch:
            self._held, self.epoch = held_generators(self.dataset), epoch
        return self._held


class SeededDataset:
    """Passes everything on to a dataset, except that batches with seeds are loaded under these.

    The generators of the process are put back after each batch, so that a loader without workers leaves them as one
    with workers does.

    Args:
        dataset: Any dataset with indices.
    """

    _seeded_loading: _Loading

    def __init__(self, dataset: Any) -> None:
        object.__setattr__(self, "_seeded_loading", _Loading(dataset))

    def __getitems__(self, batch: Sequence[Any]) -> list[Any]:
        """Return the samples of a batch."""
        if isinstance(batch, SeededBatch):
            return self._seeded_loading.load(batch)
        several: Any = getattr(self._seeded_loading.dataset, "__getitems__", None)
        return list(several(batch)) if several else [self[i] for i in batch]

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance sees the dataset
        return type(self._seeded_loading.dataset)

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return SeededDataset, (self._seeded_loading.dataset,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seeded_loading.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._seeded_loading.dataset, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._seeded_loading.dataset, name)

    def __dir__(self) -> list[str]:
        return dir(self._seeded_loading.dataset)

    def __repr__(self) -> str:
        return repr(self._seeded_loading.dataset)

    def __len__(self) -> int:
        return len(self._seeded_loading.dataset)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._seeded_loading.dataset)

    def __getitem__(self, index: Any) -> Any:
        item = self._seeded_loading.dataset[index]
        self._seeded_loading.windows.evict()  # no batch follows that would
        return item


def loading_of(dataset: SeededDataset) -> _Loading:
    """Return how this process loads the samples."""
    return dataset._seeded_loading


class SeededCollate:
    """Joins the samples of a batch under its seed, for functions that draw random numbers.

    Args:
        function: The function that joins them.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self._held: list[Any] | None = None

    def __call__(self, samples: Any) -> Any:
        """Return the batch."""
        if not isinstance(samples, _Samples):
            return self.function(samples)
        if self._held is None:
            self._held = held_generators(self.function)
        with preserved_generators(self._held):
            seed_all(self._held, samples.seed)
            return self.function(list(samples))

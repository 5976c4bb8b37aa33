"""The order in which a training sees its samples, and how it is found again by a training that is resumed.

Two modes: *exact* keeps the stock order and random numbers, and a resumed training equals one that was not interrupted
if the loader has no workers. *seeded* seeds every sample by its place, and it is equal for any number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch.utils.data import DataLoader, IterableDataset

from trainer_host.engine.ultralytics.exact_order import ExactOrder
from trainer_host.engine.ultralytics.loader_replay import LoaderReplay
from trainer_host.engine.ultralytics.seeded_order import SeededOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class SampleOrder(Protocol):
    """The order of a training's loader."""

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        """Set the position: call it at the start of each epoch, after a reset of the loader, before it is iterated.

        Args:
            epoch: The epoch, counted from 0.
            batch: Batches of it that are done.
            attempt: Recoveries so far; in the seeded mode each has other augmentations, of the same batches.
        """
        ...

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch from the position on."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what `load` needs, as plain data and tensors."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state; `begin` with its position comes next."""
        ...


def order_of(loader: Any, exact: bool, seed: int) -> SampleOrder:
    """Take over the order of a loader for training.

    Args:
        loader: Any loader. Of those of torch that load batches by indices, the sampler is replaced, and in the seeded
            mode the dataset.
        exact: Whether the order and the random numbers are the stock trainer's.
        seed: The seed of the run.
    """
    indexed = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not indexed or not _countable(loader.batch_sampler):
        return LoaderReplay(loader, None if exact else seed)
    return ExactOrder(loader) if exact else SeededOrder(loader, seed)


def _countable(batches: Any) -> bool:
    return hasattr(batches, "__len__") or hasattr(getattr(batches, "sampler", None), "__len__")

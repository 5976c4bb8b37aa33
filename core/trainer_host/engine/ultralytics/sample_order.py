"""The order in which a training sees its samples, and how it is found again by a training that is resumed.

Two modes: *exact* keeps the stock order and random numbers, and a resumed training equals one that was not interrupted
if the loader has no workers. *seeded* seeds every sample by its place, and it is equal for any number of workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch.utils.data import DataLoader, IterableDataset

from trainer_host.engine.ultralytics.batch_source import is_countable
from trainer_host.engine.ultralytics.exact_order import ExactOrder
from trainer_host.engine.ultralytics.loader_replay import LoaderReplay
from trainer_host.engine.ultralytics.seeded_order import SeededOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_host.engine.process_group import ProcessGroup
    from trainer_host.engine.ultralytics.rank_batches import RankShare


class SampleOrder(Protocol):
    """The order of a training's loader.

    Attributes:
        share: What says how much of each batch this process has; None if the loader does not say.
    """

    @property
    def share(self) -> RankShare | None: ...  # noqa: D102

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


class _LoadedOrder:
    """An order that keeps a state that was loaded until the training begins at its position.

    A training that is resumed at a validation saves its next state before it has drawn a sample.

    Args:
        order: The order.
    """

    def __init__(self, order: SampleOrder) -> None:
        self._order = order
        self._loaded: Mapping[str, Any] | None = None

    @property
    def share(self) -> RankShare | None:
        """What says how much of each batch this process has; None if the loader does not say."""
        return self._order.share

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        """Set the position."""
        self._loaded = None
        self._order.begin(epoch, batch, attempt)

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch from the position on."""
        return self._order.batches()

    def state(self) -> dict[str, Any]:
        """Return the state."""
        return dict(self._loaded) if self._loaded is not None else self._order.state()

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self._order.load(state)
        self._loaded = state


def order_of(loader: Any, exact: bool, seed: int, group: ProcessGroup | None = None) -> SampleOrder:
    """Take over the order of a loader for training.

    Args:
        loader: Any loader. Of those of torch that load batches by indices, the sampler is replaced, and in the seeded
            mode the dataset.
        exact: Whether the order and the random numbers are the stock trainer's.
        seed: The seed of the run.
        group: The processes of the run: of a loader by indices each loads its part of every batch; any other loader
            is made by its plugin to yield that part.
    """
    indexed = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not indexed or not is_countable(loader):
        return _LoadedOrder(LoaderReplay(loader, None if exact else seed))
    return _LoadedOrder(ExactOrder(loader) if exact else SeededOrder(loader, seed, group))

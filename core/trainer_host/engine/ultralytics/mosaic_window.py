"""The images from which mosaic draws its partners, as a function of the order rather than of what a worker loaded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import ConcatDataset, Subset

Local = Callable[[Sequence[int]], list[int]]
"""Turns indices of a dataset into those of a dataset in it, without those of others."""


class MosaicWindow(list[int]):
    """Stands in for the engine's buffer: its items are the window, and `append` records what the engine caches.

    The engine caches each image that it loads, and evicts one when the buffer is full. The window never is, so that
    images leave memory when they leave the window.
    """

    def __init__(self, cached: Sequence[int] = ()) -> None:
        super().__init__()
        self.cached = set(cached)

    def append(self, index: int) -> None:
        """Record an image that was cached."""
        self.cached.add(index)
        if not self:  # mosaic has to draw from something, when an item is asked for outside of a batch
            super().append(index)

    def move(self, dataset: Any, indices: Sequence[int], keep: bool = True) -> None:
        """Make these the window of a dataset, and evict the images outside; all of them unless ``keep``."""
        self[:] = indices
        self.evict(dataset, indices if keep else ())

    def evict(self, dataset: Any, kept: Sequence[int]) -> None:
        """Evict all images but these."""
        for index in self.cached.difference(kept):
            dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
        self.cached.intersection_update(kept)


class MosaicWindows:
    """The windows of a dataset and of those in it.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: Any) -> None:
        self._parts = list(_mosaic_datasets(dataset, list))
        for part, _ in self._parts:
            if not isinstance(part.buffer, MosaicWindow):
                part.buffer = MosaicWindow(part.buffer)

    @property
    def size(self) -> int:
        """The length of the longest window."""
        return max((_length(part) for part, _ in self._parts), default=0)

    def move(self, recent: Sequence[int]) -> None:
        """Set the windows to the images that come last in the order, the newest first."""
        for part, local in self._parts:
            if recent and local is not None:
                part.buffer.move(part, local(recent)[: _length(part)])
            else:  # unknown which images these are: all of them, so that it depends on no worker
                part.buffer.move(part, range(part.ni), keep=False)

    def evict(self) -> None:
        """Evict the images outside."""
        for part, _ in self._parts:
            part.buffer.evict(part, part.buffer)


def mosaic_datasets(dataset: Any) -> list[Any]:
    """Return the datasets of the engine, in a dataset, that keep a buffer for mosaic."""
    return [part for part, _ in _mosaic_datasets(dataset, list)]


def _length(dataset: Any) -> int:
    return max(1, int(dataset.max_buffer_length) - 1)  # at its length the engine would evict


def _mosaic_datasets(dataset: Any, local: Local | None) -> Iterator[tuple[Any, Local | None]]:
    """Yield the datasets that keep a buffer, with the mapping to their own indices, None if it is unknown."""
    if all(hasattr(dataset, name) for name in ("buffer", "ims", "im_hw0", "im_hw", "max_buffer_length")):
        if dataset.cache != "ram" and dataset.max_buffer_length:
            yield dataset, local
    elif isinstance(dataset, Subset):
        indices = dataset.indices
        yield from _mosaic_datasets(
            dataset.dataset, None if local is None else lambda recent: [indices[i] for i in local(recent)]
        )
    elif isinstance(dataset, ConcatDataset):
        for number, part in enumerate(dataset.datasets):
            yield from _mosaic_datasets(part, _part(local, dataset.cumulative_sizes, number))
    elif (inner := getattr(dataset, "dataset", None)) is not None:
        yield from _mosaic_datasets(inner, local if _length_of(inner) == _length_of(dataset) else None)


def _part(local: Local | None, ends: Sequence[int], number: int) -> Local | None:
    if local is None:
        return None
    start = ends[number - 1] if number else 0
    return lambda recent: [i - start for i in local(recent) if bisect_right(ends, i) == number]


def _length_of(dataset: Any) -> int | None:
    return len(dataset) if hasattr(dataset, "__len__") else None

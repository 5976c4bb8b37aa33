"""What the two orders of a torch loader have in common: they take the place of its batch sampler."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class BatchSource:
    """A batch sampler in the place of a loader's own.

    Args:
        loader: The loader.

    Attributes:
        batches: The loader's own batch sampler.
        endless: Whether one iterator of the loader serves all epochs, as the engine's does.
        sampler: What the engine's loader takes its length from; of torch's, the sampler.
    """

    def __init__(self, loader: Any) -> None:
        own = loader.batch_sampler
        self.endless = not hasattr(own, "__len__")  # the engine's wrapper, which repeats a batch sampler for ever
        self.batches = own.sampler if self.endless else own
        self.sampler = self.batches if self.endless else getattr(own, "sampler", None)
        replace(loader, "batch_sampler", self)

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name == "batches":  # not there yet
            raise AttributeError(name)
        return getattr(self.batches, name)


def replace(loader: Any, name: str, value: Any) -> None:
    """Replace a part of a loader, which torch refuses, because its other parts may depend on it."""
    object.__setattr__(loader, name, value)


def is_live(loader: Any) -> bool:
    """Return whether a loader keeps an iterator that serves the next epoch too."""
    return getattr(loader, "iterator", None) is not None


def is_countable(loader: Any) -> bool:
    """Return whether a loader of torch has a batch sampler that can be replaced: one with a length."""
    batches = loader.batch_sampler
    return hasattr(batches, "__len__") or hasattr(getattr(batches, "sampler", None), "__len__")


def remaining(loader: Any, source: BatchSource, done: int) -> Iterator[Any]:
    """Yield the batches of an epoch of which some are done."""
    # The engine's loader always yields as many batches as an epoch has; torch's ends with its batch sampler.
    return islice(iter(loader), len(source) - done) if source.endless and done else iter(loader)


def require_mode(state: Mapping[str, Any], mode: str) -> None:
    """Refuse the state of another kind of order.

    Raises:
        SettingsError: If it is one.
    """
    if (saved := state.get("mode")) != mode:
        what = f"the saved order of samples is {saved!r}, that of this run is {mode!r}."
        raise SettingsError(Problem(what, "resume with the same --exact and the same plugins, or start a new run"))


def set_epoch(epoch: int, source: Any) -> None:
    """Have a sampler or a loader, and the sampler in it, know the epoch, as those of torch for several processes do."""
    for part in (source, getattr(source, "sampler", None)):
        if callable(function := getattr(part, "set_epoch", None)):
            function(epoch)

"""The order of a loader that the host knows nothing of: an epoch is started again, and what is done is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.engine.ultralytics.batch_source import require_mode, set_epoch
from trainer_host.engine.ultralytics.held_generators import (
    PROCESS,
    held_generators,
    plain_states,
    seed_all,
    seed_of,
    set_plain_states,
    set_state,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LoaderReplay:
    """The order of any loader that can be iterated once for each epoch.

    Args:
        loader: The loader.
        seed: The seed of the run, under which each epoch starts; None to leave the random numbers as they are.
    """

    share = None

    def __init__(self, loader: Any, seed: int | None) -> None:
        self._loader, self._seed = loader, seed
        self._start: list[dict[str, Any]] | None = None
        self._now: list[dict[str, Any]] | None = None
        self._done = 0

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        """Set the position; the generators are seeded at the start of an epoch only."""
        self._done = batch
        if self._now is not None:
            set_plain_states(self._held(), self._now, "loader")
            self._now = None
        set_epoch(epoch, self._loader)
        if batch:
            return
        if self._seed is not None:
            seed_all(self._held(), seed_of(self._seed, epoch, attempt))
        self._start = plain_states([*PROCESS, *self._held()])

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch from the position on; those before are loaded and dropped."""
        if not self._done:
            return iter(self._loader)
        before = [(generator, state_of(generator)) for generator in PROCESS]
        if self._start is not None:
            set_plain_states([*PROCESS, *self._held()], self._start, "loader")
        batches: Iterator[Any] = iter(self._loader)
        for _ in range(self._done):
            next(batches, None)
        for generator, state in before:
            set_state(generator, state)
        return batches

    def state(self) -> dict[str, Any]:
        """Return the states of generators at the start of the epoch, and of those that the loader holds now."""
        return {"mode": "replay", "start": self._start, "generators": plain_states(self._held())}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        require_mode(state, "replay")
        self._start, self._now = state["start"], state["generators"]

    def _held(self) -> list[Any]:
        return held_generators(self._loader)

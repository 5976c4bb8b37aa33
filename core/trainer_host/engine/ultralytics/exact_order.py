"""The stock order: what a loader draws is recorded, so that a resumed training can draw it again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.ultralytics.batch_source import BatchSource, is_live, remaining, require_mode
from trainer_host.engine.ultralytics.held_generators import (
    PROCESS,
    held_generators,
    plain_states,
    preserved_generators,
    seeded_transforms,
    set_plain_states,
    set_state,
    state_of,
)
from trainer_host.engine.ultralytics.mosaic_window import mosaic_datasets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class ExactOrder:
    """The order of a loader of torch as it is, recorded.

    The generators of the process belong to the training, which restores them. This restores those of the loader, its
    samplers and its dataset, and the images that mosaic draws from.

    Args:
        loader: The loader.
    """

    share = None

    def __init__(self, loader: Any) -> None:
        self._loader, self._source = loader, _RecordedBatches(loader)
        self._done = 0
        self._held: Sequence[Mapping[str, Any]] | None = None
        self._seeds: Sequence[int | None] = ()

    def begin(self, epoch: int, batch: int = 0, attempt: int = 0) -> None:
        """Set the position; only after `load` is there anything to do."""
        self._done = batch
        if self._held is None:
            return
        if self._keeps_iterator() and not is_live(self._loader) and not batch:
            self._source.replay = None  # the loader was reset, as mosaic ends: its new iterator begins a new pass
        for transform, seed in zip(seeded_transforms(self._loader.dataset), self._seeds, strict=False):
            if seed is not None and transform.seed != seed:
                transform.set_random_seed(seed)  # or the engine would, and lose what is set now
        set_plain_states(self._generators(), self._held, "dataset and its loader")
        if (replay := self._source.replay) is not None:
            if self._loader.num_workers:  # then the sampler was ahead of the training
                replay.skip, replay.digest = batch or len(self._source), None
            replay.moment = [(g, state_of(g)) for g in (*PROCESS, *self._generators())]
        self._held = None

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch from the position on."""
        return remaining(self._loader, self._source, self._done)

    def state(self) -> dict[str, Any]:
        """Return the pass of the sampler that is in progress, the states of generators, and the images of mosaic."""
        buffers = [[int(i) for i in part.buffer] for part in mosaic_datasets(self._loader.dataset)]
        held = plain_states(self._generators())
        seeds = [transform.seed for transform in seeded_transforms(self._loader.dataset)]
        return {"mode": "exact", "pass": self._source.state(), "generators": held, "seeds": seeds, "buffers": buffers}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over a state, and load the images of mosaic."""
        require_mode(state, "exact")
        if hasattr(self._loader, "reset"):
            self._loader.reset()
        for part, indices in zip(mosaic_datasets(self._loader.dataset), state["buffers"], strict=False):
            _fill(part, indices)
        self._held, self._seeds = state["generators"], state["seeds"]
        self._source.replay = _Replay(state["pass"]) if state["pass"] is not None else None
        if self._keeps_iterator():
            self._loader.iterator = self._loader._get_iterator()  # gone when the loader is reset before `begin`

    def _keeps_iterator(self) -> bool:
        """Return whether the loader keeps an iterator, which loads nothing when it is made, as it has no workers."""
        return self._source.endless and hasattr(self._loader, "iterator") and not self._loader.num_workers

    def _generators(self) -> list[Any]:
        return held_generators(self._loader.generator, self._source.batches, self._loader.dataset)


class _Replay:
    """A pass of a sampler to draw again.

    Attributes:
        start: The states of generators at its start.
        skip: Batches of it that are done.
        digest: What these were.
        moment: Generators with the states to continue with.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.start, self.skip, self.digest = state["start"], int(state["batches"]), state["digest"]
        self.moment: list[tuple[Any, Any]] = []


class _RecordedBatches(BatchSource):
    """The batches of a batch sampler, with the states of generators at the start of each pass.

    Attributes:
        replay: A pass that the next iterator continues.
    """

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self.replay: _Replay | None = None
        self._generator, self._dataset = loader.generator, loader.dataset
        self._start: list[dict[str, Any]] | None = None
        self._count, self._digest = 0, hashlib.sha256()

    def state(self) -> dict[str, Any] | None:
        """Return the pass in progress; None between two."""
        if self._start is None:
            return None
        return {"start": self._start, "batches": self._count, "digest": self._digest.hexdigest()}

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self._pass()
            if not self.endless:
                return

    def _pass(self) -> Iterator[Any]:
        replay, self.replay = self.replay, None
        generators = self._drawn_from()
        if replay is not None:
            set_plain_states(generators, replay.start, "sampler")
        self._start, self._count, self._digest = plain_states(generators), 0, hashlib.sha256()
        batches = iter(self.batches)
        if replay is not None:
            self._skip(batches, replay)
        for indices in batches:
            self._note(indices)
            yield indices
        self._start = None

    def _skip(self, batches: Iterator[Any], replay: _Replay) -> None:
        for _ in range(replay.skip):
            self._note(next(batches, None))
        if replay.digest not in (None, self._digest.hexdigest()):
            what = f"the batch sampler {type(self.batches).__name__} does not repeat the order of this epoch."
            fix = "have its sampler draw from a generator of its own, or resume from the end of an epoch"
            raise SettingsError(Problem(what, fix))
        for generator, state in replay.moment:
            set_state(generator, state)

    def _note(self, indices: Any) -> None:
        self._count += 1
        self._digest.update(repr(indices).encode())

    def _drawn_from(self) -> list[Any]:
        """Return the generators that the sampler may draw from."""
        return [*PROCESS, *held_generators(self._generator, self.batches, without=self._dataset)]


def _fill(dataset: Any, indices: Sequence[int]) -> None:
    """Load the images that mosaic draws from, in their order."""
    for index in dataset.buffer:
        dataset.ims[index] = dataset.im_hw0[index] = dataset.im_hw[index] = None
    dataset.buffer.clear()
    with preserved_generators():
        for index in indices:
            dataset.load_image(index)  # which appends it

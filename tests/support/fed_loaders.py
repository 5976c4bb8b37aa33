"""Training loaders driven as a training loop does, and resumed from any of their batches."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.detect.test_augment import context
from trainer_host import AnnotatedImage
from trainer_host.engine.ultralytics.sample_order import SampleOrder, order_of

SETTINGS: dict[str, Any] = {"mosaic": 1.0, "mixup": 0.5, "cutmix": 0.3, "scale": 0.5, "translate": 0.1, "hsv_h": 0.1}
BATCH = 4
CLOSING = 2
"""The epoch in which mosaic ends."""

Batch = dict[str, Any]
Globals = tuple[Any, Any, Any]


@dataclass
class Feed:
    """A loader with its order, driven as a training loop does."""

    loader: Any
    order: SampleOrder
    args: Any = None
    closed: bool = False
    iterators: list[int] = field(default_factory=list)

    def epoch(self, number: int, done: int = 0, attempt: int = 0) -> Iterator[Batch]:
        if self.args is not None and not self.closed and number >= CLOSING:
            self.close()
            self.loader.reset()
        self.order.begin(number, done, attempt)
        yield from self.order.batches()
        self.iterators.append(id(getattr(self.loader, "iterator", None)))

    def close(self) -> None:
        self.closed = True
        self.loader.dataset.mosaic = False
        self.loader.dataset.close_mosaic(hyp=copy.copy(self.args))

    def end(self) -> None:
        """Let the workers end by themselves: the engine would kill them, perhaps while one holds a lock."""
        if hasattr(self.loader, "close"):
            self.loader.close()


def seed_process(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def feed(
    data: Path,
    task: str = "pose",
    *changes: Callable[[AnnotatedImage], Any],
    exact: bool = False,
    workers: int = 0,
    sampler: Callable[[Any], Any] | None = None,
    batch: int = BATCH,
    **settings: Any,
) -> Feed:
    """Build dataset and loader as a training does."""
    from trainer_detect.training_data import build_dataset, build_loader

    seed_process(3)
    given = replace(context(data, task, *changes, **{**SETTINGS, "workers": workers, **settings}), batch_size=batch)
    dataset = build_dataset(given)
    given = replace(given, sampler=sampler(dataset) if sampler else None)
    loader = build_loader(given, dataset)
    assert loader.num_workers == workers
    return Feed(loader, order_of(loader, exact, seed=5), given.args)


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state after it was in a file that is read with `weights_only`."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True)
    return read


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(v, other[k]) for k, v in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(np.all(one == other))


def assert_same(found: list[Batch], wanted: list[Batch]) -> None:
    assert len(found) == len(wanted)
    unequal = [i for i, (one, other) in enumerate(zip(found, wanted, strict=True)) if not equal(one, other)]
    assert not unequal


def train() -> None:
    """Draw as a model with dropout does between two batches."""
    torch.rand(3)
    random.random()


def generators() -> Globals:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_generators(states: Globals) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@dataclass
class Point:
    """A moment of a training."""

    epoch: int
    batch: int
    order: dict[str, Any]
    generators: Globals
    left: list[Batch]
    closed: bool


def course(feed: Feed, epochs: int = 4) -> list[Point]:
    """Train, and return the state after each batch, with the batches to come."""
    points: list[Point] = []
    for epoch in range(epochs):
        count = len(feed.loader)
        for number, batch in enumerate(feed.epoch(epoch), 1):
            for point in points:
                point.left.append(batch)
            train()
            if number < count:
                points.append(Point(epoch, number, feed.order.state(), generators(), [], feed.closed))
        points.append(Point(epoch + 1, 0, feed.order.state(), generators(), [], feed.closed))
    feed.end()
    return points[:-1]


def resumed(feed: Feed, point: Point, epochs: int = 4) -> list[Batch]:
    """Train on from a moment in a process that has drawn other numbers."""
    seed_process(1234)
    if point.closed:
        feed.close()
    feed.order.load(through_file(point.order))
    feed.order.load(through_file(point.order))  # a training may restore twice: what runs in between draws numbers
    set_generators(point.generators)
    found = []
    for epoch in range(point.epoch, epochs):
        for batch in feed.epoch(epoch, point.batch if epoch == point.epoch else 0):
            found.append(batch)
            train()
    feed.end()
    return found

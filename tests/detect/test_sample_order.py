"""The order of samples and their random numbers: the same for any number of workers, and after a resume."""

from __future__ import annotations

import copy
import io
import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, RandomSampler, Subset, WeightedRandomSampler

from tests.detect.test_augment import context
from tests.support.sample_datasets import detect_dataset, pose_dataset
from trainer_host import AnnotatedImage
from trainer_host.base.errors import SettingsError
from trainer_host.engine.ultralytics.held_generators import held_generators, seed_of
from trainer_host.engine.ultralytics.mosaic_window import MosaicWindow
from trainer_host.engine.ultralytics.sample_order import SampleOrder, order_of
from trainer_host.engine.ultralytics.seeded_dataset import SeededDataset

SETTINGS: dict[str, Any] = {"mosaic": 1.0, "mixup": 0.5, "cutmix": 0.3, "scale": 0.5, "translate": 0.1, "hsv_h": 0.1}
IMAGES, BATCH = 26, 4
CLOSING = 2
"""The epoch in which mosaic ends."""

Batch = dict[str, Any]


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("pose"), images=IMAGES)


@pytest.fixture(scope="module")
def detect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("detect"), images=IMAGES)


@dataclass
class Feed:
    """A loader with its order, driven as a training loop does."""

    loader: Any
    order: SampleOrder
    args: Any = None
    closed: bool = False

    def epoch(self, number: int, done: int = 0, attempt: int = 0) -> Iterator[Batch]:
        if self.args is not None and not self.closed and number >= CLOSING:
            self.close()
            self.loader.reset()
        self.order.begin(number, done, attempt)
        return self.order.batches()

    def close(self) -> None:
        self.closed = True
        self.loader.dataset.mosaic = False
        self.loader.dataset.close_mosaic(hyp=copy.copy(self.args))


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
    from trainer_detect.reading import build_dataset, build_loader

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


Model = Callable[[], Any]


def train() -> None:
    """Draw as a model with dropout does between two batches."""
    torch.rand(3)
    random.random()


Globals = tuple[Any, Any, Any]


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
    return points[:-1]


def resumed(feed: Feed, point: Point, epochs: int = 4) -> list[Batch]:
    """Train on from a moment in a process that has drawn other numbers."""
    seed_process(1234)
    if point.closed:
        feed.close()
    feed.order.load(through_file(point.order))
    set_generators(point.generators)
    found = []
    for epoch in range(point.epoch, epochs):
        for batch in feed.epoch(epoch, point.batch if epoch == point.epoch else 0):
            found.append(batch)
            train()
    return found


def weighted(own_generator: bool, replacement: bool = True) -> Callable[[Any], Any]:
    def sampler(dataset: Any) -> Any:
        generator = torch.Generator().manual_seed(8) if own_generator else None
        weights = torch.arange(1, len(dataset) + 1).double()
        return WeightedRandomSampler(weights, len(dataset), replacement, generator)

    return sampler


class Interleaved:
    """A sampler that draws from the process's generator while images are loaded."""

    def __init__(self, dataset: Any) -> None:
        self.count = len(dataset)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return (random.randrange(self.count) for _ in range(self.count))


class Noise:
    """An augmentation that draws from every kind of generator, some of them its own."""

    def __init__(self) -> None:
        self.numpy, self.python = np.random.default_rng(1), random.Random(2)
        self.parts = [{"torch": torch.Generator().manual_seed(3)}, np.random.RandomState(4)]

    def __call__(self, image: AnnotatedImage) -> AnnotatedImage:
        own: Any = self.parts
        drawn = [self.numpy.random(), self.python.random(), torch.rand(1, generator=own[0]["torch"]).item(), own[1].rand()]
        drawn += [random.random(), float(np.random.rand()), torch.rand(1).item()]
        image.image[0, : len(drawn), 0] = [int(value * 255) for value in drawn]
        return image


EXACT: dict[str, dict[str, Any]] = {
    "shuffled": {},
    "detect": {"task": "detect"},
    "own generators": {"changes": (Noise,)},
    "sampler with a generator": {"sampler": weighted(True)},
    "sampler of the process's generator": {"sampler": weighted(False)},
    "without replacement": {"sampler": weighted(True, replacement=False)},
    "rectangles": {"rect": True},
    "drop_last": {"compile": True, "batch": 5},
    "in memory": {"cache": "ram"},
}


def built(pose: Path, detect: Path, task: str = "pose", changes: tuple[Any, ...] = (), **more: Any) -> Feed:
    return feed(detect if task == "detect" else pose, task, *(change() for change in changes), **more)


@pytest.mark.parametrize("kind", EXACT)
def test_an_exact_order_goes_on_where_it_was(pose: Path, detect: Path, kind: str) -> None:
    given = EXACT[kind]
    points = course(built(pose, detect, **given, exact=True))
    assert len(points) > 18
    # The middle of an epoch, its end, the epoch before mosaic ends, that epoch and one after.
    wanted = {(0, 1), (0, 4), (1, 0), (1, 3), (2, 0), (2, 1), (3, 0), (3, 2)}
    for point in points:
        if (point.epoch, point.batch) in wanted:
            assert_same(resumed(built(pose, detect, **given, exact=True), point), point.left)


def test_an_exact_order_is_the_stock_order(pose: Path) -> None:
    from trainer_detect.reading import build_dataset, build_loader

    seed_process(3)
    given = replace(context(pose, "pose", **SETTINGS), batch_size=BATCH)
    stock = build_loader(given, build_dataset(given))
    ours = feed(pose, exact=True)
    seed_process(6)
    wanted = [batch for _ in range(3) for batch in stock]
    seed_process(6)
    ours.args = None
    assert_same([batch for epoch in range(3) for batch in ours.epoch(epoch)], wanted)


def test_an_order_that_cannot_be_repeated_is_refused(pose: Path) -> None:
    points = course(feed(pose, exact=True, sampler=Interleaved))
    with pytest.raises(SettingsError, match="does not repeat the order of this epoch"):
        resumed(feed(pose, exact=True, sampler=Interleaved), points[2])


SEEDED: dict[str, dict[str, Any]] = {
    **EXACT,
    "interleaved": {"sampler": Interleaved},
}


@pytest.mark.parametrize("kind", SEEDED)
def test_a_seeded_order_depends_on_no_worker_and_no_process(pose: Path, detect: Path, kind: str) -> None:
    given = SEEDED[kind]
    points = course(built(pose, detect, **given))
    alone = points[0].left
    with_workers = course(built(pose, detect, **given, workers=2))
    assert_same(with_workers[0].left, alone)
    wanted = {(0, 1), (0, 4), (1, 0), (1, 3), (2, 0), (2, 1), (3, 0), (3, 2)}
    for number, (one, other) in enumerate(zip(points, with_workers, strict=True)):
        if (one.epoch, one.batch) in wanted:
            assert_same(resumed(built(pose, detect, **given, workers=number % 2 * 2), other), one.left)

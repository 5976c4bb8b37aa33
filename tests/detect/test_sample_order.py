"""The order of samples and their random numbers: the same for any number of workers, and after a resume."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from tests.detect.test_augment import context
from tests.support.fed_loaders import BATCH, CLOSING, SETTINGS, Feed, assert_same, course, feed, resumed, seed_process
from tests.support.sample_datasets import detect_dataset, pose_dataset
from trainer_host import AnnotatedImage
from trainer_host.base.errors import SettingsError

IMAGES = 26


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("pose"), images=IMAGES)


@pytest.fixture(scope="module")
def detect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("detect"), images=IMAGES)


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
        drawn = [self.numpy.random(), self.python.random(), own[1].rand()]
        drawn += [
            torch.rand(1, generator=own[0]["torch"]).item(),
            random.random(),
            float(np.random.rand()),
            torch.rand(1).item(),
        ]
        image.image[0, : len(drawn), 0] = [int(value * 255) for value in drawn]
        return image


class Composition:
    """Has generators of its own, as compositions of albumentations do."""

    def __init__(self) -> None:
        self.seed: int | None = None
        self.generator = np.random.default_rng()

    def set_random_seed(self, seed: int) -> None:
        self.seed, self.generator = seed, np.random.default_rng(seed)


class Composed:
    """Seeds a composition as the engine does."""

    def __init__(self) -> None:
        self.transform = Composition()

    def __call__(self, image: AnnotatedImage) -> AnnotatedImage:
        if self.transform.seed != torch.initial_seed():
            self.transform.set_random_seed(torch.initial_seed())
        image.image[1, 1] = int(self.transform.generator.random() * 255)
        return image


EXACT: dict[str, dict[str, Any]] = {
    "shuffled": {},
    "detect": {"task": "detect"},
    "own generators": {"changes": (Noise,)},
    "a seed of its own": {"changes": (Composed,)},
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
    from trainer_detect.training_data import build_dataset, build_loader

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
    working = built(pose, detect, **given, workers=2)
    with_workers = course(working)
    assert len(set(working.iterators[:CLOSING])) == 1  # the workers go on from epoch to epoch
    assert_same(with_workers[0].left, alone)
    wanted = {(0, 1), (0, 4), (1, 0), (1, 3), (2, 0), (2, 1), (3, 0), (3, 2)}
    for number, (one, other) in enumerate(zip(points, with_workers, strict=True)):
        if (one.epoch, one.batch) in wanted:
            assert_same(resumed(built(pose, detect, **given, workers=number % 2 * 2), other), one.left)

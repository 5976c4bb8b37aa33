"""Datasets, samplers and loaders of third parties under both orders."""

from __future__ import annotations

import functools
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset, Subset
from ultralytics.data import YOLODataset
from ultralytics.data.build import InfiniteDataLoader

from tests.detect.test_augment import context
from tests.support.fed_loaders import Feed, assert_same, course, equal, feed, generators, resumed, seed_process
from tests.support.sample_datasets import pose_dataset
from trainer_host.base.errors import SettingsError
from trainer_host.engine.ultralytics.held_generators import PROCESS, held_generators, seed_all, seed_of
from trainer_host.engine.ultralytics.mosaic_window import MosaicWindow
from trainer_host.engine.ultralytics.sample_order import order_of
from trainer_host.engine.ultralytics.seeded_dataset import SeededDataset, loading_of

COUNT = 11
HEATMAP = Path(__file__).parents[1] / "contract" / "packages" / "trainer-heatmap"


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("pose"), images=12)


class Numbers(Dataset[dict[str, torch.Tensor]]):
    """Each sample is its index and numbers from all generators."""

    def __init__(self) -> None:
        self.own = np.random.default_rng(0)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        drawn = [random.random(), float(np.random.rand()), torch.rand(1).item(), self.own.random()]
        return {"index": torch.tensor(index), "drawn": torch.tensor(drawn, dtype=torch.float64)}


class Several(Numbers):
    """Loads a batch at once."""

    def __getitems__(self, indices: list[int]) -> list[dict[str, torch.Tensor]]:
        return [self[i] for i in indices]


class Pairs(Numbers):
    """Its indices are no numbers."""

    def __getitem__(self, index: Any) -> dict[str, torch.Tensor]:
        return super().__getitem__(index[0])


class Stream(IterableDataset[torch.Tensor]):
    """Has no indices."""

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (torch.rand(2) + random.random() for _ in range(COUNT))


class Epochs:
    """A batch sampler that depends on the epoch, and yields pairs."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[list[tuple[int, str]]]:
        return ([((self.epoch + n) % COUNT, "a"), (n, "b")] for n in range(3))


class Homemade:
    """A loader that is not of torch."""

    def __init__(self) -> None:
        self.generator, self.dataset, self.num_workers = np.random.default_rng(0), range(COUNT), 0

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for index in self.generator.permutation(COUNT):
            yield {"index": index, "drawn": torch.rand(1) + random.random()}


def noisy(samples: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Join samples, and draw while doing so."""
    joined = {k: torch.stack([sample[k] for sample in samples]) for k in samples[0]}
    return {**joined, "noise": torch.rand(1), "python": torch.tensor(random.random())}


def make(kind: str, workers: int = 0, exact: bool = False) -> Feed:
    loaders: dict[str, Any] = {
        "torch": lambda: DataLoader(Numbers(), 4, shuffle=True, num_workers=workers),
        "persistent": lambda: DataLoader(
            Numbers(), 4, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        ),
        "several": lambda: DataLoader(Several(), 4, shuffle=True, num_workers=workers),
        "joined": lambda: DataLoader(Numbers(), 4, shuffle=True, num_workers=workers, collate_fn=noisy),
        "pairs": lambda: DataLoader(Pairs(), batch_sampler=Epochs(), num_workers=workers),
        "engine": lambda: InfiniteDataLoader(Numbers(), batch_size=4, shuffle=True, num_workers=workers),
        "homemade": Homemade,
        "stream": lambda: DataLoader(Stream(), 4, num_workers=workers),
        "single": lambda: DataLoader(Numbers(), None, shuffle=True, num_workers=workers),
    }
    seed_process(1)
    loader = loaders[kind]()
    return Feed(loader, order_of(loader, exact, seed=5))


WITH_WORKERS = ["torch", "persistent", "several", "joined", "pairs", "engine"]


@pytest.mark.parametrize("kind", WITH_WORKERS)
def test_any_dataset_is_seeded(kind: str) -> None:
    alone, working = course(make(kind), 3), course(make(kind, workers=2), 3)
    assert_same(working[0].left, alone[0].left)
    for point in alone[::3]:
        assert_same(resumed(make(kind, workers=2), point, 3), point.left)
    epoch = len(alone[0].left) // 3 + 1
    assert not equal(alone[0].left[epoch - 1], alone[0].left[-1])


@pytest.mark.parametrize("kind", [*WITH_WORKERS, "homemade", "single"])
def test_any_loader_is_repeated_exactly(kind: str) -> None:
    for point in course(make(kind, exact=True), 3):
        assert_same(resumed(make(kind, exact=True), point, 3), point.left)


@pytest.mark.parametrize("kind", ["homemade", "stream", "single"])
def test_a_loader_without_batches_of_indices_starts_the_epoch_again(kind: str) -> None:
    for point in course(make(kind), 3):
        assert_same(resumed(make(kind), point, 3), point.left)


@pytest.mark.parametrize(("kind", "mode"), [("torch", "exact"), ("homemade", "replay")])
def test_the_state_of_another_order_is_refused(kind: str, mode: str) -> None:
    with pytest.raises(SettingsError, match=f"the saved order of samples is '{mode}', that of this run is 'seeded'"):
        make("engine").order.load(make(kind, exact=True).order.state())


def test_another_attempt_has_other_augmentations_of_the_same_images() -> None:
    feed = make("engine")
    first, again, third = (list(feed.epoch(1, attempt=attempt)) for attempt in (0, 1, 0))
    assert_same(third, first)
    assert all(torch.equal(a["index"], b["index"]) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a["drawn"], b["drawn"]) for a, b in zip(first, again, strict=True))


def test_an_image_that_comes_twice_differs() -> None:
    loader = DataLoader(Numbers(), batch_sampler=BatchSampler([3, 3, 4, 3], 2, drop_last=False))
    feed = Feed(loader, order_of(loader, False, seed=5))
    drawn = torch.cat([batch["drawn"] for batch in feed.epoch(0)])
    assert len(drawn.unique(dim=0)) == 4


def test_loading_leaves_the_generators_of_the_process_alone(pose: Path) -> None:
    fed = feed(pose)
    before = generators()
    assert len(list(fed.epoch(0))) == len(fed.loader)
    assert equal(generators(), before)


def test_the_dataset_still_looks_like_itself(pose: Path) -> None:
    fed = feed(pose)
    dataset = fed.loader.dataset
    assert isinstance(dataset, YOLODataset)
    assert isinstance(dataset, SeededDataset)
    assert len(dataset.labels) == len(dataset) == 12
    dataset.mark = 1
    assert loading_of(dataset).dataset.mark == 1
    del dataset.mark
    assert not hasattr(dataset, "mark")
    assert {"labels", "im_files"} <= set(dir(dataset))
    for index in range(12):
        assert dataset[index]["im_file"] == Subset(dataset, [index])[0]["im_file"] == dataset.im_files[index]
    assert len(dataset.buffer.cached) == 1


def test_it_travels_to_another_process(pose: Path) -> None:
    fed = feed(pose)
    wanted = list(fed.epoch(0))
    fed.order.begin(0)
    loader = fed.loader
    dataset, collate, batches = pickle.loads(
        pickle.dumps(
            (loader.dataset, loader.collate_fn, [b for b, _ in zip(loader.batch_sampler, wanted, strict=False)])
        )
    )
    assert isinstance(dataset, SeededDataset)
    assert_same([collate(dataset.__getitems__(indices)) for indices in batches], wanted)


@pytest.mark.train  # it starts interpreters, each of which imports torch
def test_workers_may_be_spawned() -> None:
    seed_process(1)
    loader = DataLoader(Numbers(), 4, shuffle=True, num_workers=2, multiprocessing_context="spawn")
    spawned = course(Feed(loader, order_of(loader, False, seed=5)), 1)
    assert_same(spawned[0].left, course(make("torch"), 1)[0].left)


# Mosaic


def test_mosaic_draws_from_the_last_images_of_the_order(pose: Path) -> None:
    from trainer_detect.training_data import build_dataset

    dataset = build_dataset(context(pose, mosaic=1.0))
    dataset.max_buffer_length = 6
    collate = YOLODataset.collate_fn
    loader = InfiniteDataLoader(dataset, batch_size=2, shuffle=True, num_workers=0, collate_fn=collate)
    fed = Feed(loader, order_of(loader, False, seed=5))
    window, seen = dataset.buffer, []
    assert isinstance(window, MosaicWindow)
    for epoch in range(2):
        for batch in fed.epoch(epoch):
            names = [Path(file).name for file in dataset.im_files]
            seen += [names.index(Path(file).name) for file in batch["im_file"]]
            assert list(window) == list(dict.fromkeys(reversed(seen)))[:5]  # each once, although it came twice
            assert set(seen[-2:]) <= window.cached
            kept = {i for i, image in enumerate(dataset.ims) if image is not None}
            assert kept == window.cached


def nested(data: Path, kind: str, workers: int) -> Feed:
    from trainer_detect.training_data import build_dataset

    seed_process(1)
    parts = [build_dataset(context(data, mosaic=1.0, mixup=0.5)) for _ in range(2)]
    wrapped: Any = {
        "joined": lambda: ConcatDataset([parts[0], Subset(parts[1], [5, 1, 7, 3])]),
        "chosen": lambda: Subset(parts[0], list(range(11, 0, -1))),
        "hidden": lambda: Hidden(parts[0]),
    }[kind]()
    collate = functools.partial(YOLODataset.collate_fn)
    loader = InfiniteDataLoader(wrapped, batch_size=3, shuffle=True, num_workers=workers, collate_fn=collate)
    return Feed(loader, order_of(loader, False, seed=5))


class Hidden(Dataset[Any]):
    """Counts its images twice."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return 2 * len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index // 2]


@pytest.mark.parametrize("kind", ["joined", "chosen", "hidden"])
def test_mosaic_in_a_dataset_of_datasets(pose: Path, kind: str) -> None:
    alone = course(nested(pose, kind, 0), 2)
    assert_same(course(nested(pose, kind, 2), 2)[0].left, alone[0].left)
    for point in alone[::4]:
        assert_same(resumed(nested(pose, kind, 2), point, 2), point.left)


# Generators


def test_generators_are_found_where_transforms_keep_them() -> None:
    wanted = [torch.Generator(), np.random.default_rng(1), random.Random(2), np.random.RandomState(3)]

    class Holder:
        def __init__(self) -> None:
            self.steps = [functools.partial(print, end=wanted[0]), {"a": (wanted[1],)}]
            self.draw = wanted[2].random
            self.closed = lambda: wanted_here
            self.same, self.itself = wanted[0], self
            self.many = [np.random.default_rng()] * 100
            self.shared = [random.uniform, random.SystemRandom(), *PROCESS]

    wanted_here = wanted[3]
    assert held_generators(Holder()) == wanted


def test_generators_of_one_kind_draw_different_numbers() -> None:
    held = [make() for make in (random.Random, np.random.RandomState, np.random.default_rng, torch.Generator) * 2]
    both = [*PROCESS, *held]
    seed_all(held, seed_of(5))
    assert len({drawn(generator) for generator in both}) == len(both)
    seed_all(held, seed_of(5))
    words = np.random.randint(0, 2**32, 16, dtype=np.uint32)  # torch draws such words too, from another state
    assert not set(words.tolist()) & set(torch.randint(0, 2**32, (8,)).tolist())


def drawn(generator: Any) -> float:
    if isinstance(generator, torch.Generator):
        return torch.rand(1, generator=generator, dtype=torch.float64).item()
    return float(generator.random_sample() if isinstance(generator, np.random.RandomState) else generator.random())


def test_the_heat_map_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(HEATMAP))
    from trainer_heatmap import data

    data.draw_sample(tmp_path)

    def points(workers: int, exact: bool = False) -> Feed:
        dataset = data.PointDataset(str(next(tmp_path.rglob("train.csv"))), 64)
        loader: Any = DataLoader(dataset, 8, shuffle=True, num_workers=workers)
        return Feed(loader, order_of(loader, exact, seed=5))

    alone = course(points(0), 2)
    assert_same(course(points(2), 2)[0].left, alone[0].left)
    assert_same(resumed(points(2), alone[1], 2), alone[1].left)
    exact = course(points(0, exact=True), 2)
    assert_same(resumed(points(0, exact=True), exact[1], 2), exact[1].left)

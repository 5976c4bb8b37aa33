"""The index of the shards, the shards themselves, and what reads them."""

from __future__ import annotations

import json
import random
import re
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import yaml
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info
from trainer_heatmap.data import as_tensor, read_rows

from trainer_host import DataContext, DatasetError, Problem, UnsafeError
from trainer_shards.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

REMOTE = re.compile(r"(?:https?|s3|gs)://[\w./~+=-]+")
"""Addresses that a dataset may name. webdataset knows more, some of which are commands that a shell runs."""


@dataclass(frozen=True)
class Options:
    """Options: ``trainer run --task shard-heatmap shard-heatmap.buffer=5000``."""

    buffer: int = 1000  # samples among which the next one is drawn


@dataclass(frozen=True)
class Shards:
    """The shards of a split.

    Attributes:
        places: Their files or addresses.
        counts: The number of samples of each.
    """

    places: tuple[str, ...]
    counts: tuple[int, ...]


def read_index(ctx: DataContext) -> dict[str, Any]:
    """Return the names of the points, and the shards of each split."""
    path = Path(ctx.source)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise DatasetError(Problem(f"the index cannot be read: {error}.", where=ctx.source)) from error
    missing = [key for key in ("points", "train", ctx.split) if key not in content]
    if missing:
        raise DatasetError(*(Problem(f"the index has no {key!r}.", "add it", ctx.source) for key in missing))
    splits = {
        split: _split(content[split], path, split, ctx.offline)
        for split in ("train", "val", "test")
        if split in content
    }
    return {"names": dict(enumerate(content["points"])), "channels": 3, **splits}


def _split(content: Any, index: Path, split: str, offline: bool) -> dict[str, Any]:
    """Return the shards of a split as plain data."""
    from braceexpand import braceexpand  # type: ignore[import-not-found,import-untyped,unused-ignore]

    try:
        names = [name for one in content["shards"] for name in braceexpand(str(one))]
        counts = content["samples"]
        counts = [int(counts)] * len(names) if isinstance(counts, int) else list(map(int, counts))
        if len(counts) != len(names) or not names or min(counts) < 1:
            raise ValueError(f"{len(names)} shards and {len(counts)} counts")
    except (KeyError, TypeError, ValueError) as error:
        fix = "write shards: [FILE.tar, ...] and samples: [NUMBER, ...]"
        raise DatasetError(Problem(f"{split}: not a list of shards ({error}).", fix, str(index))) from error
    for name in names:
        if "://" not in name and ":" not in name:
            continue
        if not REMOTE.fullmatch(name):
            raise UnsafeError(Problem(f"{split}: {name!r} could run a command.", "name files, https or s3", str(index)))
        if offline:
            raise UnsafeError(Problem(f"{split}: {name} would be fetched.", "remove --offline", str(index)))
    places = [name if "://" in name else str(index.parent / name) for name in names]
    return {"shards": places, "samples": counts}


class ShardDataset(IterableDataset[Any]):
    """The batches of one process: each iteration reads its stretch of an epoch.

    Args:
        split: The shards, as the index has them.
        size: Width and height of the images for the network.
        batch: Samples per batch, of all processes together.
        seed: The seed of the order; None for that of the shards.
        buffer: Samples among which the next one is drawn.
        place: The number of the process, and how many there are.
    """

    def __init__(
        self, split: Mapping[str, Any], size: int, batch: int, seed: int | None, buffer: int, place: tuple[int, int]
    ) -> None:
        self.shards = Shards(tuple(split["shards"]), tuple(split["samples"]))
        self.size, self.batch, self.seed, self.buffer = size, batch, seed, buffer
        self.rank, self.processes = place
        self.epoch = 0

    @property
    def plan(self) -> Plan:
        """The plan of the epoch."""
        return Plan.of_epoch(self.shards.counts, self.seed, self.epoch, self.batch, self.processes)

    def __len__(self) -> int:
        return sum(self.shards.counts)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        pieces, sizes = self.plan.pieces(self.rank, number, count)
        samples = _samples(self.shards, pieces)
        if self.seed is not None:
            generator = random.Random(f"{self.seed} {self.epoch} {self.rank} {number}")
            samples = shuffled(samples, self.buffer, generator)
        for size in sizes:
            yield default_collate([self._decoded(sample) for sample in islice(samples, size)])

    def _decoded(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        image = cv2.imdecode(np.frombuffer(sample["png"], np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            where = f"{sample['__url__']}: {sample['__key__']}.png"
            raise DatasetError(Problem("not an image, or the file is corrupted.", where=where))
        points = torch.tensor(json.loads(sample["json"])) / torch.tensor([image.shape[1], image.shape[0]])
        return {"img": as_tensor(image, self.size), "points": points.float(), "key": sample["__key__"]}


class ShardLoader:
    """Loads the batches of a `ShardDataset`. The host names the epoch before it iterates.

    Args:
        dataset: The stream.
        workers: Processes that read and decode.
    """

    def __init__(self, dataset: ShardDataset, workers: int) -> None:
        self.dataset, self.num_workers = dataset, workers
        self.batch_size: int | None = dataset.batch
        self.sampler = range(len(dataset))  # the training asks for its length

    def set_epoch(self, epoch: int) -> None:
        """Choose the order."""
        self.dataset.epoch = epoch

    def __len__(self) -> int:
        return self.dataset.plan.batches

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(DataLoader(self.dataset, batch_size=None, num_workers=self.num_workers))


def _samples(shards: Shards, pieces: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Yield the samples of some pieces; what comes before a piece in its shard is read and dropped."""
    import webdataset as wds  # type: ignore[import-not-found,import-untyped,unused-ignore]

    for piece in pieces:
        place, found = shards.places[piece.shard], 0
        with closing(wds.gopen(place)) as stream:
            files = wds.tariterators.tar_file_expander([{"url": place, "stream": stream}])
            for sample in islice(wds.tariterators.group_by_keys(files), piece.start, piece.stop):
                found += 1
                yield sample
        if found < piece.stop - piece.start:
            what = f"{piece.start + found} samples, {shards.counts[piece.shard]} expected."
            raise DatasetError(Problem(what, "correct the number in the index", place))


def shuffled(samples: Iterator[Any], buffer: int, generator: random.Random) -> Iterator[Any]:
    """Yield samples in an order that a buffer of so many allows; each once."""
    held: list[Any] = []
    for sample in samples:
        held.append(sample)
        if len(held) >= max(buffer, 1):
            chosen = generator.randrange(len(held))
            held[chosen], held[-1] = held[-1], held[chosen]
            yield held.pop()
    generator.shuffle(held)
    yield from held


def pack(rows: Path, folder: Path, split: str, per_shard: int) -> dict[str, Any]:
    """Write the images and points of a CSV of `heatmap` into shards, and return their entry of the index."""
    import webdataset as wds  # late, so that the task is listed where only its package is

    counts: list[int] = []
    found = read_rows(str(rows))
    for first in range(0, len(found), per_shard):
        part = found[first : first + per_shard]
        with wds.TarWriter(str(folder / f"{split}-{len(counts):06}.tar")) as shard:
            for image, points in part:
                pairs = [points[i : i + 2] for i in range(0, len(points), 2)]
                content = {"png": image.read_bytes(), "json": json.dumps(pairs).encode()}
                shard.write({"__key__": f"{split}-{image.stem}", **content})
        counts.append(len(part))
    last = f"{len(counts) - 1:06}"
    return {"shards": [f"{split}-{{000000..{last}}}.tar"], "samples": counts}

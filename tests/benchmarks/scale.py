"""A training on more images than a machine can hold: its cost on paper, and the parts that can be measured.

python -m tests.benchmarks.scale [--measure] [--images 1e8] [--gpus 8] [--gpu-rate 400] [--shard-bytes 5e8]

Prints the model of `docs/explanation/scale.md`, and next to the formulas a simulation of the epoch, image by image and
batch by batch. With ``--measure`` the costs of an image are those of this machine, in seconds of the processor; the
rate that they predict is compared with a measured one.
"""

from __future__ import annotations

import argparse
import heapq
import io
import json
import random
import statistics
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

SECONDS_PER_DAY = 86_400
TAR_BLOCK = 512


@dataclass(frozen=True)
class Costs:
    """What one image costs.

    Attributes:
        size: Its bytes, as it is stored.
        labels: The bytes of its labels.
        read: Processor's seconds for each megabyte that is taken out of a shard.
        decode: Processor's seconds to decode it.
        augment: Processor's seconds for the rest of the loader.
    """

    size: float = 135_000
    labels: float = 200
    read: float = 0.0008
    decode: float = 0.003
    augment: float = 0.012

    @property
    def stored(self) -> float:
        """The bytes of its sample in a shard: two headers, and both contents filled up to blocks."""
        return 2 * TAR_BLOCK + sum(-(-part // TAR_BLOCK) * TAR_BLOCK for part in (self.size, self.labels))

    @property
    def processor(self) -> float:
        """The processor's seconds for all of it."""
        return self.read * self.stored / 1e6 + self.decode + self.augment


@dataclass(frozen=True)
class Setup:
    """A training, and what it runs on.

    Attributes:
        images: Images of an epoch.
        gpus: GPUs.
        gpu_rate: Images that a GPU trains on in a second.
        batch: Images per batch, of all GPUs together.
        cores: Cores for each GPU.
        network: Bytes that a GPU's share of the network reads in a second.
        latency: Seconds until the first byte of a shard.
        shard_bytes: Bytes of a shard.
        buffer: Samples among which a worker draws the next one.
        workers: Workers for each GPU.
        parameters: Parameters of the model.
        adaptive: Whether the optimizer keeps two numbers for each, rather than one.
    """

    images: float = 1e8
    gpus: int = 8
    gpu_rate: float = 400
    batch: int = 512
    cores: float = 12
    network: float = 250e6
    latency: float = 0.1
    shard_bytes: float = 500e6
    buffer: int = 5000
    workers: int = 8
    parameters: float = 60e6
    adaptive: bool = True


def model(setup: Setup, costs: Costs) -> dict[str, float]:
    """Return the cost of an epoch by the formulas."""
    per_shard = max(setup.shard_bytes // costs.stored, 1)
    shards = -(-setup.images // per_shard)
    gpu = setup.images / (setup.gpus * setup.gpu_rate)
    read = (setup.images * costs.stored / setup.network + shards * setup.latency / setup.workers) / setup.gpus
    decode = setup.images * costs.processor / (setup.gpus * setup.cores)
    state = setup.parameters * (12 + (8 if setup.adaptive else 4))
    return {
        "stored, TB": setup.images * costs.stored / 1e12,
        "samples of a shard": per_shard,
        "shards": shards,
        "GPU alone, days": gpu / SECONDS_PER_DAY,
        "network alone, days": read / SECONDS_PER_DAY,
        "processor alone, days": decode / SECONDS_PER_DAY,
        "epoch, days": max(gpu, read, decode) / SECONDS_PER_DAY,
        "images a second for each GPU": setup.images / (setup.gpus * max(gpu, read, decode)),
        "network for a GPU, MB/s": setup.gpu_rate * costs.stored / 1e6,
        "cores for a GPU": setup.gpu_rate * costs.processor,
        "state, GB": state / 1e9,
        "memory of the buffers of a machine of 8 GPUs, GB": 8 * setup.workers * setup.buffer * costs.stored / 1e9,
    }


def simulate(setup: Setup, costs: Costs, batches: int = 400, seed: int = 0) -> dict[str, float]:
    """Run the batches of one GPU through readers, decoders and GPU, and return its rate and how long it waited.

    Readers fetch shard after shard at the same time and share the network. Cores decode what has arrived, each image
    with a cost that varies. The GPU takes a batch when all of it is there, and at most so many wait for it.
    """
    rng = random.Random(seed)
    own = max(setup.batch // setup.gpus, 1)
    per_shard = max(int(setup.shard_bytes // costs.stored), 1)
    gap = costs.stored / (setup.network / setup.workers)
    arrivals = [(rng.random() * gap * per_shard, rng.randrange(per_shard)) for _ in range(setup.workers)]
    heapq.heapify(arrivals)
    free = [0.0] * max(int(setup.cores), 1)
    slower = max(int(setup.cores), 1) / setup.cores
    ready, waited, done, begins = 0.0, 0.0, 0.0, []
    ahead = 2 * setup.workers
    for number in range(batches):
        room = begins[number - ahead] if number >= ahead else 0.0
        for _ in range(own):
            arrived, position = heapq.heappop(arrivals)
            last = position + 1 == per_shard
            heapq.heappush(arrivals, (max(arrived, room) + gap + setup.latency * last, (position + 1) % per_shard))
            started = max(heapq.heappop(free), arrived, room)
            ended = started + slower * costs.processor * rng.gammavariate(4, 0.25)
            heapq.heappush(free, ended)
            ready = max(ready, ended)
        if number == batches // 2:
            waited, start = 0.0, done
        waited += max(ready - done, 0.0)
        begins.append(max(ready, done))
        done = begins[-1] + own / setup.gpu_rate
    count = own * (batches - batches // 2 - 1)
    return {"images a second for each GPU": count / (done - start), "GPU waits, %": 100 * waited / (done - start)}


def mixing(setup: Setup, costs: Costs, seed: int = 0) -> dict[str, float]:
    """Return how well a batch is mixed: from how many shards its samples come."""
    rng = random.Random(seed)
    per_shard = max(int(setup.shard_bytes // costs.stored), 1)
    length = setup.buffer + 4 * per_shard + 64 * setup.batch
    streams = setup.gpus * setup.workers
    share = max(setup.batch // setup.gpus, 1)
    held: list[int] = []
    batches: list[set[int]] = []
    taken: list[int] = []
    for position in range(length):
        held.append(position)
        if len(held) < setup.buffer:
            continue
        chosen = rng.randrange(len(held))
        held[chosen], held[-1] = held[-1], held[chosen]
        out = held.pop()
        taken.append(out // per_shard)
        if len(taken) == share:  # a worker makes whole batches of its GPU
            batches.append(set(taken))
            taken = []
    of_gpu = statistics.mean(len(one) for one in batches)
    total = model(setup, costs)["shards"]
    expected = total * (1 - (1 - 1 / total) ** setup.batch)
    return {
        "shards in a batch": of_gpu * setup.gpus,
        "shards in a batch of a full shuffle": expected,
        "open shards": float(streams),
    }


def index_memory(images: int = 100_000, boxes: int = 3, numbers: int = 17) -> float:
    """Return the bytes of memory for each image of a dataset that is read file by file."""
    import tracemalloc

    from trainer_host.data import Split

    tracemalloc.start()
    rows = images * boxes
    paths = [f"/data/images/train/{i // 1000:06}/{i:012}.jpg" for i in range(images)]
    labels = [f"/data/labels/train/{i // 1000:06}/{i:012}.txt" for i in range(images)]
    split = Split(
        name="train",
        images=paths,
        label_files=labels,
        sizes=np.zeros(images, np.int64),
        shapes=np.zeros((images, 2), np.int32),
        marks=np.zeros(images, np.uint32),
        labelled=np.zeros(images, np.uint8),
        image=np.zeros(rows, np.int32),
        line=np.zeros(rows, np.int32),
        row_lengths=np.zeros(rows, np.int32),
        values=np.zeros(rows * numbers, np.float64),
        valid=np.zeros(rows, bool),
        crowd=np.zeros(rows, bool),
        modes=np.zeros(images, np.uint16),
    )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(split) == images
    return used / images


def loader_seconds(images: int = 96) -> float:
    """Return the processor's seconds of the training loader for an image, with the engine's default augmentation."""
    from tests.benchmarks.scan_data import make, photographs
    from tests.benchmarks.seeded_samples import loader_of

    with tempfile.TemporaryDirectory() as folder:
        _, order = loader_of(make(Path(folder), images, photographs(0.3)), False, 0, 16, 640)
        order.begin(0)
        count = sum(len(batch["im_file"]) for batch in order.batches())  # and warms up
        order.begin(1)
        began = time.process_time()
        assert sum(len(batch["im_file"]) for batch in order.batches()) == count
        return (time.process_time() - began) / count


def measured(images: int = 256) -> tuple[Costs, float]:
    """Return the costs of an image on this machine, and the seconds of a chain that does all of it."""
    import cv2

    from tests.benchmarks.scan_data import photographs

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    picture = photographs(0.3)
    encoded = [picture(rng, index) for index in range(images)]
    labels = json.dumps([[0, *[0.5] * 16]] * 3).encode()
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "0.tar"
        with tarfile.open(shard, "w") as tar:
            for index, content in enumerate(encoded):
                for name, data in ((f"{index:06}.jpg", content), (f"{index:06}.json", labels)):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        found = list(_members(shard))
        size = shard.stat().st_size
        read = _spent(lambda: list(_members(shard))) / (size / 1e6)
        decode = _spent(lambda: [_decoded(jpeg) for jpeg, _ in found]) / images
        pictures = [_decoded(jpeg) for jpeg, _ in found[:32]]
        augment = _spent(lambda: [_augmented(one) for one in pictures]) / len(pictures)
        whole = _spent(lambda: [_augmented(_decoded(jpeg)) for jpeg, _ in _members(shard)]) / images
    mean = statistics.mean(map(len, encoded))
    return Costs(mean, len(labels), read, decode, augment), whole


def _members(shard: Path) -> Any:
    with tarfile.open(shard, "r|") as tar:
        held = b""
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            if member.name.endswith(".jpg"):
                held = file.read()
            else:
                yield held, json.loads(file.read())


def _decoded(jpeg: bytes) -> Any:
    import cv2

    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def _augmented(image: Any) -> Any:
    """Return an image after a warp and a shift of its colours, as the network takes it: less than a mosaic."""
    import cv2

    matrix = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), 5, 1.1)
    warped = cv2.warpAffine(image, matrix, (640, 640), borderValue=(114, 114, 114))
    table = (np.arange(256) * 1.1).clip(0, 255).astype(np.uint8)
    hsv = [cv2.LUT(channel, table) for channel in cv2.split(cv2.cvtColor(warped, cv2.COLOR_BGR2HSV))]
    return np.ascontiguousarray(cv2.cvtColor(cv2.merge(hsv), cv2.COLOR_HSV2BGR).transpose(2, 0, 1))


def _spent(work: Any, rounds: int = 5) -> float:
    """Return the least processor's seconds of some rounds."""
    work()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def show(title: str, values: dict[str, float]) -> None:
    """Print values by name."""
    print(title)
    for name, value in values.items():
        print(f"  {name:<50} {value:>14,.4g}" if value < 1e6 else f"  {name:<50} {value:>14,.0f}")


def main(words: list[str]) -> None:
    """Print the model, the simulation, and what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    setup, costs = Setup(), Costs()
    for name in ("images", "gpu_rate", "cores", "network", "shard_bytes", "parameters"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(setup, name))
    for name in ("gpus", "batch", "buffer", "workers"):
        parser.add_argument(f"--{name}", type=int, default=getattr(setup, name))
    parser.add_argument("--measure", action="store_true")
    given = vars(parser.parse_args(words))
    measure = given.pop("measure")
    setup = replace(setup, **given)
    if measure:
        costs, whole = measured()
        loader = loader_seconds()
        shown = {
            "bytes of an image": costs.size,
            "taken out of a shard, MB a second": 1 / costs.read,
            "decoded a second": 1 / costs.decode,
            "augmented a second": 1 / costs.augment,
            "all three a second, by their sum": 1 / costs.processor,
            "all three a second": 1 / whole,
            "loaded a second, with mosaic": 1 / loader,
            "bytes of memory for an image, read file by file": index_memory(),
        }
        show("One core of this machine:", shown)
        costs = replace(costs, augment=loader - costs.decode)
    show("The model:", model(setup, costs))
    show("Simulated:", simulate(setup, costs))
    show("Mixed:", mixing(setup, costs))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What seeding samples costs: the processor's time of the training loader, in the stock order and in the seeded one.

python -m tests.benchmarks.seeded_samples data.yaml [--imgsz 640] [--batch 16] [--epochs 6] [--workers 0 2] [--rounds 5]

Loaders take turns. Seeding each sample, and putting the generators back, is timed by itself as well.
With several workers each decodes partners of mosaic, which the stock order shares between them less.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import Timer, in_turn, ratio

CALLS = 2000


def loader_of(data: Path, exact: bool, workers: int, batch: int, imgsz: int) -> Any:
    """Return a loader of pose images with the engine's default augmentation, and its order."""
    from tests.support.yolo_datasets import loader_context
    from trainer_detect.training_data import build_dataset, build_loader
    from trainer_host.engine.ultralytics.sample_order import order_of

    ctx = loader_context(data, "pose", batch, imgsz=imgsz, workers=workers, batch=batch)
    loader = build_loader(ctx, build_dataset(ctx))
    return loader, order_of(loader, exact, seed=0)


def cost_of(data: Path, exact: bool, workers: int, wanted: argparse.Namespace) -> Timer:
    """Return a function that loads some epochs, and returns the processor's seconds for each image.

    Not the time that passes: it says little next to other work, and workers load ahead.
    """

    def load() -> float:
        loader, order = loader_of(data, exact, workers, wanted.batch, wanted.imgsz)
        began, images = spent(), 0
        for epoch in range(wanted.epochs):
            order.begin(epoch)
            images += sum(len(batch["im_file"]) for batch in order.batches())
        loader.close()  # it waits for the workers, whose time counts from then on
        return (spent() - began) / images

    return load


def spent() -> float:
    """Return the processor's seconds of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def seeding(batch: int) -> float:
    """Return the seconds for each sample that seeding and putting back takes."""
    from trainer_host.engine.ultralytics.held_generators import preserved_generators, seed_all, seed_of

    began = time.perf_counter()
    for number in range(CALLS // batch):
        with preserved_generators():
            for index in range(batch):
                seed_all((), seed_of(0, 0, number, index, 0))
    return (time.perf_counter() - began) / (CALLS // batch * batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    wanted = parser.parse_args()
    timers: dict[str, Callable[[], float]] = {}
    for workers in wanted.workers:
        for exact in (True, False):
            name = f"{'stock' if exact else 'seeded'}, workers={workers}"
            timers[name] = cost_of(wanted.data, exact, workers, wanted)
    times = in_turn(timers, wanted.rounds)
    for name, taken in times.items():
        print(f"{name:<20} {1 / statistics.median(taken):8.1f} images per second of one core")
    for workers in wanted.workers:
        share = ratio(times[f"stock, workers={workers}"], times[f"seeded, workers={workers}"])
        print(f"workers={workers}: seeded has {share:.3f} of the stock speed")
    cost = statistics.median(seeding(wanted.batch) for _ in range(5))
    sample = statistics.median(times.get("stock, workers=0", next(iter(times.values()))))
    print(f"seeding: {cost * 1e6:.1f} µs of {sample * 1e6:.0f} µs for each sample, {cost / sample:.2%}")


if __name__ == "__main__":
    main()

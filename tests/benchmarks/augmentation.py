"""Training images that one core augments in a second: the engine's transforms and ours, in alternating rounds.

python -m tests.benchmarks.augmentation [--images 32] [--rounds 15] [--imgsz 640] [--task pose]

Images of 640x480 are decoded and in memory beforehand, so that what is timed is a sample without its decoding. Times
are those of the processor, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from tests.benchmarks.timing import Timer, in_turn, ratio_text

HEIGHT, WIDTH = 480, 640
OBJECTS, POINTS = 4, 8
STOCK, OURS = "stock", "ours"


def make_images(folder: Path, images: int, height: int = HEIGHT, width: int = WIDTH, split: str = "train") -> Path:
    """Write images of random soft colours with objects of random places, and return the YAML of the dataset."""
    numbers = np.random.default_rng(0)
    for number in range(images):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        coarse = numbers.integers(0, 256, (max(height // 16, 2), max(width // 16, 2), 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / split / f"{number}.png"), image)
        rows = []
        for _ in range(OBJECTS):
            box = [*numbers.uniform(0.3, 0.7, 2), *numbers.uniform(0.1, 0.5, 2)]
            points = [
                [x, y, visible]
                for x, y, visible in zip(
                    numbers.uniform(box[0] - box[2] / 2, box[0] + box[2] / 2, POINTS),
                    numbers.uniform(box[1] - box[3] / 2, box[1] + box[3] / 2, POINTS),
                    numbers.integers(0, 3, POINTS),
                    strict=True,
                )
            ]
            rows.append([0, *box, *(value for point in points for value in (point if point[2] else (0, 0, 0)))])
        text = "\n".join(" ".join(f"{value:g}" for value in row) for row in rows)
        (folder / "labels" / split / f"{number}.txt").write_text(text)
    keys = {
        "train": f"images/{split}",
        "val": f"images/{split}",
        "names": ["thing"],
        "kpt_shape": [POINTS, 3],
        "flip_idx": [*reversed(range(POINTS))],
    }
    file = folder / "data.yaml"
    file.write_text(yaml.safe_dump(keys))
    return file


def dataset_of(data: Path, task: str, imgsz: int, **settings: Any) -> Any:
    """Return the training dataset of a task, with its images in memory."""
    from tests.support.yolo_datasets import loader_context
    from trainer_detect.training_data import build_dataset

    ctx = loader_context(data, task, 16, imgsz=imgsz, cache="ram", deterministic=False, **settings)
    return build_dataset(ctx)


def timer_of(dataset: Any, joined: bool) -> Timer:
    """Return a function that makes a sample of each image, and returns the processor's seconds."""
    from ultralytics.data.augment import Compose

    from trainer_host.engine.ultralytics.reimplemented.training_transforms import JoinedTransforms

    kind: Callable[[Any], Any] = JoinedTransforms if joined else Compose
    transforms = kind(dataset.transforms.transforms)

    def load() -> float:
        random.seed(0)
        np.random.seed(0)
        dataset.transforms = transforms
        began = time.process_time()
        for index in range(len(dataset)):
            dataset[index]
        return time.process_time() - began

    return load


def main() -> None:
    """Measure, and print a line for each kind of augmentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--task", default="pose")
    wanted = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        data = make_images(Path(folder), wanted.images)
        for name, mosaic in {"with mosaic": 1.0, "without mosaic": 0.0}.items():
            dataset = dataset_of(data, wanted.task, wanted.imgsz, mosaic=mosaic)
            times = in_turn({STOCK: timer_of(dataset, False), OURS: timer_of(dataset, True)}, wanted.rounds)
            speeds = {who: wanted.images / statistics.median(taken) for who, taken in times.items()}
            shown = ", ".join(f"{who} {speed:.0f}" for who, speed in speeds.items())
            print(f"{name}: {shown} images per second and core; {ratio_text(times[STOCK], times[OURS])} times as fast")


if __name__ == "__main__":
    main()

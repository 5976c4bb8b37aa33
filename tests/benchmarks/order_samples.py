"""Whether both orders yield the same samples: means of what a training loader yields, and of what mosaic is made of.

python -m tests.benchmarks.order_samples data.yaml [--imgsz 128] [--batch 8] [--epochs 60]

Nothing is trained. The standard errors are those of the means of epochs, whose images differ only by augmentation.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.seeded_samples import loader_of


class Partners:
    """Notes the images that a mosaic takes in addition to the sample's own.

    Args:
        mosaic: The transform.
    """

    def __init__(self, mosaic: Any) -> None:
        self._draw, self.drawn = mosaic.get_indexes, list[list[int]]()
        mosaic.get_indexes = self

    def __call__(self) -> list[int]:
        """Draw partners."""
        self.drawn.append(self._draw())
        return self.drawn[-1]


def values_of(batch: dict[str, Any], partners: list[list[int]], own: list[int]) -> dict[str, Any]:
    """Return values of a batch, by name: one of each sample, object, keypoint or partner."""
    boxes, visible = batch["bboxes"], batch["keypoints"][..., 2] > 0
    images = batch["img"].float().flatten(1)
    mosaics = [{i, *p} for i, p in zip(own, partners, strict=True)]
    return {
        "objects in a sample": batch["batch_idx"].long().bincount(minlength=len(own)).float(),
        "visible keypoints": visible.float().flatten(),
        "centre of a box, x": boxes[:, 0],
        "centre of a box, y": boxes[:, 1],
        "width of a box": boxes[:, 2],
        "height of a box": boxes[:, 3],
        "brightness": images.mean(1) / 255,
        "contrast": images.std(1) / 255,
        "partner is the image itself": [p == i for i, ps in zip(own, partners, strict=True) for p in ps],
        "images in a mosaic": [len(m) for m in mosaics],
        "partner is of the same batch": [p in own for ps in partners for p in ps],
        "different images, of those in a batch": [len(set().union(*mosaics)) / (4 * len(own))],
    }


def means(data: Path, exact: bool, wanted: argparse.Namespace) -> dict[str, list[float]]:
    """Return the means of each epoch but the first, in which the stock buffer fills, by name."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    loader, order = loader_of(data, exact, 0, wanted.batch, wanted.imgsz)
    index = {file: i for i, file in enumerate(loader.dataset.im_files)}
    noted = Partners(loader.dataset.transforms.transforms[0].transforms[0])
    found: dict[str, list[float]] = defaultdict(list)
    for epoch in range(wanted.epochs):
        order.begin(epoch)
        values: dict[str, list[Any]] = defaultdict(list)
        for batch in order.batches():
            own = [index[file] for file in batch["im_file"]]
            for name, more in values_of(batch, noted.drawn[-len(own) :], own).items():
                values[name].extend(more)
        for name, all_values in values.items() if epoch else ():
            found[name].append(float(np.mean(all_values)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    wanted = parser.parse_args()
    exact, seeded = (means(wanted.data, mode, wanted) for mode in (True, False))
    print("| | exact | seeded | difference |", "| --- | --- | --- | --- |", sep="\n")
    for name in exact:
        one, other = exact[name], seeded[name]
        error = ((statistics.variance(one) + statistics.variance(other)) / len(one)) ** 0.5
        gap = statistics.mean(other) - statistics.mean(one)
        print(f"| {name} | {statistics.mean(one):.4f} | {statistics.mean(other):.4f} | {gap:+.4f} ± {error:.4f} |")


if __name__ == "__main__":
    main()

"""The built-in sample: triangles with 3 keypoints and rectangles with 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import yaml

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 96
CORNERS = {
    "triangle": np.array([[0, -0.5], [0.4, 0.4], [-0.4, 0.4]]),
    "rectangle": np.array([[-0.35, -0.5], [0.35, -0.5], [0.35, 0.5], [-0.35, 0.5]]),
}
SETS = {"triangle": [0, 1, 2], "rectangle": [3, 4, 5, 6]}
ENTRIES = {
    "train": "images/train",
    "val": "images/val",
    "names": dict(enumerate(SETS)),
    "kpt_shape": [7, 3],
    "kpt_sets": SETS,
    "flip_idx": [0, 2, 1, 4, 3, 6, 5],
    "kpt_oks_sigmas": [1 / 7] * 7,
}
SETTINGS = {"model": "yolo11n-pose.yaml", "imgsz": SIZE, "epochs": 10, "batch": 8, "nbs": 8, "optimizer": "AdamW"}
SETTINGS |= {"lr0": 0.003, "warmup_epochs": 1.0, "warmup_bias_lr": 0.0, "mosaic": 0.0, "scale": 0.2, "amp": False}


def draw_sample(folder: Path) -> Path:
    """Draw the images of both splits with their labels; return the dataset's YAML."""
    for split, count in {"train": 160, "val": 32}.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(count):
            image, rows = draw_scene(np.random.default_rng([count, number]))
            cv2.imwrite(str(images / f"{number:03d}.png"), image)
            (labels / f"{number:03d}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text(yaml.safe_dump(ENTRIES))
    return folder / "data.yaml"


def draw_scene(rng: np.random.Generator) -> tuple[Any, list[str]]:
    """Draw one figure above the other, each a little turned; return the image and the rows of its labels."""
    image, rows = rng.integers(90, 130, (SIZE, SIZE, 3), np.uint8), []
    for place, number in enumerate(rng.permutation(2).tolist()):
        name, turn = list(SETS)[number], rng.uniform(-0.4, 0.4)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        corners = CORNERS[name] @ rotation * rng.uniform(24, 36) + [rng.uniform(24, SIZE - 24), 26 + 44 * place]
        cv2.fillPoly(image, [corners.round().astype(np.int32)], rng.integers(0, 256, 3).tolist(), cv2.LINE_AA)
        low, high = corners.min(0) / SIZE, corners.max(0) / SIZE
        points = np.zeros((7, 3))
        points[SETS[name]] = np.column_stack([corners / SIZE, np.full(len(corners), 2)])
        numbers = [number, *(low + high) / 2, *(high - low), *points.ravel()]
        rows.append(" ".join(f"{v:.5g}" for v in numbers))
    return image, rows

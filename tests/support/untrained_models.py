"""Checkpoints of models that nobody trained, and datasets for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

ROOM = np.random.default_rng(0)
SIDE = 64


def checkpoint(path: Path, task: str, names: Sequence[str] = ("mouse",), channels: int = 3, **attributes: Any) -> Path:
    """Write a model of the engine as a training leaves it; ``kpt_shape`` is that of a pose model."""
    import torch
    from ultralytics.nn.tasks import DetectionModel, PoseModel

    if task == "pose":
        shape = attributes.setdefault("kpt_shape", [4, 3])
        model = PoseModel("yolo26n-pose.yaml", channels, len(names), data_kpt_shape=tuple(shape), verbose=False)
    else:
        model = DetectionModel("yolo26n.yaml", channels, len(names), verbose=False)
    model.names = dict(enumerate(names))
    model.args, model.task = {"task": task, "imgsz": SIDE}, task
    for name, value in attributes.items():
        setattr(model, name, value)
    torch.save({"epoch": -1, "model": model.half(), "ema": None, "train_args": {"task": task, "imgsz": SIDE}}, path)
    return path


def save_pixels(path: Path, pixels: Any) -> None:
    """Save an array as the image of its kind; several pages where it has neither 1, 3 nor 4 channels."""
    pages = [Image.fromarray(pixels[..., i]) for i in range(pixels.shape[2])] if pixels.ndim == 3 else []
    if pixels.ndim == 3 and pixels.shape[2] not in {3, 4}:
        pages[0].save(path, save_all=True, append_images=pages[1:])
    else:
        Image.fromarray(pixels).save(path)


def noise(channels: int = 3, most: int = 255, dtype: Any = np.uint8) -> Any:
    """Return random pixels; gray ones have no third axis."""
    shape = (SIDE, SIDE, channels) if channels > 1 else (SIDE, SIDE)
    return ROOM.integers(0, most, shape, endpoint=True).astype(dtype)


def dataset(
    root: Path,
    keypoints: int = 4,
    pixels: Callable[[], Any] = noise,
    suffix: str = "png",
    images: int = 2,
    **keys: Any,
) -> Path:
    """Write a dataset of one object in each image and return its YAML; a key given as None is left out."""
    points = "".join(f" {0.3 + 0.4 * i / max(keypoints, 1):.4f} 0.5 2" for i in range(keypoints))
    for split in ("train", "val"):
        for i in range(images):
            image = root / "images" / split / f"{i}.{suffix}"
            label = root / "labels" / split / f"{i}.txt"
            image.parent.mkdir(parents=True, exist_ok=True)
            label.parent.mkdir(parents=True, exist_ok=True)
            save_pixels(image, pixels())
            label.write_text(f"0 0.5 0.5 0.{5 + i} 0.5{points}\n")
    known: dict[str, Any] = {"train": "images/train", "val": "images/val", "names": ["mouse"]}
    if keypoints:
        known |= {"kpt_shape": [keypoints, 3], "flip_idx": list(range(keypoints))}
        known["kpt_oks_sigmas"] = [0.05] * keypoints
    known = {key: value for key, value in {**known, **keys}.items() if value is not None}
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump(known), encoding="utf-8")
    return file


def untrained(folder: Path, architecture: str = "yolo11n-pose.yaml") -> Path:
    """Write a checkpoint of the engine with random weights; at a low threshold it finds objects in any image."""
    import torch
    from ultralytics import YOLO

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        file = folder / f"{Path(architecture).stem}.pt"
        YOLO(architecture).save(file)
    return file

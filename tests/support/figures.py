"""Datasets for tests, drawn on the spot; and the real ones, where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "datasets"


def pose_dataset(folder: Path, images: int | None = None) -> Path:
    """Draw the pose sample, or the first images of it, and return its YAML."""
    from trainer_pose.sample import draw_sample

    data = draw_sample(folder)
    if images is not None:
        keep_first(folder, images)
    return data


def detect_dataset(folder: Path, images: int | None = None) -> Path:
    """Draw the detect sample, or the first images of it, and return its YAML."""
    from trainer_detect.sample import draw_sample

    data = draw_sample(folder)
    if images is not None:
        keep_first(folder, images)
    return data


def keep_first(folder: Path, images: int) -> None:
    """Keep the first images of each split."""
    for split in ("train", "val"):
        for image in sorted((folder / "images" / split).iterdir())[images:]:
            image.unlink()
            (folder / "labels" / split / f"{image.stem}.txt").unlink(missing_ok=True)


def real_dataset(name: str, folder: Path) -> Path:
    """Copy a real dataset, because the engine writes beside the images; skip the test where there is none."""
    source = SHARED / name
    if not source.is_dir():
        pytest.skip(f"the real images of {name} are not here")
    target = folder / name
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    return target / "data.yaml"

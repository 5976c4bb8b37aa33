"""Datasets for tests, drawn on the spot; and the real ones, where they are."""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import tempfile
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "datasets"


def pose_dataset(folder: Path, images: int | None = None) -> Path:
    """Write the pose sample, or the first images of each split, and return its YAML."""
    return _copied("trainer_pose.sample", folder, images)


def detect_dataset(folder: Path, images: int | None = None) -> Path:
    """Write the detect sample, or the first images of each split, and return its YAML."""
    return _copied("trainer_detect.sample", folder, images)


def _copied(module: str, folder: Path, images: int | None) -> Path:
    data = _drawn(module)
    shutil.copytree(data.parent, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
    if images is not None:
        keep_first(folder, images)
    return folder / data.name


@functools.cache
def _drawn(module: str) -> Path:
    """Draw a sample once for each process, because drawing takes a second and most tests need one."""
    folder = Path(tempfile.mkdtemp(prefix="trainer-samples-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data: Path = importlib.import_module(module).draw_sample(folder / "data")
    return data


def keep_first(folder: Path, images: int) -> None:
    """Keep the first images of each split."""
    for split in ("train", "val"):
        for image in sorted((folder / "images" / split).iterdir())[images:]:
            image.unlink()
            (folder / "labels" / split / f"{image.stem}.txt").unlink(missing_ok=True)


def real_dataset(name: str, folder: Path) -> Path:
    """Copy a real dataset, because the engine writes next to the images; skip the test where there is none."""
    source = SHARED / name
    if not source.is_dir():
        pytest.skip(f"the real images of {name} are not here")
    target = folder / name
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    return target / "data.yaml"

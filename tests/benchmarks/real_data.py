"""The dataset of the benchmarks: real images if they are there, otherwise a drawn sample."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.sample_datasets import SHARED, pose_dataset

DATASET = "mouse-openfield"
IMAGES = 55


def dataset(folder: Path) -> Path:
    """Return the YAML of a copy of the dataset: the engine writes next to the images."""
    if not (SHARED / DATASET).is_dir():
        return pose_dataset(folder, images=IMAGES)
    shutil.copytree(SHARED / DATASET, folder, copy_function=shutil.copyfile)
    return folder / "data.yaml"

"""Models for tests that need no training: random weights, in files as the engine writes them."""

from __future__ import annotations

from pathlib import Path


def untrained(folder: Path, architecture: str = "yolo11n-pose.yaml") -> Path:
    """Write a checkpoint of the engine with random weights; at a low threshold it finds objects in any image."""
    import torch
    from ultralytics import YOLO

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        file = folder / f"{Path(architecture).stem}.pt"
        YOLO(architecture).save(file)
    return file

"""Datasets that the benchmark of the scan reads: small images, large images, and few to many labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

POINTS = 4
VAL = 10
"""One image of so many goes to the validation split."""
YAML = "train: images/train\nval: images/val\nkpt_shape: [4, 3]\nflip_idx: [1, 0, 3, 2]\nnames: [mouse]\n"

Picture = Callable[[np.random.Generator, int], bytes]


def noise(rng: np.random.Generator, index: int) -> bytes:
    """Encode a small picture of noise, each of another size in bytes."""
    picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return encode(picture, 60 + index % 35)


def encode(picture: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


def photographs(megapixels: float, kinds: int = 8) -> Picture:
    """Return what makes large pictures: a few that are encoded once, each copy with a comment of its own."""
    rng = np.random.default_rng(1)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    bases = []
    for _ in range(kinds):
        coarse = Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 6, (size[1], size[0], 1))
        bases.append(encode((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8), 85))

    def picture(_rng: np.random.Generator, index: int) -> bytes:
        base, text = bases[index % kinds], f"{index:>{10 + index % 50}}".encode()
        return base[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + base[2:]

    return picture


def rows(rng: np.random.Generator, count: int) -> Iterator[str]:
    """Yield rows with a box and points within it."""
    for _ in range(count):
        centre, size = rng.uniform(0.3, 0.7, 2), rng.uniform(0.2, 0.4, 2)
        points = centre + size * rng.uniform(-0.5, 0.5, (POINTS, 2))
        yield " ".join(["0", *(f"{v:.6f}" for v in (*centre, *size)), *(f"{x:.6f} {y:.6f} 2" for x, y in points)])


def make(folder: Path, images: int, picture: Picture = noise, rows_each: int | None = None) -> Path:
    """Write a dataset, or return the one that is there.

    Args:
        folder: Where it goes; its name says what it holds.
        images: How many images.
        picture: Makes each image.
        rows_each: Rows in each label file; one to three where nothing is said.
    """
    done = folder / "data.yaml"
    if done.exists():
        return done
    rng = np.random.default_rng(0)
    for index in range(images):
        split = "val" if index % VAL == 0 else "train"
        image, label = (folder / kind / split / f"im{index:06d}" for kind in ("images", "labels"))
        if index < 2:
            image.parent.mkdir(parents=True)
            label.parent.mkdir(parents=True)
        image.with_suffix(".jpg").write_bytes(picture(rng, index))
        text = "\n".join(rows(rng, rows_each or 1 + index % 3))
        label.with_suffix(".txt").write_text(f"{text}\n")
    done.write_text(YAML)
    return done

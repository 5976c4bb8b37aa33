"""Code that formats share: normalized coordinates, and images that are held out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from trainer_host import Finding
from trainer_host.data import IMAGE_SUFFIXES, counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from trainer_host.data import Split

MILLION = 1e6
"""Shares are rounded to a millionth, which is what label files are written with: far less than a pixel."""

LEAST = 0.05
"""The least side of a box that is made from points, as a fraction of the image's longer side."""
MARGIN = 0.1
"""Distance that such a box reaches beyond its points on each side, as a fraction of their longer extent."""


def shares(pixels: ArrayLike, size: ArrayLike) -> NDArray[np.float64]:
    """Return pixels as fractions of an image's side, rounded to six decimals just as printing them would."""
    values = np.asarray(np.divide(pixels, size), np.float64)
    scaled = values * MILLION
    rounded = np.rint(scaled) / MILLION
    # The product may look like a tie where the number itself is none.
    near = np.abs(scaled - np.floor(scaled) - 0.5) < 1e-6
    rounded[near] = [round(v, 6) for v in values[near].tolist()]
    return rounded


def box_shares(boxes: ArrayLike, sizes: ArrayLike) -> NDArray[np.float64]:
    """Return boxes as fractions of their images.

    Args:
        boxes: Left, top, width and height in pixels, (n, 4).
        sizes: Width and height of each box's image in pixels, (n, 2).

    Returns:
        Centre and size, rounded to six decimals, float64 (n, 4).
    """
    boxes, sizes = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(sizes, np.float64).reshape(-1, 2)
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) / sizes
    # The last bit of a sum is noise, so that a tie is rounded up, which most writers of labels come to.
    return np.hstack([np.floor(centres * MILLION + 0.5) / MILLION, shares(boxes[:, 2:], sizes)])


def boxes_around(
    points: NDArray[np.float64], labelled: NDArray[np.bool_], sizes: NDArray[np.float64], margin: float
) -> NDArray[np.float64]:
    """Return boxes around labelled points, a margin on each side, never smaller than `LEAST`, within the image.

    Args:
        points: x and y in pixels, (n, k, 2).
        labelled: Which of them count, at least one of each row, (n, k).
        sizes: Width and height of each row's image in pixels, (n, 2).
        margin: How far a box reaches beyond its points, as a fraction of their longer extent.

    Returns:
        Left, top, width and height in pixels, float64 (n, 4).
    """
    if not len(points):
        return np.zeros((0, 4))
    low = np.where(labelled[..., None], points, np.inf).min(axis=1)
    high = np.where(labelled[..., None], points, -np.inf).max(axis=1)
    extent = (high - low).max(axis=1, keepdims=True)
    side = np.maximum(high - low + 2 * margin * extent, LEAST * sizes.max(axis=1, keepdims=True))
    centre = (low + high) / 2
    low, high = np.clip(centre - side / 2, 0, sizes), np.clip(centre + side / 2, 0, sizes)
    return np.hstack([low, high - low])


def held_out_finding(file: Path | str, count: int, images: int, remedy: str) -> Finding:
    """Return the warning that some of the images are held out for validation."""
    what = f"held out for validation: {count} of {counted(images, 'image')}, chosen by their names."
    return Finding("holdout", what, remedy, str(file), None, "warning")


def one_image_finding(file: Path | str, fix: str = "add images") -> Finding:
    """Return the error that a dataset of one image cannot be divided."""
    what = "there is only one image: nothing remains to train on or to validate with."
    return Finding("split-empty", what, fix, str(file))


def unlisted(splits: Iterable[Split], what: str) -> Iterator[Finding]:
    """Yield a warning for each folder with images that nothing says anything of.

    Args:
        splits: The splits, which name the other images of their folders.
        what: The kind of file that could list them.
    """
    named: dict[str, set[str]] = {}
    for split in splits:
        for path in split.images:
            folder, _, name = path.rpartition(os.sep)
            named.setdefault(folder, set()).add(name)
    for folder, known in sorted(named.items()):
        try:
            present = os.listdir(folder)  # noqa: PTH208 - of any number of names
        except OSError:
            continue  # each image is reported as missing
        extra = sorted(n for n in present if n not in known and n.rpartition(".")[2].lower() in IMAGE_SUFFIXES)
        if extra:
            message = f"{counted(len(extra), 'image')} of the folder in no {what} and not used: {listed(extra)}."
            yield Finding("image-unlisted", message, "label them, or move them elsewhere", folder, None, "warning")

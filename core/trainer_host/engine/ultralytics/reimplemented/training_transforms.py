"""The engine's transforms of training images, joined: the same numbers and labels, in less time.

The image steps of `Mosaic`, `RandomPerspective`, `RandomHSV`, `RandomFlip` and `Format` (``data/augment.py``,
ultralytics 8.4.190); what they draw and how they change labels is still theirs. Re-implemented because each of them
makes a whole image for the next one.

- OpenCV warps four channels in half the time that it needs for three.
- Of the mosaic, four times as large as the image, only what the warp reads is put together.
- Colours change only where there are images; the border is of one colour.
- Tables for single channels are faster than one for three, and `cv2.split` than a transposed copy.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch.utils.data import ConcatDataset
from ultralytics.data.augment import (
    Albumentations,
    Compose,
    CopyPaste,
    CutMix,
    Format,
    MixUp,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
)

from trainer_host.engine.ultralytics.reimplemented import reimplements
from trainer_host.engine.ultralytics.reimplemented.training_colors import Colors, drawn_colors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[Any]

BORDER = 114
COLORS = 3
MARGIN = 2
"""Pixels around a region, for the rounding of coordinates."""
LEAST_SCALE = 1e-7
"""Scale of areas below which a warp has no inverse in single precision."""
AT_ONCE = 64
"""Pixels that OpenCV computes at once, or a multiple of them."""
LEAST_PIXELS = 192 * 192
FLIPS: dict[tuple[bool, bool], int] = {(True, False): 0, (False, True): 1, (True, True): -1}
"""Codes of OpenCV for flips (up and down, left and right)."""
Rect = tuple[int, int, int, int]
"""Left, top, right and bottom; the latter two are outside."""


@dataclass
class Steps:
    """The steps of the engine's training transforms that are joined, and the others after them."""

    mosaic: Any
    affine: Any
    colors: Any
    flips: Sequence[Any]
    rest: Sequence[Any]


def join_transforms(dataset: Any) -> None:
    """Have a training dataset, or those in it, join the engine's transforms; all others stay as they are."""
    transforms: Any = getattr(dataset, "transforms", None)
    if type(transforms) is Compose:
        dataset.transforms = JoinedTransforms(transforms.transforms)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            join_transforms(part)
    elif (inner := getattr(dataset, "dataset", None)) is not None:
        join_transforms(inner)


def steps_of(transforms: Sequence[Any]) -> Steps | None:
    """Return the steps of the engine's training transforms; None if one of them does more than is joined.

    That is: a step of another kind, copy-paste, mix-up, cut-mix, a perspective, a mosaic of nine images, or
    albumentations.
    """
    kinds = (Compose, MixUp, CutMix, Albumentations, RandomHSV, RandomFlip, RandomFlip)
    if tuple(map(type, transforms[: len(kinds)])) != kinds:
        return None
    first, mixup, cutmix, foreign, colors, *flips = transforms[: len(kinds)]
    geometry = [step for step in first.transforms if type(step) is not CopyPaste or step.p]
    if tuple(map(type, geometry)) != (Mosaic, RandomPerspective):
        return None
    mosaic, affine = geometry
    if mixup.p or cutmix.p or foreign.transform is not None or affine.perspective or mosaic.n != len(Tile.CORNERS):
        return None
    return Steps(mosaic, affine, colors, flips, transforms[len(kinds) :])


class JoinedTransforms(Compose):  # type: ignore[misc, unused-ignore]
    """The engine's training transforms with the work on images joined; as they are if they do more than that.

    The list of steps stays, and may be changed at any time.

    Args:
        transforms: The steps.
        least: Pixels of the smallest images for which they are joined; for smaller ones it takes no less time.
    """

    def __init__(self, transforms: list[Any], least: int = LEAST_PIXELS) -> None:
        super().__init__(transforms)
        self.least = least

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return a sample."""
        steps = steps_of(self.transforms)
        if steps is None or not self._joins(steps, data):
            sample: dict[str, Any] = super().__call__(data)
            return sample
        return _joined(steps, data)

    def _joins(self, steps: Steps, data: dict[str, Any]) -> bool:
        image = data["img"]
        if image.dtype != np.uint8 or image.shape[2:] != (COLORS,) or "semantic_mask" in data or "depth" in data:
            return False
        width, height = steps.affine.size or image.shape[1::-1]
        return bool(width * height >= self.least)


def _joined(steps: Steps, data: dict[str, Any]) -> dict[str, Any]:
    """Draw and change labels as the engine does, step by step, and make the image at the end."""
    canvas = _mosaic(steps.mosaic, data) or Canvas.of(data["img"])
    data["img"] = _placeholder(canvas.height, canvas.width)
    warp = steps.affine.get_params(data)
    width, height = warp["size"]
    data["img"], data["resized_shape"] = _placeholder(height, width), (height, width)
    data = steps.affine.apply_instances(data, warp)
    for _ in (MixUp, CutMix):
        random.uniform(0, 1)  # noqa: S311  which decides about them
    colors = drawn_colors(steps.colors)
    flipped = {"vertical": False, "horizontal": False}
    for flip in steps.flips:
        params = flip.get_params(data)
        data = flip.apply_instances(data, params)
        flipped[params["direction"]] ^= params["flip"]
    code = FLIPS.get((flipped["vertical"], flipped["horizontal"]))
    picture = Picture.of(canvas, warp["M"], (width, height), colors, code)
    if len(steps.rest) == 1 and type(steps.rest[0]) is Format:
        return _formatted(steps.rest[0], data, picture)
    data["img"] = picture.array()
    for step in steps.rest:
        data = step(data)
    return data


@reimplements("data/augment.py", "Mosaic.apply_image", "c817c8ca7dee", partly=True)
def _mosaic(mosaic: Any, data: dict[str, Any]) -> Canvas | None:
    """Draw a mosaic and change the labels; return its images, or None if none was drawn."""
    if random.uniform(0, 1) > mosaic.p:  # noqa: S311
        return None
    params = mosaic.get_params(data)
    tiles = [Tile.of(item) for item in params["layout"]]
    mosaic.apply_instances(data, params)
    data.pop("mix_labels", None)
    return Canvas(2 * mosaic.imgsz, 2 * mosaic.imgsz, tiles)


def _placeholder(height: int, width: int) -> Pixels:
    """Return an image without memory, of which steps read the shape."""
    return np.ndarray((height, width, COLORS), np.uint8, bytes([BORDER]), strides=(0, 0, 0))


@dataclass
class Tile:
    """An image and where it lies in a mosaic.

    Attributes:
        image: The image.
        place: The part of the mosaic that it fills.
        left: Column of the image at the left of the place.
        top: Row of the image at the top of the place.
    """

    CORNERS = ("x1a", "y1a", "x2a", "y2a")

    image: Pixels
    place: Rect
    left: int = 0
    top: int = 0

    @classmethod
    def of(cls, item: dict[str, Any]) -> Tile:
        """Return a tile of the engine's layout."""
        left, top, right, bottom = (item[name] for name in cls.CORNERS)
        return cls(item["labels_patch"]["img"], (left, top, right, bottom), item["x1b"], item["y1b"])

    def paste(self, onto: Pixels, window: Rect) -> None:
        """Copy what is in a window of the mosaic."""
        left, top, right, bottom = _common(self.place, window)
        if left >= right or top >= bottom:
            return
        x, y = left - self.place[0] + self.left, top - self.place[1] + self.top
        part = self.image[y : y + bottom - top, x : x + right - left]
        if part.dtype == np.uint8 and part.shape[2] == COLORS:
            cv2.cvtColor(part, cv2.COLOR_BGR2BGRA, dst=onto[top:bottom, left:right])
        else:
            onto[top:bottom, left:right, :COLORS] = part


@dataclass
class Canvas:
    """The image that is warped, as the images that it is made of."""

    height: int
    width: int
    tiles: Sequence[Tile]

    @classmethod
    def of(cls, image: Pixels) -> Canvas:
        """Return the canvas of a single image."""
        height, width = image.shape[:2]
        return cls(height, width, [Tile(image, (0, 0, width, height))])

    def content(self) -> Rect:
        """Return what the images cover."""
        left, top, right, bottom = zip(*(tile.place for tile in self.tiles), strict=True)
        return min(left), min(top), max(right), max(bottom)

    def pixels(self, window: Rect) -> Pixels:
        """Return the canvas with four channels; outside of the window it is not filled."""
        pixels = np.empty((self.height, self.width, 4), np.uint8)
        left, top, right, bottom = _common(window, (0, 0, self.width, self.height))
        if len(self.tiles) > 1:
            pixels[top:bottom, left:right] = BORDER
        for tile in self.tiles:
            tile.paste(pixels, window)
        return pixels


def _common(one: Rect, other: Rect) -> Rect:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _mapped(rect: Rect, matrix: NDArray[np.float64]) -> Rect:
    """Return the bounds of a rectangle that is mapped, with a margin."""
    left, top, right, bottom = rect
    (a, b, x), (c, d, y) = matrix.tolist()
    xs = [a * left, a * right], [b * top, b * bottom]  # plain numbers: arrays of four take longer
    ys = [c * left, c * right], [d * top, d * bottom]
    return (
        math.floor(x + sum(map(min, xs))) - MARGIN,
        math.floor(y + sum(map(min, ys))) - MARGIN,
        math.ceil(x + sum(map(max, xs))) + MARGIN + 1,
        math.ceil(y + sum(map(max, ys))) + MARGIN + 1,
    )


def _aligned(rect: Rect) -> Rect:
    """Return a rectangle made wider, so that OpenCV computes each pixel as it does in the whole image.

    It rounds colours differently at the end of a row, where fewer pixels are left than it computes at once.
    """
    left, top, right, bottom = rect
    return left // AT_ONCE * AT_ONCE, top, -(-right // AT_ONCE) * AT_ONCE, bottom


@dataclass
class Picture:
    """A sample's image: a part with colours, in a border of one colour.

    Attributes:
        height: Its height.
        width: Its width.
        place: Where the part lies.
        part: Its pixels.
        border: The grey around.
        flip: Code of the flip that is still to be done; None without one.
    """

    height: int
    width: int
    place: Rect
    part: Pixels | None
    border: int
    flip: int | None

    @classmethod
    @reimplements("data/augment.py", "RandomPerspective.apply_image", "ae2630eb4f43", partly=True)
    def of(cls, canvas: Canvas, matrix: Any, size: tuple[int, int], colors: Colors | None, flip: int | None) -> Picture:
        """Warp a canvas."""
        width, height = size
        exact = matrix[:2].astype(np.float64)
        left, top, right, bottom = canvas.content()
        regular = abs(exact[0, 0] * exact[1, 1] - exact[0, 1] * exact[1, 0]) > LEAST_SCALE
        mapped = _aligned(_mapped((left - 1, top - 1, right, bottom), exact))
        # OpenCV fills the image with one pixel if the matrix has no inverse.
        place = left, top, right, bottom = _common(mapped, (0, 0, *size)) if regular else (0, 0, *size)
        border = BORDER if colors is None else int(colors.value.table[0, BORDER])  # grey stays grey
        if left >= right or top >= bottom:
            return cls(height, width, place, None, border, flip)
        inverse: Any = cv2.invertAffineTransform(exact)
        everything = 0, 0, canvas.width, canvas.height
        window = _mapped((left, top, right - 1, bottom - 1), inverse) if regular else everything
        exact[:, 2] -= left, top
        part = cv2.warpAffine(
            canvas.pixels(window), exact, dsize=(right - left, bottom - top), borderValue=(BORDER,) * 4
        )
        part = part[..., :COLORS].copy() if colors is None else colors.of(part)
        return cls(height, width, place, part, border, flip)

    def array(self) -> Pixels:
        """Return the pixels, colours last."""
        image = np.empty((self.height, self.width, COLORS), np.uint8)
        left, top, right, bottom = self.place
        if self.part is None or self.part.shape[:2] != image.shape[:2]:
            image[:] = self.border
        if self.part is not None:
            image[top:bottom, left:right] = self.part[..., :COLORS]
        return image if self.flip is None else cv2.flip(image, self.flip)

    def planes(self, reverse: bool) -> Pixels:
        """Return the pixels, colours first, and in reverse if wanted."""
        image = np.empty((COLORS, self.height, self.width), np.uint8)
        if self.part is None or self.part.shape[:2] != image.shape[1:]:
            image[:] = self.border
        if self.part is None:
            return image
        left, top, right, bottom = self.place
        if self.flip in {1, -1}:
            left, right = self.width - right, self.width - left
        if self.flip in {0, -1}:
            top, bottom = self.height - bottom, self.height - top
        targets = [plane[top:bottom, left:right] for plane in (image[::-1] if reverse else image)]
        if self.flip is None:
            cv2.split(self.part, targets)
        else:
            for plane, target in zip(cv2.split(self.part), targets, strict=False):
                cv2.flip(plane, self.flip, dst=target)
        return image


@reimplements("data/augment.py", "Format._format_img", "25aa4a0f2b44", partly=True)
def _formatted(step: Any, data: dict[str, Any], picture: Picture) -> dict[str, Any]:
    """Return the sample as tensors."""
    params = step.get_params(data)
    reverse = random.uniform(0, 1) > step.bgr  # noqa: S311
    del data["img"]  # as the last key it comes back
    data["img"] = torch.from_numpy(picture.planes(reverse))
    return dict(step.apply_instances(data, params))

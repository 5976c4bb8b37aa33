"""Small pictures of a dataset's images, or of the part that matters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainer_host.base.annotations import Box, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cv2.typing import MatLike
    from numpy.typing import NDArray

    from trainer_host.base.annotations import Shape

SIDE = 480
"""The longer side of a picture in pixels, at most."""
UNITS = 320
"""The longer side of a picture in units of its drawing."""
MAX_PIXELS = 178_956_970
MAX_BYTES = 1 << 28
MAX_SHAPES = 1000
CROWDED = 40
"""Points beyond which an image is shown in detail too, and its points small and without names."""
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
_QUALITY = 82


@dataclass(frozen=True)
class View:
    """The part of an image that is shown, as fractions of its width and height."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def mirrored(self) -> View:
        """Return the same part of the mirrored image."""
        return View(1 - self.left - self.width, self.top, self.width, self.height)


WHOLE = View()


@dataclass(frozen=True)
class Picture:
    """A small JPEG of a part of an image, and that part. Its drawing is ``width`` by ``height`` units large."""

    jpeg: bytes
    view: View
    width: float
    height: float


def closest_view(shapes: Sequence[Shape], shape: tuple[int, int], margin: float = 1.6, largest: float = 0.6) -> View:
    """Return the part of an image to show: a square around its shapes if they are small, or all of it.

    Args:
        shapes: The shapes that are drawn.
        shape: Height and width of the image in pixels.
        margin: The side of the square, in lengths of what it holds.
        largest: The longest side of the square, in lengths of the image's longer side.
    """
    height, width = shape
    corners = np.array([c for s in shapes for c in corners_of(s)], float).reshape(-1, 2)
    if not len(corners) or not np.isfinite(corners).all() or (corners < 0).any() or (corners > 1).any():
        return WHOLE
    low, high = corners.min(0) * (width, height), corners.max(0) * (width, height)
    side = max(margin * float((high - low).max()), 64.0)
    if side > largest * max(width, height):
        return WHOLE
    across, down = min(side, width), min(side, height)
    left = min(max(float(low[0] + high[0] - across) / 2, 0.0), width - across)
    top = min(max(float(low[1] + high[1] - down) / 2, 0.0), height - down)
    return View(left / width, top / height, across / width, down / height)


def detail_view(shapes: Sequence[Shape], shape: tuple[int, int]) -> View:
    """Return the part of a crowded image that shows a large box with many points; all of it if there is none."""
    points = [s for s in shapes if isinstance(s, Point)]
    boxes = [s for s in shapes if isinstance(s, Box)]
    if len(points) <= CROWDED or not boxes:
        return WHOLE
    places = np.array([(p.x, p.y) for p in points])
    inside = [places[_within(box, places)] for box in boxes[:MAX_SHAPES]]
    best = max(range(len(inside)), key=lambda i: len(inside[i]) * (boxes[i].width + boxes[i].height))
    return closest_view([boxes[best]], shape, margin=1.25, largest=0.75)


def _within(box: Box, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high = np.array(corners_of(box))
    inside: NDArray[np.bool_] = ((places >= low) & (places <= high)).all(1)
    return inside


def corners_of(shape: Shape) -> list[tuple[float, float]]:
    """Return opposite corners of a box, the place of a point, or the ends of a line."""
    if isinstance(shape, Box):
        return [(shape.left, shape.top), (shape.left + shape.width, shape.top + shape.height)]
    if isinstance(shape, Point):
        return [(shape.x, shape.y)]
    return [(shape.x1, shape.y1), (shape.x2, shape.y2)]


def load_picture(path: str, shape: tuple[int, int], view: View = WHOLE) -> Picture | None:
    """Decode a part of an image, no larger than needed; None if that cannot or should not be done.

    Args:
        path: The image.
        shape: Height and width in pixels, as its header says; 0 if unknown. A bomb is not decoded.
        view: The part to show.
    """
    height, width = shape
    file = Path(path)
    if not 0 < height * width <= MAX_PIXELS or not file.is_file() or file.stat().st_size > MAX_BYTES:
        return None
    longest = max(width * view.width, height * view.height)
    factor = next((f for f in (8, 4, 2) if longest / f >= SIDE), 1)
    try:
        image = cv2.imdecode(np.fromfile(file, np.uint8), _REDUCED[factor])
    except (OSError, cv2.error):
        return None
    return _cropped(image, view) if image is not None else None


def _cropped(image: MatLike, view: View) -> Picture | None:
    height, width = image.shape[:2]
    left, top = math.floor(view.left * width), math.floor(view.top * height)
    right = min(max(math.ceil((view.left + view.width) * width), left + 1), width)
    below = min(max(math.ceil((view.top + view.height) * height), top + 1), height)
    part: MatLike = image[top:below, left:right]
    across, down = right - left, below - top
    longer = max(across, down)
    if longer > SIDE:
        size = (max(1, round(across * SIDE / longer)), max(1, round(down * SIDE / longer)))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    exact = View(left / width, top / height, across / width, down / height)
    return Picture(jpeg.tobytes(), exact, across * UNITS / longer, down * UNITS / longer) if done else None

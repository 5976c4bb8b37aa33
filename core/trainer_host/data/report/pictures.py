"""Pictures of a dataset's images, small, with their labels drawn over them."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainer_host.base.annotations import Box, Line, Point
from trainer_host.data.report.markup import colour, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
MAX_NAMES = 60
CROWDED = 40
"""Where a picture has more points they are drawn small and without names."""
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
_QUALITY = 82
_FAR = 3.0
_RADIUS, _SMALL, _FONT, _LETTER, _LONGEST_NAME = 4.0, 2.6, 12.0, 6.4, 28


@dataclass(frozen=True)
class View:
    """The part of an image that is shown, in shares of its width and height."""

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
    """Return the part of an image to show: a square around its shapes where they are small, or all of it.

    Args:
        shapes: What is drawn.
        shape: Height and width of the image in pixels.
        margin: The side of the square, in lengths of what it holds.
        largest: The longest side of the square, in lengths of the image's longer side.
    """
    height, width = shape
    corners = np.array([c for s in shapes for c in _corners(s)], float).reshape(-1, 2)
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
    """Return the part of a crowded image that shows a large box with many points; all of it where there is none."""
    points = [s for s in shapes if isinstance(s, Point)]
    boxes = [s for s in shapes if isinstance(s, Box)]
    if len(points) <= CROWDED or not boxes:
        return WHOLE
    places = np.array([(p.x, p.y) for p in points])
    inside = [places[_within(box, places)] for box in boxes[:MAX_SHAPES]]
    best = max(range(len(inside)), key=lambda i: len(inside[i]) * (boxes[i].width + boxes[i].height))
    return closest_view([boxes[best]], shape, margin=1.25, largest=0.75)


def _within(box: Box, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high = np.array(_corners(box))
    inside: NDArray[np.bool_] = ((places >= low) & (places <= high)).all(1)
    return inside


def _corners(shape: Shape) -> list[tuple[float, float]]:
    if isinstance(shape, Box):
        return [(shape.left, shape.top), (shape.left + shape.width, shape.top + shape.height)]
    if isinstance(shape, Point):
        return [(shape.x, shape.y)]
    return [(shape.x1, shape.y1), (shape.x2, shape.y2)]


def load_picture(path: str, shape: tuple[int, int], view: View = WHOLE) -> Picture | None:
    """Decode a part of an image, as small as will do; None where that cannot or should not be done.

    Args:
        path: The image.
        shape: Height and width in pixels, as its header says; 0 where it is not known. A bomb is not decoded.
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


def draw(picture: Picture, shapes: Sequence[Shape], name: str, text: str) -> str:
    """Return a picture with shapes over it, as SVG.

    Args:
        picture: The picture.
        shapes: What to draw.
        name: An identifier of the picture in the page, by which `draw_mirrored` uses it again.
        text: What it shows, for those who cannot see it.
    """
    data = base64.b64encode(picture.jpeg).decode()
    size = f'width="{picture.width:.1f}" height="{picture.height:.1f}"'
    image = f'<image id="{name}" {size} href="data:image/jpeg;base64,{data}"/>'
    return _frame(picture, image, picture.view, shapes, text)


def draw_mirrored(picture: Picture, shapes: Sequence[Shape], name: str, text: str) -> str:
    """Return a picture mirrored, with shapes of the mirrored image over it, as SVG; see `draw`."""
    image = f'<use href="#{name}" transform="translate({picture.width:.1f} 0) scale(-1 1)"/>'
    return _frame(picture, image, picture.view.mirrored(), shapes, text)


def _frame(picture: Picture, image: str, view: View, shapes: Sequence[Shape], text: str) -> str:
    overlay = _Overlay(view, picture.width, picture.height)
    return (
        f'<svg class="picture" viewBox="0 0 {picture.width:.1f} {picture.height:.1f}" role="img" '
        f'aria-label="{escaped(text)}">{image}{overlay.draw(shapes[:MAX_SHAPES])}</svg>'
    )


class _Overlay:
    """Draws shapes over a picture, and their names where they hide no other.

    Args:
        view: The part of the image that the picture shows.
        width: Width of the picture in units of the drawing.
        height: Its height.
    """

    def __init__(self, view: View, width: float, height: float) -> None:
        self.view, self.width, self.height = view, width, height
        self.radius = _RADIUS
        self.taken: list[tuple[float, float, float, float]] = []

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the image is in the drawing; far outside of it, somewhere outside."""
        x, y = min(max(x, -_FAR), _FAR), min(max(y, -_FAR), _FAR)
        return (x - self.view.left) / self.view.width * self.width, (y - self.view.top) / self.view.height * self.height

    def draw(self, shapes: Sequence[Shape]) -> str:
        drawable = [s for s in shapes if all(math.isfinite(v) for corner in _corners(s) for v in corner)]
        points = [s for s in drawable if isinstance(s, Point)]
        places = [self.place(p.x, p.y) for p in points]
        crowded = sum(0 <= x <= self.width and 0 <= y <= self.height for x, y in places) > CROWDED
        self.radius = radius = _SMALL if crowded else _RADIUS
        self.taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in places]
        boxes = [s for s in drawable if isinstance(s, Box)]
        parts = [self.box(s) for s in boxes]
        parts += [self.line(s) for s in drawable if isinstance(s, Line)]
        parts += [self.point(s) for s in points]
        return "".join([*parts, *self.names(boxes if crowded else [*points, *boxes])])

    def box(self, box: Box) -> str:
        x, y = self.place(box.left, box.top)
        right, below = self.place(box.left + box.width, box.top + box.height)
        return (
            f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{max(right - x, 0):.1f}" '
            f'height="{max(below - y, 0):.1f}" stroke="{colour(box.colour)}"/>'
        )

    def line(self, line: Line) -> str:
        (x1, y1), (x2, y2) = self.place(line.x1, line.y1), self.place(line.x2, line.y2)
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        return f'<line class="bone" {ends} stroke="{colour(line.colour)}"/>'

    def point(self, point: Point) -> str:
        x, y = self.place(point.x, point.y)
        at, title = f'cx="{x:.1f}" cy="{y:.1f}" r="{self.radius:g}"', f"<title>{escaped(point.label)}</title>"
        if point.filled:
            return f'<circle class="point" {at} fill="{colour(point.colour)}">{title}</circle>'
        return f'<circle class="point ring" {at} stroke="{colour(point.colour)}">{title}</circle>'

    def names(self, shapes: Sequence[Box | Point]) -> Iterator[str]:
        drawn = 0
        for shape in shapes:
            text = shape.label if len(shape.label) <= _LONGEST_NAME else shape.label[: _LONGEST_NAME - 1] + "…"
            spot = self.free_spot(shape, len(text) * _LETTER) if text else None
            if spot is None:
                continue
            kind = "of-box" if isinstance(shape, Box) else "of-point"
            yield f'<text class="name {kind}" x="{spot[0]:.1f}" y="{spot[1]:.1f}">{escaped(text)}</text>'
            drawn += 1
            if drawn == MAX_NAMES:
                return

    def free_spot(self, shape: Box | Point, wide: float) -> tuple[float, float] | None:
        """Return the left end of the base line of a name where it hides nothing, and keep that place."""
        high = _FONT
        for x, y in self.spots(shape, wide):
            area = (x, y - high * 0.8, x + wide, y + high * 0.2)
            inside = area[0] >= 0 and area[1] >= 0 and area[2] <= self.width and area[3] <= self.height
            if inside and not any(_overlap(area, other) for other in self.taken):
                self.taken.append(area)
                return x, y
        return None

    def spots(self, shape: Box | Point, wide: float) -> list[tuple[float, float]]:
        if isinstance(shape, Box):
            x, y = self.place(shape.left, shape.top)
            below = self.place(shape.left, shape.top + shape.height)[1]
            right = self.place(shape.left + shape.width, shape.top)[0]
            if not 0 <= (x + right) / 2 <= self.width:
                return []  # it belongs to a part that is not shown
            x = min(max(x, 2.0), max(self.width - wide - 2, 2.0))
            return [(x, y - 4), (x, below + _FONT), (x + 3, y + _FONT)]
        x, y = self.place(shape.x, shape.y)
        gap, middle = self.radius + 4, y + _FONT * 0.3
        right, left, centre = x + gap, x - gap - wide, x - wide / 2
        above, below = y - gap, y + gap + _FONT * 0.6
        return [(right, middle), (left, middle), (centre, above), (centre, below), (right, above), (right, below)]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

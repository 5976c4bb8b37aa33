"""The shapes of an image in the units of its picture, with names that do not overlap."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from trainer_host.base.annotations import Box, Line, Point
from trainer_host.data.report.pictures import CROWDED, MAX_SHAPES, corners_of
from trainer_host.data.report.templating import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markupsafe import Markup

    from trainer_host.base.annotations import Shape
    from trainer_host.data.report.pictures import Picture, View

Area: TypeAlias = "tuple[float, float, float, float]"
"""Left, top, right and bottom."""
MAX_NAMES = 60
_FARTHER = (16.0, 28.0, 44.0)
"""Distances at which a name is placed that has no place next to its point, with a line to it."""
_NEXT, _CLEAR = 6.0, 2.0
"""How near a name is that needs no line, and by how much less than to any other point."""
_FAR = 3.0
_RADIUS, _SMALL, _FONT, _LETTER, _LONGEST_NAME = 4.0, 2.6, 12.0, 6.4, 28


def draw(picture: Picture, shapes: Sequence[Shape], name: str, text: str) -> Markup:
    """Return a picture with shapes over it, as SVG.

    Args:
        picture: The picture.
        shapes: The shapes to draw.
        name: An identifier of the picture in the page, by which `draw_mirrored` uses it again.
        text: A description of the picture for those who cannot see it.
    """
    return _svg(picture, picture.view, shapes, name, text, base64.b64encode(picture.jpeg).decode())


def draw_mirrored(picture: Picture, shapes: Sequence[Shape], name: str, text: str) -> Markup:
    """Return a picture mirrored, with shapes of the mirrored image over it, as SVG; see `draw`."""
    return _svg(picture, picture.view.mirrored(), shapes, name, text)


def _svg(picture: Picture, view: View, shapes: Sequence[Shape], name: str, text: str, jpeg: str = "") -> Markup:
    overlay = _Overlay(view, picture.width, picture.height)
    overlay.add(shapes[:MAX_SHAPES])
    size = {"width": picture.width, "height": picture.height}
    return render("picture.svg", **size, name=name, text=text, jpeg=jpeg, overlay=overlay)


@dataclass
class _Overlay:
    """Shapes over a picture, in units of its drawing.

    Attributes:
        view: The part of the image that the picture shows.
        width: Width of the picture.
        height: Its height.
        radius: Radius of the points.
        boxes: Left, top, width, height and colour of each box.
        lines: The ends and colour of each line.
        points: The place of each point, and the point.
        names: Left end of the base line, class and text of each name.
        leaders: The ends and colour of the line from a point to its name, for names that are not next to their points.
        taken: Left, top, right and bottom of what names may not hide.
    """

    view: View
    width: float
    height: float
    radius: float = _RADIUS
    boxes: list[tuple[float, float, float, float, int]] = field(default_factory=list)
    lines: list[tuple[float, float, float, float, int]] = field(default_factory=list)
    points: list[tuple[float, float, Point]] = field(default_factory=list)
    names: list[tuple[float, float, str, str]] = field(default_factory=list)
    leaders: list[tuple[float, float, float, float, int]] = field(default_factory=list)
    taken: list[Area] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the image is in the drawing; far outside of it, somewhere outside."""
        x, y = min(max(x, -_FAR), _FAR), min(max(y, -_FAR), _FAR)
        return (x - self.view.left) / self.view.width * self.width, (y - self.view.top) / self.view.height * self.height

    def add(self, shapes: Sequence[Shape]) -> None:
        """Add the shapes that have finite coordinates."""
        drawable = [s for s in shapes if all(math.isfinite(v) for corner in corners_of(s) for v in corner)]
        boxes = [s for s in drawable if isinstance(s, Box)]
        self.points = [(*self.place(s.x, s.y), s) for s in drawable if isinstance(s, Point)]
        crowded = sum(0 <= x <= self.width and 0 <= y <= self.height for x, y, _ in self.points) > CROWDED
        self.radius = radius = _SMALL if crowded else _RADIUS
        self.taken = [(x - radius, y - radius, x + radius, y + radius) for x, y, _ in self.points]
        for box in boxes:
            (x, y), (right, below) = map(self.place, *zip(*corners_of(box), strict=True))
            self.boxes.append((x, y, max(right - x, 0), max(below - y, 0), box.colour))
        for s in drawable:
            if isinstance(s, Line):
                self.lines.append((*self.place(s.x1, s.y1), *self.place(s.x2, s.y2), s.colour))
        self._name(boxes if crowded else [*(point for *_, point in self.points), *boxes])

    def _name(self, shapes: Sequence[Box | Point]) -> None:
        """Add the names of shapes that fit between points and other names."""
        for shape in shapes:
            text = shape.label if len(shape.label) <= _LONGEST_NAME else shape.label[: _LONGEST_NAME - 1] + "…"
            wide = len(text) * _LETTER
            spot = self._free_spot(shape, wide) if text else None
            if spot is not None:
                self.names.append((*spot, "of-box" if isinstance(shape, Box) else "of-point", text))
                if isinstance(shape, Point):
                    self._lead(shape, _area(*spot, wide))
            if len(self.names) == MAX_NAMES:
                return

    def _free_spot(self, shape: Box | Point, wide: float) -> tuple[float, float] | None:
        """Return the left end of the base line of a name at a free place, and reserve it.

        A point's name is nearer to its own point than to any other, if there is such a place.
        """
        free = [(x, y) for x, y in self._spots(shape, wide) if self._is_free(_area(x, y, wide))]
        if not free:
            return None
        spot = free[0]
        if isinstance(shape, Point):
            clear = (s for s in free if self._lead_over_others(shape, _area(*s, wide)) > _CLEAR)
            spot = next(clear, spot)
        self.taken.append(_area(*spot, wide))
        return spot

    def _is_free(self, area: Area) -> bool:
        inside = area[0] >= 0 and area[1] >= 0 and area[2] <= self.width and area[3] <= self.height
        return inside and not any(_overlap(area, other) for other in self.taken)

    def _lead_over_others(self, point: Point, area: Area) -> float:
        """Return by how much a place is nearer to its point than to the nearest other one."""
        here = self.place(point.x, point.y)
        others = [_distance(area, x, y) for x, y, other in self.points if other is not point]
        return min(others, default=math.inf) - _distance(area, *here)

    def _lead(self, point: Point, area: Area) -> None:
        """Add a line from a point to its name, unless the name is next to it and to no other."""
        x, y = self.place(point.x, point.y)
        if _distance(area, x, y) < self.radius + _NEXT and self._lead_over_others(point, area) > _CLEAR:
            return
        to_x, to_y = min(max(x, area[0]), area[2]), min(max(y, area[1]), area[3])
        self.leaders.append((x, y, to_x, to_y, point.colour))

    def _spots(self, shape: Box | Point, wide: float) -> Iterator[tuple[float, float]]:
        """Yield the places of a name, the best first."""
        if isinstance(shape, Box):
            x, y = self.place(shape.left, shape.top)
            right, below = self.place(shape.left + shape.width, shape.top + shape.height)
            if 0 <= (x + right) / 2 <= self.width:  # otherwise the box belongs to a part that is not shown
                x = min(max(x, 2.0), max(self.width - wide - 2, 2.0))
                yield from [(x, y - 4), (x, below + _FONT), (x + 3, y + _FONT)]
            return
        x, y = self.place(shape.x, shape.y)
        for gap in (self.radius + 4, *_FARTHER):
            middle, right, left, centre = y + _FONT * 0.3, x + gap, x - gap - wide, x - wide / 2
            above, below = y - gap, y + gap + _FONT * 0.6
            yield from [(right, middle), (left, middle), (centre, above), (centre, below)]
            yield from [(right, above), (right, below), (left, above), (left, below)]


def _area(x: float, y: float, wide: float) -> Area:
    """Return what a name covers: left, top, right and bottom."""
    return x, y - _FONT * 0.8, x + wide, y + _FONT * 0.2


def _distance(area: Area, x: float, y: float) -> float:
    """Return the distance of a point from an area."""
    return math.hypot(max(area[0] - x, 0, x - area[2]), max(area[1] - y, 0, y - area[3]))


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]

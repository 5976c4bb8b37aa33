"""Drawings of a dataset report, as plain data: shapes on an image, and histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Box:
    """A rectangle in normalized coordinates: fractions of the image's width and height.

    Attributes:
        left: Left edge.
        top: Upper edge.
        width: Width.
        height: Height.
        label: Text next to it.
        colour: Number of a colour; equal numbers have equal colours.
    """

    left: float
    top: float
    width: float
    height: float
    label: str = ""
    colour: int = 0


@dataclass(frozen=True)
class Point:
    """A point in normalized coordinates: fractions of the image's width and height.

    Attributes:
        x: Distance from the left edge.
        y: Distance from the upper edge.
        label: Text next to it.
        filled: Whether to draw a disc; a ring stands for a point that is hidden in the image.
        colour: Number of a colour; equal numbers have equal colours.
    """

    x: float
    y: float
    label: str = ""
    filled: bool = True
    colour: int = 0


@dataclass(frozen=True)
class Line:
    """A straight line from (``x1``, ``y1``) to (``x2``, ``y2``) in normalized coordinates, as those of `Point`."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: int = 0


Shape: TypeAlias = Box | Point | Line
"""A shape to draw on an image."""


@dataclass(frozen=True)
class Histogram:
    """Counts of one property of a dataset.

    Attributes:
        title: The property.
        labels: Name of each bar.
        counts: Count of each bar, by split.
        note: Remark for the reader, or an empty text.
    """

    title: str
    labels: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    note: str = ""

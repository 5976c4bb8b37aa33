"""What a dataset's report draws, as plain data: shapes on an image, and histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Box:
    """A rectangle; coordinates are shares of the image's width and height.

    Attributes:
        left: Left edge.
        top: Upper edge.
        width: Width.
        height: Height.
        label: What is written at it.
        colour: Number of a colour; equal numbers are drawn alike.
    """

    left: float
    top: float
    width: float
    height: float
    label: str = ""
    colour: int = 0


@dataclass(frozen=True)
class Point:
    """A point; coordinates are shares of the image's width and height.

    Attributes:
        x: Distance from the left edge.
        y: Distance from the upper edge.
        label: What is written at it.
        filled: Whether it is drawn full; a point that is hidden in the image is drawn as a ring.
        colour: Number of a colour.
    """

    x: float
    y: float
    label: str = ""
    filled: bool = True
    colour: int = 0


@dataclass(frozen=True)
class Line:
    """A straight line; coordinates are shares of the image's width and height."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: int = 0


Shape: TypeAlias = Box | Point | Line


@dataclass(frozen=True)
class Histogram:
    """Counts of one property of a dataset.

    Attributes:
        title: What is counted.
        labels: A name for each bar.
        counts: For each split the count of each bar.
        note: What the reader should know, or an empty text.
    """

    title: str
    labels: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    note: str = ""

"""Random changes of the colours of training images: `RandomHSV` (``data/augment.py``), ultralytics 8.4.190.

Re-implemented because a table for three channels at once takes more time than the planes by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[Any]

LEVELS = np.arange(256, dtype=np.uint8)[None]
DOWN = 1e-4 - 0.5
"""What has OpenCV round down: it rounds to the nearest number."""


@dataclass
class Scale:
    """A change of saturation or value.

    Attributes:
        factor: What each value is multiplied with, and then rounded down.
        table: The same as a table.
    """

    factor: float
    table: Pixels

    def of(self, plane: Pixels) -> Pixels:
        """Return the values changed."""
        if self.is_linear:
            return cv2.convertScaleAbs(plane, alpha=self.factor, beta=DOWN)
        return cv2.LUT(plane, self.table)

    def __post_init__(self) -> None:
        # It takes a third of the time of a table, but a product just below a whole number may be rounded up.
        self.is_linear = bool((cv2.convertScaleAbs(LEVELS, alpha=self.factor, beta=DOWN) == self.table).all())


@dataclass
class Colors:
    """Changes of colours: a table for the hue, and scales for saturation and value."""

    hue: Pixels
    saturation: Scale
    value: Scale

    def of(self, image: Pixels) -> Pixels:
        """Return the colours of an image of four channels, changed."""
        hue, saturation, value = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
        changed = cv2.merge([cv2.LUT(hue, self.hue), self.saturation.of(saturation), self.value.of(value)])
        return cv2.cvtColor(changed, cv2.COLOR_HSV2BGR, dst=changed)


def _scale(factor: float) -> Scale:
    return Scale(factor, np.clip(LEVELS * factor, 0, 255).astype(np.uint8))


@reimplements("data/augment.py", "RandomHSV.apply_image", "9717ea682528", "f01f261c1ba3", partly=True)
def drawn_colors(colors: Any) -> Colors | None:
    """Draw changes of colours; return None if there are none."""
    if not (colors.hgain or colors.sgain or colors.vgain):
        return None
    hue, saturation, value = np.random.uniform(-1, 1, 3) * [colors.hgain, colors.sgain, colors.vgain]
    x = LEVELS.astype(np.float64)
    return Colors(((x + hue * 180) % 180).astype(np.uint8), _scale(saturation + 1), _scale(value + 1))

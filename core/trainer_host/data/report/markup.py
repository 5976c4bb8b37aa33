"""Text from a dataset as HTML, and the colours of what is drawn."""

from __future__ import annotations

import html
import re

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_COLOURS = 720
_HUE_STEP = 137.5
_LIGHTNESS = (45, 72, 32)


def escaped(value: object) -> str:
    """Return a value as text for HTML, in elements and in quoted attributes.

    What HTML cannot hold, such as a byte of a file name that is not UTF-8, becomes a replacement character.
    """
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(value)))


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as ``1 error`` or ``1,200 errors``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def colour(number: int) -> str:
    """Return a CSS colour for a number; neighbours differ in hue and in lightness."""
    return f"hsl({(number % _COLOURS * _HUE_STEP + 350) % 360:.0f} 90% {_LIGHTNESS[number % len(_LIGHTNESS)]}%)"

"""Text from a dataset as HTML, and the colours of what is drawn."""

from __future__ import annotations

import html

from trainer_host.base.display import escaped_lines

_COLOURS = 720
_HUE_STEP = 137.5
_LIGHTNESS = (45, 72, 32)


def escaped(value: object) -> str:
    """Return a value as text for HTML, in elements and in quoted attributes.

    What HTML cannot hold, such as a byte of a file name that is not UTF-8, and what could hide something or turn the
    direction of a text is shown as ``\\udc80``.
    """
    return html.escape(escaped_lines(value))


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, such as ``1 error`` or ``1,200 errors``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def colour(number: int) -> str:
    """Return a CSS colour for a number; neighbours differ in hue and in lightness."""
    return f"hsl({(number % _COLOURS * _HUE_STEP + 350) % 360:.0f} 90% {_LIGHTNESS[number % len(_LIGHTNESS)]}%)"

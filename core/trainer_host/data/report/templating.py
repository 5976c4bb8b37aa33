"""The templates of the report: everything that comes from a dataset is escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer_host.base.display import escaped_lines
from trainer_host.base.wording import counted

_COLOURS = 720
_HUE_STEP = 137.5
_LIGHTNESS = (45, 72, 32)


def colour(number: int) -> str:
    """Return a CSS colour for a number; neighbours differ in hue and in lightness."""
    return f"hsl({(number % _COLOURS * _HUE_STEP + 350) % 360:.0f} 90% {_LIGHTNESS[number % len(_LIGHTNESS)]}%)"


def _visible(value: Any) -> Any:
    """Show what HTML cannot hold, such as a byte of a file name that is not UTF-8, or what could hide text."""
    return escaped_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    loader = PackageLoader("trainer_host.data.report")
    found = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "anchor": lambda title: title.lower().replace(" ", "-"),
        "colour": colour,
        "counted": counted,
        "swatch": lambda split: split if split in {"train", "val", "test"} else "other",
        "tenths": lambda number: f"{number:.1f}",
        "thousands": lambda number: f"{number:,}",
    }
    return found


def render(template: str, **values: Any) -> Markup:
    """Return a template of the report with its values, as text that templates do not escape again."""
    return Markup(_environment().get_template(f"{template}.jinja").render(**values))  # noqa: S704 - escaped by jinja

"""The form of model YAMLs: rows, scales and numbers that the engine's parser can read, within limits."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any

from ultralytics.nn import tasks

from trainer_host.base.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PARTS = ("backbone", "head")
STRUCTURE = frozenset({*PARTS, "scales", "scale", "depth_multiple", "width_multiple", "activation", "yaml_file"})
"""Keys of a model YAML that say how to build it, and nothing about a dataset."""
MAX_LAYERS = 2_000
MAX_TEXT = 200
MAX_NUMBER = 1_000_000
MAX_VALUES = 100_000


def channels_of(cfg: Mapping[str, Any]) -> Any:
    """Return the number of channels of an architecture's images, which nothing has checked."""
    return cfg.get("channels", cfg.get("ch", 3))


def malformed(cfg: Mapping[str, Any], where: str | None) -> Problem | None:
    """Return the problem in the form or size of an architecture; None if it can be vetted."""
    if missing := [part for part in PARTS if not rows_of(cfg, part)]:
        what = f"the architecture has no {missing[0]}."
        return Problem(what, "use a model YAML with backbone and head, such as yolo26n.yaml", where)
    rows = [row for part in PARTS for row in rows_of(cfg, part)]
    if (long := next((t for t in _texts(dict(cfg)) if len(t) > MAX_TEXT), None)) is not None:
        return Problem(f"the architecture has a string of {len(long):,} characters: {long[:40]}...", None, where)
    for row in rows:
        if not _is_row(row):
            what = f"invalid row in the architecture: {str(row)[:80]}."
            return Problem(what, "write [from, repeats, layer, [arguments]]", where)
        if (wrong := next((a for a in _texts(row[3]) if not _is_argument(a, cfg)), None)) is not None:
            return Problem(f"invalid argument {wrong!r} of {row[2]} in the architecture.", "write a literal", where)
    if (key := next((k for k, v in cfg.items() if k not in STRUCTURE and not _is_setting(v)), None)) is not None:
        return Problem(f"the key {key!r} of the architecture is neither a number nor text.", None, where)
    if not _are_scales(cfg):
        return Problem(
            "the scales of the architecture are not three numbers each.",
            "write [depth, width, max_channels]",
            where,
        )
    if (number := next((n for n in _numbers(dict(cfg)) if not abs(n) <= MAX_NUMBER), None)) is not None:
        return Problem(f"the architecture has the number {number}.", "use numbers up to a million", where)
    depth = max([*(scale[0] for scale in (cfg.get("scales") or {}).values()), cfg.get("depth_multiple", 1.0)])
    if sum(max(row[1] * depth, 1) for row in rows) > MAX_LAYERS:
        return Problem(f"the architecture has more than {MAX_LAYERS:,} layers.", "use fewer repeats", where)
    return None


def is_number(value: Any) -> bool:
    """Return whether a value is a number."""
    return isinstance(value, (int, float))


def _is_setting(value: Any) -> bool:
    """Return whether a key next to the rows has a value that models use: text, a number, or a few numbers."""
    if isinstance(value, (list, tuple)):
        return len(value) <= 16 and all(map(is_number, value))
    return value is None or is_number(value) or isinstance(value, str)


def _are_scales(cfg: Mapping[str, Any]) -> bool:
    scales = cfg.get("scales") or {}
    if not isinstance(scales, dict) or not all(
        isinstance(v, (list, tuple)) and len(v) == 3 and all(map(is_number, v)) for v in scales.values()
    ):
        return False
    return all(is_number(cfg.get(k, 1.0)) for k in ("depth_multiple", "width_multiple"))


def _is_argument(text: str, cfg: Mapping[str, Any]) -> bool:
    """Return whether a text among a row's arguments is a literal, a plain word, or the name of a key.

    The engine takes the names of its parser's variables for their values, lists of layers among them.
    """
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return text in cfg or text not in PARSER_VARIABLES


PARSER_VARIABLES = frozenset({*tasks.parse_model.__code__.co_varnames, *tasks.parse_model.__code__.co_cellvars})


def rows_of(cfg: Mapping[str, Any], part: str) -> list[Any]:
    """Return the rows of a part, which nothing has checked."""
    found = cfg.get(part)
    return found if isinstance(found, list) else []


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_row(row: Any) -> bool:
    if not (isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str)):
        return False
    return _is_source(row[0]) and _is_int(row[1]) and isinstance(row[3], (list, tuple))


def _is_source(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, (list, tuple)) and bool(value) and all(map(_is_int, value)))


def _leaves(value: Any) -> Iterator[Any]:
    """Yield everything in an architecture that is not a container, keys too; infinity if there are too many."""
    left = [value]
    for _ in range(MAX_VALUES):
        if not left:
            return
        value = left.pop()
        if isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        else:
            yield value
    yield math.inf


def _texts(value: Any) -> Iterator[str]:
    return (leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _numbers(value: Any) -> Iterator[float]:
    """Yield every number in an architecture, also those that are written as text."""
    for leaf in _leaves(value):
        literals = _leaves(_literal(leaf)) if isinstance(leaf, str) else [leaf]
        yield from (literal for literal in literals if is_number(literal))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text

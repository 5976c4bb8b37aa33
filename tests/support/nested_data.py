"""Comparison of nested plain data with tensors, to the bit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

SHOWN = 200
"""Characters of two values that are shown."""
TIMES = frozenset({"elapsed", "results"})
"""Parts of a training state that say how long something took; the table of results is compared without it."""


def differences(one: Any, other: Any, place: str = "", but: Collection[str] = ()) -> list[str]:
    """Return the places at which nested plain data differ; NaN equals NaN.

    Args:
        one: The data.
        other: What they are compared with.
        place: The name of the data.
        but: Keys that are not compared.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if key not in but]
        found = [f"{place}.{key} on one side" for key in keys if (key in one) != (key in other)]
        both = [key for key in keys if key in one and key in other]
        return found + [d for key in both for d in differences(one[key], other[key], f"{place}.{key}", but)]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{place}[{i}]", but)]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride())
        return [] if same and torch.equal(_bits(one), _bits(other)) else [place]
    same = type(one) is type(other) and (one == other or (one != one and other != other))
    return [] if same else [f"{place}: {one!r} and {other!r}"[:SHOWN]]


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().cpu().flatten().view(torch.uint8)

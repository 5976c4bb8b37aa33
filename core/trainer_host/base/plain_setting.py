"""Values of settings that a program gives, as a settings file could hold them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def plain_setting(key: str, value: Any) -> Any:
    """Return the value of a setting without paths and types of NumPy and torch."""
    if isinstance(value, Path):
        # ``Path("./here")`` is ``here``: that a project is a path is known from its type alone.
        return os.path.join(os.curdir, value) if key == "project" else str(value)  # noqa: PTH118
    if isinstance(value, (set, frozenset, range)):
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    package = type(value).__module__.partition(".")[0]
    if package in {"numpy", "torch"} and callable(getattr(value, "tolist", None)):
        return value.tolist()
    return str(value) if package == "torch" and type(value).__name__ == "device" else value

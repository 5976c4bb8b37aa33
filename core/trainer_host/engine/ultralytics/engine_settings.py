"""The engine's settings and their defaults, read without importing the engine."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from trainer_host.base.errors import EnvironmentProblemError, Problem
from trainer_host.version import ENGINE_WINDOW

EXTRA_KEYS = frozenset({"augmentations", "save_dir"})
"""Keys that the engine takes though its defaults do not name them."""

HOST_KEYS = frozenset({"mode", "task"})
"""Keys that the host sets itself."""


def engine_folder() -> Path:
    """Return the folder of the installed engine.

    Raises:
        EnvironmentProblemError: If it is not installed.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or spec.origin is None:
        fix = f'pip install "ultralytics{ENGINE_WINDOW}"'
        raise EnvironmentProblemError(Problem("ultralytics is not installed.", fix))
    return Path(spec.origin).parent


@cache
def engine_defaults() -> dict[str, Any]:
    """Return the engine's settings with their defaults."""
    text = (engine_folder() / "cfg" / "default.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if it is built
    loaded: dict[str, Any] = yaml.load(text, loader)  # noqa: S506
    return loaded


@cache
def engine_comments() -> dict[str, str]:
    """Return the engine's comments on its settings."""
    text = (engine_folder() / "cfg" / "default.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+):[^#\n]*#[ ]*(.*)$", text, re.MULTILINE))


def engine_keys() -> frozenset[str]:
    """Return the keys that a user may give."""
    return (frozenset(engine_defaults()) | EXTRA_KEYS) - HOST_KEYS

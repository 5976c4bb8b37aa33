"""The engine of a task."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_host.engine.protocol import Engine

DEFAULT = "trainer_host.engine.ultralytics.engine:UltralyticsEngine"
"""Engine of a task that does not name one, and of settings whose task is not known yet, as ``module:class``."""


@cache
def make_engine(target: str | None = None) -> Engine:
    """Return an engine; its library is not imported.

    Args:
        target: The class, as ``module:class``; None for the default.
    """
    module, _, name = (target or DEFAULT).partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)()
    return engine

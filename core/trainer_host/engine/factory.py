"""The engine of a task."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from trainer_host.engine.protocol import Engine

DEFAULT = "trainer_host.engine.ultralytics.engine:UltralyticsEngine"
"""Engine of a task that does not name one, as ``module:class``."""


@cache
def make_engine(target: str) -> Engine:
    """Return the engine of a class, given as ``module:class``; its library is not imported.

    Raises:
        PluginError: If there is no such class, or if it cannot be made.
    """
    module, _, name = target.partition(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), name)()
    except Exception as error:  # whatever the module of a plugin raises
        what = f"cannot make the engine {target!r}: {type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        raise PluginError(Problem(f"{what}.", "correct TaskSpec.engine, as module:Class")) from error
    return engine


def default_engine() -> Engine:
    """Return the engine of whatever concerns no task, and of tasks that name none."""
    return make_engine(DEFAULT)

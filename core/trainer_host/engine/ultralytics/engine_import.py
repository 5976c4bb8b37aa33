"""Importing the engine, which reads some of its switches at that moment."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.gc_pause import gc_paused
from trainer_host.engine.process_state import engine_import
from trainer_host.engine.ultralytics.release_window import require_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

WORLD = "WORLD_SIZE"
"""The variable by which the engine knows, when it is imported, that it is to train in several processes."""


@contextmanager
def engine_switches() -> Iterator[None]:
    """Have the engine, if it is imported meanwhile, install no packages and make no requests by itself.

    What the user asks for by name is still fetched: downloads do not ask the engine's flag. The environment is left as
    it was. An engine that was imported before keeps the switches of that time.

    Nor does it learn that the process is one of several: it would seed, log and divide by itself.
    """
    # Installing packages can be switched on again; requests that the user did not ask for cannot.
    switches = {"YOLO_AUTOINSTALL": os.environ.get("YOLO_AUTOINSTALL", "false"), "YOLO_OFFLINE": "true"}
    kept = {key: os.environ.get(key) for key in (*switches, WORLD)}
    os.environ.update(switches)
    os.environ.pop(WORLD, None)
    try:
        yield
    finally:
        for key, value in kept.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def import_engine() -> None:
    """Import the engine so that it installs no packages and makes no requests by itself.

    Raises:
        EnvironmentProblemError: If it is not installed, or lacks names that the host uses.
    """
    if "ultralytics" in sys.modules:
        return
    require_engine()
    with engine_switches(), gc_paused(), engine_import():
        importlib.import_module("ultralytics.utils.checks")

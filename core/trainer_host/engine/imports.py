"""Importing the engine, which reads some of its switches at that moment."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def paused_collection() -> Iterator[None]:
    """Collect no garbage for a while: importing makes many objects, all of them to stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def import_engine(offline: bool = False) -> None:
    """Import the engine so that it installs no packages, and uses no network in an offline run.

    Where somebody has imported it before, the switches are as they set them. The environment is left as it was.

    Args:
        offline: Whether the engine may not use a network.
    """
    if "ultralytics" in sys.modules:
        return
    switches = {"YOLO_AUTOINSTALL": os.environ.get("YOLO_AUTOINSTALL", "false")}
    if offline:
        switches["YOLO_OFFLINE"] = "true"
    kept = {key: os.environ.get(key) for key in switches}
    os.environ.update(switches)
    try:
        with paused_collection():
            importlib.import_module("ultralytics.utils.checks")
    finally:
        for key, value in kept.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value

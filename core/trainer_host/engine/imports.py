"""Importing the engine, which reads some of its switches at that moment."""

from __future__ import annotations

import importlib
import os
import sys

from trainer_host.base.collection import paused_collection


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

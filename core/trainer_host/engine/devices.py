"""The device of a run, where the engine takes another than the one that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.utils import LOGGER

if TYPE_CHECKING:
    from trainer_host.base.protocols import Device


def warn_of_fallback(asked: Any, device: Device) -> None:
    """Log that a device is not available, for which the engine takes the CPU without a word: Apple's."""
    if str(asked or "").lower().partition(":")[0] == "mps" and device.type != "mps":
        LOGGER.warning(f"device={asked} is not available on this machine: using {device}. Fix: device=cpu")

"""Devices on which pose models are known to have faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import RunContext

FAULTY = "mps"
"""Apple's device."""
MESSAGE = "device=mps: pose models are known to predict wrong keypoints on Apple GPUs."
FIX = "use device=cpu, or compare the results with those of device=cpu"


def is_faulty(ctx: RunContext) -> bool:
    """Return whether a run was asked to use such a device, or uses it."""
    asked = str(getattr(ctx.args, "device", None) or "").lower()
    return FAULTY in {asked.partition(":")[0], getattr(ctx.device, "type", None)}


def warn_of_device(ctx: RunContext) -> None:
    """Log a warning of the device."""
    from ultralytics.utils import LOGGER

    if is_faulty(ctx):
        LOGGER.warning(f"{MESSAGE} Fix: {FIX}")


def check_device(ctx: RunContext) -> Iterator[Finding]:
    """Yield a warning of the device, which is shown with what the checks of the dataset find."""
    if is_faulty(ctx):
        yield Finding("device-faults", MESSAGE, FIX, severity="warning")

"""Checks of device and precision, on which the engine would fail with a traceback or say nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import LOGGER

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.ultralytics.settings_validation import several_devices

if TYPE_CHECKING:
    from trainer_host.base.ranks import Ranks
    from trainer_host.base.type_aliases import Device

GPU = re.compile(r"cuda|(cuda:)?-?\d+")
HALF = frozenset({"16", "fp16"})
OF_ENGINE = re.compile(r"|none|cpu|(npu|xpu).*")
"""Devices of which the engine itself says what is missing."""


def refuse_device(device: Any) -> None:
    """Refuse a ``device`` that is unknown or missing here, and for which the engine would crash or use the CPU.

    Raises:
        SettingsError: If it is one.
    """
    if several_devices(device) or isinstance(device, torch.device):
        return  # several are refused in `refuse_several_devices`
    if isinstance(device, (list, tuple)):
        device = device[0] if device else ""
    name = str("" if device is None else device).strip().lower()
    if OF_ENGINE.fullmatch(name):
        return
    if GPU.fullmatch(name):
        # A number that is too large may be one that CUDA_VISIBLE_DEVICES has; the engine knows.
        why = "" if torch.cuda.is_available() and torch.cuda.device_count() else "CUDA finds no GPU"
    elif name in {"mps", "mps:0"}:
        return  # without one the engine uses the CPU, and a warning says so
    else:
        fix = "write device=cpu, device=0 for the first GPU, or device=mps on a Mac"
        raise SettingsError(Problem(f"device={device}: unknown device.", fix))
    if why:
        raise SettingsError(Problem(f"device={device}: {why}.", "remove it, or write device=cpu"))


def warn_of_fallback(asked: Any, device: Device) -> None:
    """Warn if the engine silently falls back to the CPU, as it does for Apple's GPU."""
    if str(asked or "").lower().partition(":")[0] == "mps" and device.type != "mps":
        LOGGER.warning(f"device={asked} is not available on this machine: using {device}. Fix: device=cpu")


def warn_of_precision(quantize: Any, device: Device) -> None:
    """Warn that a trained model computes with 32 bits on a CPU whatever the setting: the engine does not say so."""
    if str(quantize) in HALF and device.type == "cpu":
        LOGGER.warning(f"quantize={quantize} has no effect on a CPU, which computes with 32 bits.")


def device_of_rank(device: Any, ranks: Ranks) -> Any:
    """Return the ``device`` setting of a process of several, of which each machine's have one device each.

    Raises:
        SettingsError: If there are fewer devices than processes.
    """
    names = device if isinstance(device, (list, tuple)) else str("" if device is None else device).split(",")
    names = [str(name).strip().removeprefix("cuda:") for name in names]
    if ranks.world_size == 1 or names[0] == "cpu" or not torch.cuda.is_available():
        return device
    if names in ([""], ["cuda"]):
        names = [str(number) for number in range(torch.cuda.device_count())]
    if len(names) == 1 and ranks.local_world_size > 1 and torch.cuda.device_count() == 1:
        return names[0]  # a scheduler that shows each process its own device only
    if ranks.local_rank >= len(names):
        what = f"device={device}: {ranks.local_world_size} processes of this machine, {len(names)} devices."
        raise SettingsError(Problem(what, f"start {len(names)} processes, or name as many devices"))
    return names[ranks.local_rank]


def refuse_several_devices(device: Any) -> None:
    """Refuse a ``device`` setting that names more than one.

    Raises:
        SettingsError: If it does.
    """
    if several_devices(device):
        raise SettingsError(
            Problem(f"device={device}: training on several devices is not supported yet.", "name one (device=0)")
        )


def refuse_quantization(quantize: Any) -> None:
    """Refuse to train with fake quantization: the state that it leaves in checkpoints can only be read by executing it.

    Raises:
        SettingsError: If it is set.
    """
    if str(quantize) == "8":
        fix = "train without it, and quantize the model when you export it"
        raise SettingsError(Problem("quantize=8 is not supported in training.", fix))

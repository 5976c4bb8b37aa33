"""Checks of device and precision, on which the engine would fail with a traceback or say nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import LOGGER

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.ultralytics.settings_validation import several_devices

if TYPE_CHECKING:
    from trainer_host.base.type_aliases import Device

GPU = re.compile(r"cuda|(cuda:)?-?\d+")
HALF = frozenset({"16", "fp16"})
PROCESSOR = Path("/proc/cpuinfo")
PROCESSOR_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Features of processors that compute in bfloat16: of x86, and the last one of ARM."""
OF_ENGINE = re.compile(r"|none|cpu|(npu|xpu).*")
"""Devices of which the engine itself says what is missing."""


def refuse_device(device: Any) -> None:
    """Refuse a ``device`` that is unknown or missing here, and for which the engine would crash or use the CPU.

    Raises:
        SettingsError: If it is one.
    """
    if several_devices(device) or isinstance(device, torch.device):
        return  # several are given to one process each, or refused in `refuse_several_devices`
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


def refuse_bfloat16(amp: Any, device: Device) -> None:
    """Refuse to train in bfloat16 on a processor that has no instructions for it, where it would be slower.

    Raises:
        SettingsError: If it has none, or if the system does not say so.
    """
    if amp != "bf16" or device.type != "cpu" or PROCESSOR_BFLOAT16 & processor_features():
        return
    what = "amp=bf16 needs a GPU or a processor that computes in bfloat16 (AVX512-BF16, AMX-BF16)."
    raise SettingsError(Problem(what, "write amp=True, which uses fp16 on a GPU and fp32 on a CPU"))


def processor_features(file: Path = PROCESSOR) -> frozenset[str]:
    """Return the features of the processor by the names of Linux; none on other systems, which do not list them."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(lines[1].split()) if lines else frozenset()


def refuse_several_devices(device: Any) -> None:
    """Refuse a ``device`` setting that names more than one.

    Raises:
        SettingsError: If it does.
    """
    if several_devices(device):
        raise SettingsError(
            Problem(
                f"device={device}: a trainer class does not train on several devices.",
                f"name one (device=0), or use trainer run device={device}",
            )
        )


def refuse_quantization(quantize: Any) -> None:
    """Refuse to train with fake quantization: the state that it leaves in checkpoints can only be read by executing it.

    Raises:
        SettingsError: If it is set.
    """
    if str(quantize) == "8":
        fix = "train without it, and quantize the model when you export it"
        raise SettingsError(Problem("quantize=8 is not supported in training.", fix))

"""Random number generators of a training, as plain data and tensors."""

from __future__ import annotations

from typing import Any

import torch

from trainer_host.engine.ultralytics.held_generators import PROCESS, plain_states, set_plain_states


def generator_states(device: torch.device) -> dict[str, Any]:
    """Return the states of the generators of the process and of a device."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"process": plain_states(PROCESS), "device": on_device}


def set_generator_states(states: dict[str, Any], device: torch.device) -> None:
    """Put all generators into these states."""
    set_plain_states(PROCESS, states["process"], "process")
    if states["device"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)

"""Numbers that a loss changes while it trains, such as the weights of the two heads of an end-to-end model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.engine.ultralytics.plugin_losses import JoinedLoss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Module

NUMBERS = (bool, int, float, np.generic)
OF_MODULES = frozenset({"training"})
"""Attributes of a loss that is a module which its model sets."""


def loss_state(model: Module) -> dict[str, Any] | None:
    """Return the state of a model's loss; None if the model has none yet, as before its first batch.

    What else a plugin's loss keeps is for the plugin's hook `state_dict`.
    """
    if (loss := _loss(model)) is None:
        return None
    attributes = getattr(loss, "__dict__", {})
    numbers = {k: v for k, v in attributes.items() if isinstance(v, NUMBERS) and k not in OF_MODULES}
    tensors = loss.state_dict() if isinstance(loss, torch.nn.Module) else {}
    return {"numbers": numbers, "tensors": dict(tensors)}


def set_loss_state(model: Any, state: Mapping[str, Any] | None) -> None:
    """Restore the state of a model's loss, which is made if the model has none yet."""
    if state is None:
        return
    if getattr(model, "criterion", None) is None and hasattr(model, "init_criterion"):
        model.criterion = model.init_criterion()
    if (loss := _loss(model)) is None:
        return
    for name, number in state["numbers"].items():
        if name in loss.__dict__:
            setattr(loss, name, number)
    if state["tensors"]:
        loss.load_state_dict(state["tensors"])


def _loss(model: Any) -> Any:
    """Return the loss that the engine or a plugin made, without the terms that plugins add."""
    loss = getattr(model, "criterion", None)
    return loss.base if isinstance(loss, JoinedLoss) else loss

"""A step of the optimizer: `BaseTrainer.optimizer_step`, lines 909 to 920 of ultralytics 8.4.190.

Re-implemented because gradients that are not finite have to be noticed before they reach the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trainer_host.engine.ultralytics.not_finite import NotFiniteError
from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

MAX_NORM = 10.0


@reimplements("engine/trainer.py", "BaseTrainer.optimizer_step", "4a4719685c70")
def optimizer_step(trainer: HostTrainer) -> None:
    """Clip the gradients, step, and update the EMA.

    Raises:
        NotFiniteError: If a gradient is NaN or infinite. With fp16 the scaler skips such a step and lowers its scale,
            which is part of how it works.
    """
    trainer.scaler.unscale_(trainer.optimizer)
    foreach = False if trainer.device.type == "npu" else None
    norm = torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), max_norm=MAX_NORM, foreach=foreach)
    watched = not trainer.host_run.drop_in and not trainer.scaler.is_enabled()
    if watched and not bool(norm.isfinite()):
        raise NotFiniteError("gradients")
    trainer.scaler.step(trainer.optimizer)
    trainer.scaler.update()
    trainer.optimizer.zero_grad()
    if trainer.ema:
        trainer.ema.update(trainer.model)

"""The state of a training: captured as plain data, and restored in place."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.loop_state import LoopState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

PLAIN = ("metrics", "fitness", "best_fitness", "tloss", "loss", "loss_items", "loss_names")


def capture(trainer: HostTrainer, generators: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the state of a training."""
    model = unwrap_model(trainer.model)
    return deepcopy(
        {
            "loop": asdict(trainer.loop),
            "model": dict(model.state_dict()),
            "ema": dict(trainer.ema.ema.state_dict()),
            "updates": trainer.ema.updates,
            "gradients": {k: p.grad for k, p in model.named_parameters() if p.grad is not None},
            "criteria": [_numbers(m) for m in (model, trainer.ema.ema)],
            "optimizer": trainer.optimizer.state_dict(),
            "scaler": trainer.scaler.state_dict(),
            "scheduler": {k: v for k, v in trainer.scheduler.state_dict().items() if k != "lr_lambdas"},
            "stopper": dict(vars(trainer.stopper)),
            "values": {k: _plain(getattr(trainer, k, None)) for k in PLAIN},
            "generators": generators or generator_states(trainer.device),
        }
    )


def restore(trainer: HostTrainer, content: Mapping[str, Any]) -> None:
    """Put a training into a state."""
    content = deepcopy(dict(content))
    model = unwrap_model(trainer.model)
    trainer.loop = LoopState(**content["loop"])
    for module, numbers in zip((model, trainer.ema.ema), content["criteria"], strict=True):
        if numbers and module.criterion is None:
            module.criterion = module.init_criterion()
        vars(module.criterion).update(numbers) if numbers else None
    with torch.no_grad():
        for part, saved in ((model, content["model"]), (trainer.ema.ema, content["ema"])):
            for name, value in part.state_dict().items():
                value.copy_(saved[name])
    trainer.ema.updates = content["updates"]
    for name, parameter in model.named_parameters():
        saved = content["gradients"].get(name)
        parameter.grad = None if saved is None else saved.to(parameter.device)
    trainer.optimizer.load_state_dict(content["optimizer"])
    trainer.scaler.load_state_dict(content["scaler"])
    trainer.scheduler.load_state_dict(
        {**content["scheduler"], "lr_lambdas": [None] * len(trainer.scheduler.lr_lambdas)}
    )
    vars(trainer.stopper).update(content["stopper"])
    for name, value in content["values"].items():
        setattr(trainer, name, tuple(value) if name == "loss_names" else value)
    set_generator_states(content["generators"], trainer.device)


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else float(value) if hasattr(value, "item") else value


def _numbers(model: Any) -> dict[str, Any]:
    criterion = getattr(model, "criterion", None)
    return {k: v for k, v in vars(criterion).items() if type(v) in {int, float}} if criterion is not None else {}

"""Writing checkpoints: `BaseTrainer.save_model`, lines 768 to 837 of ultralytics 8.4.190.

Re-implemented because the engine writes in place, has no place for a record of ours, and pickles classes of plugins.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import torch
from ultralytics import __version__
from ultralytics.utils import GIT
from ultralytics.utils.torch_utils import (
    convert_optimizer_state_dict_to_fp16,
    qat_state,
    strip_qat,
    unwrap_model,
)

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.contexts import RunContext
from trainer_host.engine.checkpoint.record import RECORD
from trainer_host.engine.checkpoint.writing import notice
from trainer_host.engine.plugin_states import PLUGIN_STATES, states
from trainer_host.engine.ultralytics.checkpoints import as_state, foreign_classes, make_record, serialise
from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


@reimplements("engine/trainer.py", "BaseTrainer.save_model", "e425ee369cc6")
def save_model(trainer: HostTrainer) -> bool:
    """Write ``last.pt``, and ``best.pt`` and ``epochN.pt`` when they are due, each atomically."""
    same = not _repair_ema(trainer)
    chain = trainer.host_run.chain
    record = make_record(chain, trainer.data)
    if kept := states(chain, trainer.context(RunContext)):
        record[PLUGIN_STATES] = kept
    ema = trainer.ema.ema
    content = _training_state(trainer)
    if foreign_classes(ema):
        record |= as_state(ema, chain)
        content |= {"model": notice(record), "ema": None, "modelopt": None, RECORD: record}
    else:
        content |= {"model": None, "ema": _snapshot(ema), "modelopt": qat_state(ema), RECORD: record}
    data = serialise(content, chain)
    atomic_write(trainer.last, data)
    written = [trainer.last]
    if trainer.best_fitness == trainer.fitness:
        atomic_write(trainer.best, data)
        written.append(trainer.best)
        trainer.kept.saved_best(trainer, same)
    trainer.held.hold(written, content)
    if trainer.save_period > 0 and trainer.epoch % trainer.save_period == 0:
        atomic_write(trainer.wdir / f"epoch{trainer.epoch}.pt", data)
    return True


def _repair_ema(trainer: HostTrainer) -> bool:
    """Replace values of the EMA that a passing NaN has poisoned by those of the live model; return whether any is."""
    state = trainer.ema.ema.state_dict()
    live, poisoned = None, False
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
            poisoned = True
            live = live or unwrap_model(trainer.model).state_dict()
            if torch.isfinite(live[name]).all():
                value.copy_(live[name])
    return poisoned


def _snapshot(ema: Any) -> Module:
    """Return the model in half precision, as the ecosystem stores it, without its loss."""
    loss = getattr(ema, "criterion", None)
    ema.criterion = None  # it may refer to the whole run, which does not belong in a checkpoint
    try:
        model: Module = deepcopy(ema).half().to(memory_format=torch.contiguous_format)
    finally:
        ema.criterion = loss
    for value in model.state_dict().values():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            torch.nan_to_num_(value)
    strip_qat(model)
    return model


def _training_state(trainer: HostTrainer) -> dict[str, Any]:
    return {
        "epoch": trainer.epoch,
        "best_fitness": trainer.best_fitness,
        "stopper": {"best_fitness": trainer.stopper.best_fitness, "best_epoch": trainer.stopper.best_epoch},
        "updates": trainer.ema.updates,
        "optimizer": convert_optimizer_state_dict_to_fp16(deepcopy(trainer.optimizer.state_dict())),
        "scaler": trainer.scaler.state_dict(),
        "train_args": vars(trainer.args),
        "train_metrics": {**(trainer.metrics or {}), "fitness": trainer.fitness},
        "train_results": trainer.read_results_csv(),
        "date": datetime.now().astimezone().isoformat(),
        "version": __version__,
        "git": {k: str(getattr(GIT, k)) for k in ("root", "branch", "commit", "message", "origin")},
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }

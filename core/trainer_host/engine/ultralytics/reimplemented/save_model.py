"""Writing checkpoints: `BaseTrainer.save_model`, lines 768 to 837 of ultralytics 8.4.190.

Restated because the engine writes in place, has no place for a record of ours, and pickles classes of plugins.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import torch
from ultralytics import __version__
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import GIT
from ultralytics.utils.torch_utils import (
    convert_optimizer_state_dict_to_fp16,
    qat_state,
    strip_qat,
    unwrap_model,
)

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.contexts import RunContext
from trainer_host.engine.checkpoint.record import RECORD, make_record
from trainer_host.engine.checkpoint.writing import as_state, foreign_classes, notice, serialise
from trainer_host.engine.plugin_states import PLUGIN_STATES, states
from trainer_host.engine.ultralytics.reimplemented import restates

if TYPE_CHECKING:
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

SHA256 = "47f61ede98e6f12be3d53811bf444ebbe41ce89241f7f455b0758a98505bf31c"


@restates(BaseTrainer.save_model, SHA256)
def save_model(trainer: HostTrainer) -> bool:
    """Write ``last.pt``, and ``best.pt`` and ``epochN.pt`` where they are due, each whole or not at all."""
    _mend_average(trainer)
    chain = trainer.host_run.chain
    record = make_record(chain, trainer.data)
    if kept := states(chain, trainer.context(RunContext)):
        record[PLUGIN_STATES] = kept
    average = trainer.ema.ema
    content = _training_state(trainer)
    if foreign_classes(average):
        record |= as_state(average, chain)
        content |= {"model": notice(record), "ema": None, "modelopt": None, RECORD: record}
    else:
        content |= {"model": None, "ema": _snapshot(average), "modelopt": qat_state(average), RECORD: record}
    data = serialise(content, chain)
    atomic_write(trainer.last, data)
    if trainer.best_fitness == trainer.fitness:
        atomic_write(trainer.best, data)
    if trainer.save_period > 0 and trainer.epoch % trainer.save_period == 0:
        atomic_write(trainer.wdir / f"epoch{trainer.epoch}.pt", data)
    return True


def _mend_average(trainer: HostTrainer) -> None:
    """Take over from the live model whatever a passing NaN has poisoned in the moving average."""
    state = trainer.ema.ema.state_dict()
    live = None
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
            live = live or unwrap_model(trainer.model).state_dict()
            if torch.isfinite(live[name]).all():
                value.copy_(live[name])


def _snapshot(average: Any) -> Any:
    """Return the model in half precision, as the ecosystem stores it, without its loss."""
    loss = getattr(average, "criterion", None)
    average.criterion = None  # it may hold on to the whole run, and belongs to no checkpoint
    try:
        model = deepcopy(average).half().to(memory_format=torch.contiguous_format)
    finally:
        average.criterion = loss
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

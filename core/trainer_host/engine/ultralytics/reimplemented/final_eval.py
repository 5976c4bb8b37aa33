"""The final evaluation: `BaseTrainer.final_eval` (lines 1005 to 1022 of ``engine/trainer.py``) and `strip_optimizer`
(lines 895 to 960 of ``utils/torch_utils.py``), ultralytics 8.4.190.

Re-implemented because the engine rewrites both checkpoints in place, and unpickles them without a check.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils import DEFAULT_CFG_KEYS, LOGGER

from trainer_host.base.atomic_io import atomic_write
from trainer_host.engine.checkpoint.writing import notice
from trainer_host.engine.ultralytics.checkpoints import read_checkpoint, serialise
from trainer_host.engine.ultralytics.model_loading import fill_model
from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

TRAINING_ONLY = ("optimizer", "best_fitness", "stopper", "ema", "updates", "scaler")


@reimplements("engine/trainer.py", "BaseTrainer.final_eval", "3f6e35cb21d6")
def final_eval(trainer: HostTrainer) -> None:
    """Strip both checkpoints of what only training needs, and evaluate the best one."""
    group = trainer.host_run.group
    trainer.kept.settle(trainer)
    if group.ranks.is_first:
        _finish_checkpoints(trainer)
    if not group.broadcast(trainer.wrote(trainer.best)):  # the others may not see its folder
        return
    if trainer.ranks is not None and trainer.kept.epoch is None:
        trainer.ranks.epoch.receive_best()
    if trainer.kept.epoch is None:
        LOGGER.info(f"\nValidating {trainer.best}...")
    else:
        LOGGER.info(f"\nEvaluation of {trainer.best}, from epoch {trainer.kept.epoch}:")
    trainer.metrics = trainer.final_metrics()
    trainer.metrics.pop("fitness", None)
    trainer.epoch += 1  # the engine's loggers expect the final values at one step more
    trainer.run_callbacks("on_fit_epoch_end")
    trainer.epoch -= 1


def _finish_checkpoints(trainer: HostTrainer) -> None:
    last, best = trainer.last, trainer.best
    held = trainer.held.content(best)
    equal = held is not None and held is trainer.held.content(last)  # the last epoch is the best
    content, data = finish_checkpoint(trainer, last) if trainer.wrote(last) else ({}, b"")
    if not trainer.wrote(best):
        return
    if equal and data:
        atomic_write(best, data)
    else:
        content, _ = finish_checkpoint(trainer, best, train_results=content.get("train_results"))
    if held is not None and held["ema"] is not None and trainer.kept.epoch is None:
        trainer.held.hold_trained(best, content)


@reimplements("utils/torch_utils.py", "strip_optimizer", "7e2384d07638")
def finish_checkpoint(trainer: HostTrainer, path: Path, **updates: Any) -> tuple[dict[str, Any], bytes]:
    """Rewrite a checkpoint as a trained model: half precision, no optimizer, no loss. Return its content and bytes."""
    content = _content(trainer, path)
    content |= dict.fromkeys(TRAINING_ONLY) | {"epoch": -1} | updates
    content["train_args"] = {k: v for k, v in content["train_args"].items() if k in DEFAULT_CFG_KEYS}
    atomic_write(path, data := serialise(content, trainer.host_run.chain))
    return content, data


def _content(trainer: HostTrainer, path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint with its trained model: from memory, or from the file if it is not there."""
    if (held := trainer.held.content(path)) is not None:
        model = held["ema"]
        if model is None:
            return dict(held)  # stored as a state dict, next to a stand-in
        if hasattr(model, "args"):
            model.args = dict(model.args)
        return {**held, "model": _frozen(model)}
    checkpoint = read_checkpoint(path)
    content = checkpoint.content
    content["model"] = notice(checkpoint.record) if checkpoint.in_state_form else _trained(trainer, checkpoint)
    return content


def _trained(trainer: HostTrainer, checkpoint: Checkpoint) -> Any:
    """Return the model of a checkpoint of this run: a copy of the one in memory, with the file's tensors."""
    model: Any = trainer.ema.ema
    if isinstance(model, DistillationModel):
        model._remove_feature_hooks()
        model = model.student_model
    loss, model.criterion = getattr(model, "criterion", None), None  # it may hold the whole run
    try:
        trained = deepcopy(model)
    finally:
        model.criterion = loss
    if hasattr(trained, "args"):
        trained.args = dict(trained.args)
    fill_model(trained, checkpoint)
    return _frozen(trained.half())


def _frozen(model: Any) -> Any:
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model

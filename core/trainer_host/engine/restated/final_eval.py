"""The last measurement: `BaseTrainer.final_eval` (lines 1005 to 1022 of ``engine/trainer.py``) and `strip_optimizer`
(lines 895 to 960 of ``utils/torch_utils.py``), ultralytics 8.4.190.

Restated because the engine rewrites both checkpoints in place, and unpickles them without a check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG_KEYS, LOGGER
from ultralytics.utils.torch_utils import strip_optimizer

from trainer_host.base.data import write_whole
from trainer_host.engine.checkpoints import Checkpoint, read_checkpoint, serialise
from trainer_host.engine.restated import restates

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.engine.trainer import HostTrainer

FINAL_SHA256 = "398e74e935f3478962a7c7258e2be9ec6ce0dea676d5b1540ab971e5fb7f7d7c"
STRIP_SHA256 = "ff25c3f06964d9581bc572738fe28fc66147dd5dd888a27294c965540781dff8"
TRAINING_ONLY = ("optimizer", "best_fitness", "stopper", "ema", "updates", "scaler")


@restates(BaseTrainer.final_eval, FINAL_SHA256)
def final_eval(trainer: HostTrainer) -> None:
    """Strip both checkpoints of what only training needs, and measure the best one."""
    results = finish_checkpoint(trainer, trainer.last).get("train_results") if trainer.last.exists() else None
    if not trainer.best.exists():
        return
    finish_checkpoint(trainer, trainer.best, train_results=results)
    LOGGER.info(f"\nValidating {trainer.best}...")
    trainer.metrics = trainer.final_metrics()
    trainer.metrics.pop("fitness", None)
    trainer.epoch += 1  # the engine's loggers expect the final figures at one step more
    trainer.run_callbacks("on_fit_epoch_end")
    trainer.epoch -= 1


@restates(strip_optimizer, STRIP_SHA256)
def finish_checkpoint(trainer: HostTrainer, path: Path, **updates: Any) -> dict[str, Any]:
    """Rewrite a checkpoint as a finished model: half precision, no optimizer, no loss. Return its content."""
    checkpoint = read_checkpoint(path)
    content = checkpoint.content
    if checkpoint.module is not None:
        content["model"] = _finished(checkpoint)
    content |= dict.fromkeys(TRAINING_ONLY) | {"epoch": -1} | updates
    content["train_args"] = {k: v for k, v in content["train_args"].items() if k in DEFAULT_CFG_KEYS}
    write_whole(path, serialise(content, trainer.plan.chain))
    return content


def _finished(checkpoint: Checkpoint) -> Any:
    from ultralytics.nn.distill_model import DistillationModel

    model: Any = checkpoint.module
    if isinstance(model, DistillationModel):
        model._remove_feature_hooks()
        model = model.student_model
    if hasattr(model, "args"):
        model.args = dict(model.args)
    if hasattr(model, "criterion"):
        model.criterion = None
    model.half()
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model

"""Recovery from the last checkpoint: `BaseTrainer._handle_nan_recovery` (lines 1088 to 1126) and `check_resume` (lines
1021 to 1069 of ``engine/trainer.py``), ultralytics 8.4.190.

Re-implemented because both unpickle the checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.cfg import get_cfg
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER
from ultralytics.utils.checks import check_file
from ultralytics.utils.files import get_latest_run
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.errors import UnsafeError
from trainer_host.engine.ultralytics.checkpoints import STUDENT, read_checkpoint
from trainer_host.engine.ultralytics.reimplemented import reimplements
from trainer_host.engine.ultralytics.reimplemented.load_model import HeldTensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

MAX_ATTEMPTS = 3
MAY_CHANGE = frozenset(
    {
        "imgsz",
        "batch",
        "device",
        "close_mosaic",
        "augmentations",
        "save_period",
        "workers",
        "cache",
        "patience",
        "time",
        "freeze",
        "val",
        "plots",
        "channels_last",
        "distill_model",
        "save_dir",
    }
)
"""Settings that the caller of a resumed training may change; the others come from the checkpoint."""
NOT_COMPARED = frozenset({"model", "data", "mode", "resume", "pretrained"})


@reimplements("engine/trainer.py", "BaseTrainer._handle_nan_recovery", "afd602ef196e")
def recover(trainer: HostTrainer, epoch: int) -> bool:
    """Load the last checkpoint if loss or fitness are not finite; return whether that was done.

    Raises:
        RuntimeError: If there is no checkpoint, or after too many attempts.
    """
    lost = trainer.loss is not None and not bool(trainer.loss.isfinite())
    if not lost and (trainer.fitness is None or bool(np.isfinite(trainer.fitness))):
        return False
    reason = "Loss NaN/Inf" if lost else "Fitness NaN/Inf"
    if epoch == trainer.start_epoch:
        LOGGER.warning(f"{reason} detected in the first epoch: there is no checkpoint to go back to.")
        return False
    if not trainer.last.exists():
        raise RuntimeError(f"{reason} detected, and {trainer.last} does not exist")
    trainer.nan_recovery_attempts += 1
    if trainer.nan_recovery_attempts > MAX_ATTEMPTS:
        raise RuntimeError(f"Training failed: NaN persisted for {trainer.nan_recovery_attempts} epochs")
    attempt = f"attempt {trainer.nan_recovery_attempts} of {MAX_ATTEMPTS}"
    LOGGER.warning(f"{reason} detected: going back to {trainer.last} ({attempt}).")
    trainer._model_train()  # before tensors are loaded: those of inference mode cannot be changed
    checkpoint = read_checkpoint(trainer.last)
    held = HeldTensors(checkpoint)
    model = unwrap_model(trainer.model)
    saved = checkpoint.model
    if saved is not None and saved.part(STUDENT):  # without the teacher, which does not change
        for part in (STUDENT, "projector"):
            getattr(model, part).load_state_dict(checkpoint.tensors(saved.part(part)))
    else:
        model.load_state_dict(held.state_dict())
    trainer._load_checkpoint_state({**checkpoint.content, "ema": held})
    trainer.scheduler.last_epoch = epoch - 1
    return True


@reimplements("engine/trainer.py", "BaseTrainer.check_resume", "e3a45a0b6826")
def check_resume(trainer: HostTrainer, overrides: Mapping[str, Any]) -> None:
    """Take the settings of the checkpoint that a training is resumed from.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        UnsafeError: If loading it in full could execute arbitrary code.
    """
    resume = trainer.args.resume
    trainer.resume = bool(resume)
    if not resume:
        return
    try:
        exists = isinstance(resume, (str, Path)) and Path(resume).exists()
        last = Path(check_file(resume) if exists else get_latest_run())
        settings = read_checkpoint(last).settings
    except UnsafeError:
        raise
    except Exception as error:
        what = f"Resume checkpoint not found or not readable ({error}). Give one: resume=path/to/last.pt"
        raise FileNotFoundError(what) from error
    kept = {**DEFAULT_CFG_DICT, **settings}
    if trainer.args.data:
        kept["data"] = trainer.args.data
    trainer.args = get_cfg({k: v for k, v in kept.items() if k in DEFAULT_CFG_DICT or k in MAY_CHANGE})
    trainer.args.model = trainer.args.resume = str(last)
    ignored = []
    for key, value in overrides.items():
        if key in MAY_CHANGE:
            setattr(trainer.args, key, value)
        elif key not in NOT_COMPARED and value != getattr(trainer.args, key, None):
            ignored.append(key)
    if ignored:
        LOGGER.warning(f"Resume ignores {ignored}, using checkpoint values. Start a new run to change them.")

"""The model that a training starts from: `BaseTrainer.setup_model` (lines 873 to 907 of ``engine/trainer.py``) and
what `DistillationModel.__init__` (lines 63 to 121 of ``nn/distill_model.py``) does to load a teacher, ultralytics
8.4.190.

Re-implemented because both unpickle a file, and the second fetches one.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils import RANK

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.ultralytics.checkpoints import STUDENT, read_checkpoint
from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


# 8.4.180 takes `.PT` for a YAML file and fails, so ours serves both sources.
@reimplements("engine/trainer.py", "BaseTrainer.setup_model", "39bcb74f6a52", "34a7460b8436")
def setup_model(trainer: HostTrainer) -> Any:
    """Build the model that training starts from, and return the content of the checkpoint to resume from, if any."""
    if isinstance(trainer.model, torch.nn.Module):
        return None
    if trainer.resume:
        return _setup_resumed(trainer)
    cfg, weights, content, architecture = trainer.model, None, None, None
    if str(trainer.model).lower().endswith(".pt"):
        checkpoint = read_checkpoint(trainer.model)
        content, architecture = checkpoint.content, checkpoint.path
        cfg, weights = trainer.start_from(checkpoint)
    source = architecture
    pretrained = trainer.args.pretrained
    if isinstance(pretrained, (str, Path)):
        weights, source = trainer.start_from(read_checkpoint(pretrained))[1], Path(pretrained)
    elif pretrained is False:
        weights = source = None
    trainer.model = trainer.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})
    trainer.note_start(weights, source, architecture if architecture != source else None)
    return content


def _setup_resumed(trainer: HostTrainer) -> dict[str, Any]:
    """Build the model of a training that is resumed, and return what its checkpoint holds."""
    checkpoint = read_checkpoint(trainer.model)
    cfg, ema = trainer.start_from(checkpoint)
    trainer.model = trainer.get_model(cfg=cfg, weights=ema, verbose=RANK in {-1, 0})
    saved = checkpoint.model
    if saved is not None and saved.part(STUDENT):
        trainer.model.args = trainer.args
        wrapped = DistillationModel(teacher_model=teacher_of(trainer), student_model=trainer.model)
        wrapped.projector.load_state_dict(checkpoint.tensors(saved.part("projector")))
        wrapped.criterion = None
        trainer.model = wrapped
    return {**checkpoint.content, "ema": HeldTensors(checkpoint)}


class HeldTensors(torch.nn.Module):
    """The tensors of a checkpoint's model in single precision, where the engine expects the model itself.

    Args:
        checkpoint: The checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        whole = checkpoint.model.tensors if checkpoint.model is not None else None
        tensors = checkpoint.state() if whole is None else checkpoint.tensors(whole)
        self.held = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the tensors."""
        return dict(self.held)


@reimplements("nn/distill_model.py", "DistillationModel.__init__", "aff4bcaa566c", partly=True)
def teacher_of(trainer: HostTrainer) -> Module:
    """Return the model that ``distill_model`` names, for images with as many channels as the student's.

    Raises:
        SettingsError: If it cannot be read, or if it is not a model of the engine.
    """
    checkpoint = read_checkpoint(str(trainer.args.distill_model))
    teacher: Any
    cfg, teacher = trainer.start_from(checkpoint)
    channels = trainer.data["channels"]
    if not isinstance(cfg, dict) or not hasattr(teacher, "load"):
        what = "distill_model is not a model of ultralytics."
        raise SettingsError(Problem(what, "use another checkpoint", str(checkpoint.path)))
    if cfg.get("channels", 3) == channels:
        return cast("Module", teacher)
    adapted: Any = type(teacher)(deepcopy(cfg), ch=channels, nc=cfg["nc"], verbose=False)
    adapted.load(teacher)
    return cast("Module", adapted)

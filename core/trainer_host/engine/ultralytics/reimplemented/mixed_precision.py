"""Mixed precision: `check_amp` (lines 987 to 1060 of ``utils/checks.py``) and its place in `BaseTrainer._setup_train`
(lines 415 to 437 of ``engine/trainer.py``), ultralytics 8.4.190.

Re-implemented because the engine tests a GPU with weights that it downloads or finds in the working folder,
and unpickles them without a check.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import autocast, unwrap_model

from trainer_host.engine.ultralytics.reimplemented import reimplements

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trainer_host.base.type_aliases import Batch, Device, Tensor
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

KNOWN_BAD = re.compile(
    r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)", re.IGNORECASE
)
OFF, UNCHECKED = (False, "fp32"), "bf16"
"""Values of ``amp`` that switch it off, and the one that the engine does not test."""


@reimplements("utils/checks.py", "check_amp", "4971004f3cd7")
def amp_works(device: Device) -> bool:
    """Return whether mixed precision works on a device, as far as its name says it."""
    if device.type in {"cpu", "mps"}:
        return False
    if device.type == "cuda" and KNOWN_BAD.search(gpu := torch.cuda.get_device_name(device)):
        LOGGER.warning(f"amp=True has no effect on {gpu}: mixed precision gives NaN losses or no detections there.")
        return False
    return True


def skip_test(trainer: HostTrainer) -> Any:
    """Have the engine skip its test of mixed precision; return what ``amp`` was set to, or None if nothing changed."""
    amp = trainer.args.amp
    # On CPU and MPS the engine decides without weights.
    if amp in OFF or amp == UNCHECKED or trainer.device.type in {"cpu", "mps"}:
        return None
    # The engine does not test bf16. It would make no scaler for it either, so `after_test` does.
    trainer.args.amp = UNCHECKED if amp_works(trainer.device) else False
    return amp


@reimplements("engine/trainer.py", "BaseTrainer._setup_train", "1f63799b627e", partly=True)
def after_test(trainer: HostTrainer, amp: Any) -> None:
    """Put ``amp`` back, with the scaler that the engine makes where its test has passed."""
    trainer.args.amp = amp
    if getattr(trainer, "amp", False):
        trainer.scaler = grad_scaler(trainer.device)


def precision(trainer: HostTrainer) -> AbstractContextManager[Any]:
    """Return a context in which a model computes its predictions in the precision of the training."""
    if in_bfloat16_on_cpu(trainer):  # which the engine refuses
        return torch.amp.autocast("cpu", dtype=torch.bfloat16)
    context: AbstractContextManager[Any] = autocast(
        torch.bfloat16 if trainer.args.amp == UNCHECKED else trainer.amp, device=trainer.device.type
    )
    return context


def in_bfloat16_on_cpu(trainer: HostTrainer) -> bool:
    """Return whether a training computes in bfloat16 on a CPU."""
    return bool(trainer.args.amp == UNCHECKED and trainer.device.type == "cpu")


def loss_in_single(trainer: HostTrainer, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch: predictions in the precision of the training, and the loss in single precision.

    A model that is none of the engine's computes both at once, and torch decides about each operation.
    """
    model = unwrap_model(trainer.model)
    found: tuple[Tensor, dict[str, Tensor]]
    if not isinstance(model, BaseModel):
        found = trainer.model(batch)
        return found
    # Convolutions in bfloat16 are faster on a CPU with the channels last.
    predictions = trainer.model(batch["img"].contiguous(memory_format=torch.channels_last))
    with torch.amp.autocast(trainer.device.type, enabled=False):
        found = model.loss(batch, _single(predictions))
    return found


def _single(values: Any) -> Any:
    """Return predictions with their tensors in single precision."""
    if isinstance(values, torch.Tensor):
        return values.float() if values.is_floating_point() else values
    if isinstance(values, dict):
        return {key: _single(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(map(_single, values))
    return values


def grad_scaler(device: Device, enabled: bool = True) -> Any:
    """Return a scaler of losses."""
    if device.type == "npu":
        return importlib.import_module("torch_npu").npu.amp.GradScaler(enabled=enabled)
    return torch.amp.GradScaler("xpu" if device.type == "xpu" else "cuda", enabled=enabled)

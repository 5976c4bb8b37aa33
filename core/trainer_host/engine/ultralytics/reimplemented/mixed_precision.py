"""Mixed precision: `check_amp` (lines 987 to 1060 of ``utils/checks.py``) and its place in `BaseTrainer._setup_train`
(lines 415 to 437 of ``engine/trainer.py``), ultralytics 8.4.190.

Restated because the engine tests a graphics card with weights that it fetches for that, or that lie in the working
folder, and unpickles them without a check.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import check_amp

from trainer_host.engine.ultralytics.reimplemented import restates

if TYPE_CHECKING:
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

CHECK_SHA256 = "079b89ebc804c23b7260ea10f79d062ccdb587c479fe0ffa62aec6858b69a26f"
SETUP_SHA256 = "aecd0c111afe4314dba3d3313567116ee03c7fb9f6358f66d6b09fb15bc2a0fd"
KNOWN_BAD = re.compile(
    r"(nvidia|geforce|quadro|tesla).*?(1660|1650|1630|t400|t550|t600|t1000|t1200|t2000|k40m)", re.IGNORECASE
)
OFF, UNCHECKED = (False, "fp32"), "bf16"
"""Values of ``amp`` that switch it off, and the one that the engine does not test."""


@restates(check_amp, CHECK_SHA256)
def amp_works(device: Any) -> bool:
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
    # "bf16" is on and not tested; what it changes besides, the scaler, is made again in `after_test`.
    trainer.args.amp = UNCHECKED if amp_works(trainer.device) else False
    return amp


@restates(BaseTrainer._setup_train, SETUP_SHA256)
def after_test(trainer: HostTrainer, amp: Any) -> None:
    """Put ``amp`` back, with the scaler that the engine makes where its test has passed."""
    trainer.args.amp = amp
    if getattr(trainer, "amp", False):
        trainer.scaler = grad_scaler(trainer.device)


def grad_scaler(device: Any) -> Any:
    """Return a scaler of losses that is switched on."""
    if device.type == "npu":
        return importlib.import_module("torch_npu").npu.amp.GradScaler(enabled=True)
    return torch.amp.GradScaler("xpu" if device.type == "xpu" else "cuda", enabled=True)

"""Values of a training that became NaN or infinite: the error, and what is kept of the batch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import LossError, Problem
from trainer_host.base.wording import counted, listed
from trainer_host.engine.ultralytics.settings_validation import OPTIMIZERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

FOLDER = "not_finite"
CHECK = "check the labels for extreme values"


class NotFiniteError(ArithmeticError):
    """A value of the training is NaN or infinite.

    Args:
        what: The value: ``loss``, ``gradients``, ``fitness`` or ``weights``.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not finite")
        self.what = what


@dataclass(frozen=True)
class NotFinite:
    """The place where a value became NaN or infinite.

    Attributes:
        what: The value.
        epoch: The epoch, counted from 1.
        batch: The batch of the epoch, counted from 1; None after its last one.
        files: The images of the batches that count: those since the optimizer's last step.
        kept: The file that holds the batch; None if it could not be written.
    """

    what: str
    epoch: int
    batch: int | None = None
    files: Sequence[str] = field(default_factory=tuple)
    kept: Path | None = None

    def __str__(self) -> str:
        where = f"epoch {self.epoch}" + (f", batch {self.batch}" if self.batch is not None else "")
        verb = "is" if self.what in {"loss", "fitness"} else "are"
        return f"the {self.what} {verb} NaN or infinite in {where}{self._images()}"

    def _images(self) -> str:
        if not self.files:
            return ""
        return f" (images: {listed(self.files)}{f'; the batch is kept in {self.kept}' if self.kept else ''})"

    def as_data(self) -> dict[str, Any]:
        """Return the same as plain data."""
        kept = str(self.kept) if self.kept else None
        return {"what": self.what, "epoch": self.epoch, "batch": self.batch, "files": list(self.files), "kept": kept}

    def error(self, attempts: int, fix: str) -> LossError:
        """Return the error that ends the run, after attempts to recover."""
        tried = f", after {counted(attempts, 'recovery', 'recoveries')}" if attempts else ""
        error = LossError(Problem(f"{self}{tried}.", fix))
        error.details["not_finite"] = self.as_data()
        return error


def fix_of(trainer: HostTrainer) -> str:
    """Return settings for another try: a tenth of the learning rate, whoever chose it, and full precision."""
    rate, name = trainer.args.lr0, type(trainer.optimizer).__name__
    chosen = trainer.host_run.resolved.settings.get("optimizer")
    if str(chosen or "auto").lower() == "auto" and name in OPTIMIZERS:  # auto would choose the same rate again
        rate = trainer.optimizer.param_groups[0].get("initial_lr", rate)
        words = f"optimizer={name} lr0={rate / 10:.3g}"
    else:
        words = f"lr0={rate / 10:.3g}"
    amp = " amp=False" if trainer.amp else ""
    return f"train with a lower learning rate: {words}{amp}; or {CHECK}"


def keep_batch(folder: Path, batch: Batch, epoch: int, number: int, what: str) -> Path | None:
    """Write a batch for inspection, readable with ``weights_only=True``; return the file, or None if that fails."""
    target = folder / FOLDER / f"epoch{epoch}-batch{number}.pt"
    content = {"what": what, "epoch": epoch, "batch": number, **{k: _plain(v) for k, v in batch.items()}}
    data = io.BytesIO()
    torch.save(content, data)
    with suppress(OSError):  # the loss is the news, not the disk
        target.parent.mkdir(exist_ok=True)
        atomic_write(target, data.getvalue())
        return target
    return None


def _plain(value: Any) -> Any:
    """Return a value as tensors and plain data; the text of anything else."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value)


def require_finite_weights(trainer: HostTrainer) -> None:
    """Refuse weights, buffers and gradients that are not finite in any process, so that none are saved.

    Raises:
        NotFiniteError: If there is one.
    """
    what = _not_finite(trainer)
    if trainer.host_run.group.any(what is not None):  # buffers may differ between processes
        raise NotFiniteError(what or "weights")


def _not_finite(trainer: HostTrainer) -> str | None:
    model = unwrap_model(trainer.model)
    if not _finite([*model.state_dict().values(), *trainer.ema.ema.state_dict().values()]):
        return "weights"
    if not trainer.scaler.is_enabled() and not _finite(p.grad for p in model.parameters()):
        return "gradients"
    return None


def _finite(tensors: Any) -> bool:
    """Return whether all values are finite: by their sums, since one transfer is cheaper than one for each tensor."""
    with torch.no_grad():
        found = list(_floating(tensors))
        if not found or bool(torch.stack([t.sum(dtype=torch.float32) for t in found]).isfinite().all()):
            return True
        return all(bool(t.isfinite().all()) for t in found)  # a sum may overflow


def _floating(tensors: Any) -> Iterator[torch.Tensor]:
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel():
            yield tensor

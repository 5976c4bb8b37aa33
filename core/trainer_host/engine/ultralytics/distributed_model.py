"""The model of a training in several processes: equal weights everywhere, and the sum of the gradients.

The model itself is trained, without a wrapper: what plugins know of it stays true. See decision 0018.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trainer_host.base.type_aliases import Module, Tensor
    from trainer_host.engine.process_group import ProcessGroup

TEACHER = "teacher_model"


class GradientSum:
    """Adds up the gradients of each batch over the processes of a run.

    After each batch all have the same gradients, those accumulated before included: a state that is saved there serves
    any number of processes.

    Args:
        model: The model.
        group: The processes.
    """

    def __init__(self, model: Module, group: ProcessGroup) -> None:
        self.group = group
        self.parameters = list(model.parameters())  # also frozen ones: a plugin may free them later
        self._held: list[Tensor | None] = []

    def hold(self) -> None:
        """Put what is accumulated aside, so that a batch has its gradients to itself."""
        self._held = [p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None

    def drop(self) -> None:
        """Return to what was accumulated before the batch."""
        for parameter, held in zip(self.parameters, self._held, strict=True):
            parameter.grad = held

    def add_up(self) -> None:
        """Add up the gradients of the batch, and add them to those before.

        A parameter that no process has a gradient of gets none, and the optimizer leaves it alone.
        """
        found = [p.grad for p in self.parameters]
        used = self.group.sum(torch.tensor([float(g is not None) for g in found])).tolist()
        for kind in dict.fromkeys(p.dtype for p in self.parameters):
            chosen = [i for i, p in enumerate(self.parameters) if used[i] and p.dtype == kind]
            if not chosen:
                continue
            whole = torch.zeros(
                sum(self.parameters[i].numel() for i in chosen), dtype=kind, device=self.parameters[chosen[0]].device
            )
            parts = list(_parts(whole, [self.parameters[i] for i in chosen]))
            for i, part in zip(chosen, parts, strict=True):
                if (gradient := found[i]) is not None:
                    part.copy_(gradient)
            self.group.sum(whole)
            for i, part in zip(chosen, parts, strict=True):
                gradient = found[i]
                found[i] = (torch.empty_like(self.parameters[i]) if gradient is None else gradient).copy_(part)
        for parameter, gradient, held in zip(self.parameters, found, self._held, strict=True):
            parameter.grad = gradient if held is None else held if gradient is None else held.add_(gradient)
        self._held = []


def _parts(whole: Tensor, shapes: Iterable[Tensor]) -> Iterator[Tensor]:
    start = 0
    for like in shapes:
        yield whole[start : start + like.numel()].view(like.shape)
        start += like.numel()


@torch.no_grad()
def equalise(tensors: Iterable[Tensor], group: ProcessGroup) -> None:
    """Give tensors the values that they have in the first process."""
    found = list(tensors)
    for kind in dict.fromkeys((t.dtype, t.device) for t in found):
        chosen = [t for t in found if (t.dtype, t.device) == kind]
        whole = torch.cat([t.detach().reshape(-1) for t in chosen])
        sent = group.spread(whole.to(torch.uint8) if kind[0] == torch.bool else whole)  # gloo sends no booleans
        for tensor, part in zip(chosen, _parts(sent, chosen), strict=True):
            tensor.copy_(part)


@contextmanager
def frozen_statistics(model: Module) -> Iterator[None]:
    """Have batch norms leave their statistics alone, as for an image that does not count."""
    changed = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for module in changed:
        module.eval()
    try:
        yield
    finally:
        for module in changed:
            module.train()


def synchronise_batch_norms(model: Module, device_type: str, wanted: bool | None) -> bool:
    """Have batch norms count the images of all processes, where torch can: on a GPU.

    Args:
        model: The model, which is changed in place; the parameters stay the same.
        device_type: The kind of its device.
        wanted: Whether to; None for wherever the device can.

    Returns:
        Whether it was done.
    """
    if wanted is False or device_type != "cuda":
        return False
    for name, child in model.named_children():
        if name != TEACHER:
            converted = nn.SyncBatchNorm.convert_sync_batchnorm(child)  # type: ignore[no-untyped-call]
            setattr(model, name, converted)
    return True


def plain_batch_norms(model: Any) -> None:
    """Turn synchronised batch norms into torch's plain ones, as a checkpoint has them."""
    for name, child in model.named_children():
        if isinstance(child, nn.SyncBatchNorm):
            plain = nn.BatchNorm2d(
                child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
            )
            plain.training = child.training
            for own in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(plain, own, getattr(child, own))
            setattr(model, name, plain)
        else:
            plain_batch_norms(child)

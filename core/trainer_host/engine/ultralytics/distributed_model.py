"""The model of a training in several processes: equal weights everywhere, and the sum of the gradients.

The model itself is trained, without a wrapper: what plugins know of it stays true. See decision 0018.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trainer_host.base.type_aliases import Module, Tensor
    from trainer_host.engine.process_group import ProcessGroup

TEACHER = "teacher_model"
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The batch norms that `torch.nn.SyncBatchNorm` computes like; subclasses may compute something else."""


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
        self._buffers: dict[torch.dtype, Tensor] = {}
        for kind in dict.fromkeys(p.dtype for p in self.parameters):
            # Now: a device that lacks memory for it after a backward pass would leave the other processes waiting.
            if trained := [p for p in self.parameters if p.dtype == kind and p.requires_grad]:
                self._buffer(trained)

    def hold(self) -> None:
        """Put what is accumulated aside, so that a batch has its gradients to itself."""
        self._held = [p.grad for p in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None

    def drop(self) -> None:
        """Return to what was accumulated before the batch."""
        for parameter, held in zip(self.parameters, self._held, strict=True):
            parameter.grad = held

    def used(self) -> bytes:
        """Return which parameters have a gradient of the batch, a byte for each."""
        return bytes(p.grad is not None for p in self.parameters)

    def add_up(self, alike: bool = False) -> None:
        """Add up the gradients of the batch, and add them to those before.

        A parameter that no process has a gradient of gets none, and the optimizer leaves it alone.

        Args:
            alike: Whether the same parameters have a gradient in all processes.
        """
        used = list(self.used())
        if not alike:
            used = self.group.sum(torch.tensor(used, dtype=torch.int32)).tolist()
        for kind in dict.fromkeys(p.dtype for p in self.parameters):
            chosen = [p for p, count in zip(self.parameters, used, strict=True) if count and p.dtype == kind]
            if chosen:
                self._add_up(chosen)
        before = [(p, held) for p, held in zip(self.parameters, self._held, strict=True) if held is not None]
        both = [(held, p.grad) for p, held in before if p.grad is not None]
        if both:
            torch._foreach_add_([held for held, _ in both], [gradient for _, gradient in both])
        for parameter, held in before:
            parameter.grad = held
        self._held = []

    def _add_up(self, chosen: Sequence[Tensor]) -> None:
        """Add up the gradients of parameters of one type."""
        whole = self._buffer(chosen)
        parts = list(_parts(whole, chosen))
        own = [(part, p.grad) for part, p in zip(parts, chosen, strict=True) if p.grad is not None]
        if len(own) < len(chosen):
            whole.zero_()
        if own:
            torch._foreach_copy_([part for part, _ in own], [gradient for _, gradient in own])
        self.group.sum(whole)
        for parameter in chosen:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
        torch._foreach_copy_([p.grad for p in chosen if p.grad is not None], parts)

    def _buffer(self, chosen: Sequence[Tensor]) -> Tensor:
        """Return room for the gradients of parameters of one type."""
        kind, size = chosen[0].dtype, sum(p.numel() for p in chosen)
        kept = self._buffers.get(kind)
        if kept is None or len(kept) < size:
            kept = self._buffers[kind] = torch.empty(size, dtype=kind, device=chosen[0].device)
        return kept[:size]


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


def synchronise_batch_norms(model: Module, device_type: str, wanted: bool | None) -> dict[str, type[Any]]:
    """Have batch norms count the images of all processes, where torch can: on a GPU.

    Args:
        model: The model, which is changed in place; the parameters stay the same.
        device_type: The kind of its device.
        wanted: Whether to; None for wherever the device can.

    Returns:
        The classes that the batch norms had, by their names; none if it was not done.
    """
    if wanted is False or device_type != "cuda":
        return {}
    named = model.named_modules(remove_duplicate=False)
    found = {n: type(m) for n, m in named if type(m) in BATCH_NORMS and n.partition(".")[0] != TEACHER}
    _turn(model, dict.fromkeys(found, nn.SyncBatchNorm))
    return found


def plain_batch_norms(model: Module, classes: Mapping[str, type[Any]]) -> None:
    """Give synchronised batch norms the classes that they had, as a checkpoint has them."""
    _turn(model, classes)


def _turn(model: Any, classes: Mapping[str, type[Any]]) -> None:
    """Replace batch norms by equal ones of other classes, which keep everything that they hold, such as hooks."""
    turned: dict[int, Any] = {}  # a module may have several names
    for name, kind in classes.items():
        holder, _, own = name.rpartition(".")
        parent = model.get_submodule(holder)
        module = getattr(parent, own)
        if (new := turned.get(id(module))) is None:
            new = turned[id(module)] = object.__new__(kind)
            vars(new).update({k: v for k, v in vars(module).items() if k != "process_group"})
            if kind is nn.SyncBatchNorm:
                new.process_group = None  # all processes
        setattr(parent, own, new)


class _Anchor(torch.autograd.Function):
    """A loss that all outputs of some layers are a part of, though their gradients by it may be zero."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, *outputs: Tensor) -> Tensor:
        ctx.count = len(outputs)
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient, *([None] * ctx.count)  # zeros are made only for a layer that nothing else depends on


def anchored(loss: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    """Return a loss whose backward pass goes through the layers with these outputs, also those that it leaves out.

    Synchronised batch norms exchange sums in the backward pass too, in which all processes have to take part.
    """
    needed = [output for output in outputs if output.requires_grad]
    anchor: Tensor = _Anchor.apply(loss, *needed) if needed else loss
    return anchor


@contextmanager
def noted_outputs(model: Module) -> Iterator[list[Tensor]]:
    """Note the outputs of synchronised batch norms."""
    outputs: list[Tensor] = []

    def note(_module: Any, _inputs: Any, output: Tensor) -> None:
        outputs.append(output)

    handles = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, nn.SyncBatchNorm)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()

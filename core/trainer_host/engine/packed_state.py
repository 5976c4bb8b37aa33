"""A snapshot of nested plain data with tensors, in the form in which it is quickly written and safely read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from trainer_host.base.type_aliases import Tensor

PLAIN = frozenset({bool, int, float, str, bytes, type(None)})
UNPACKED = frozenset({torch.uint8})
"""Types of tensors that have a buffer each: a generator of torch reads its state from the start of the buffer."""


def packed(content: Any, place: str = "state") -> Any:
    """Return a copy of nested plain data on the CPU, whose tensors of one type share a buffer.

    A file of torch has a record for each buffer: a few large ones are written several times faster than thousands of
    small ones. Values and strides are kept, because optimizers compute in the order of memory.

    Args:
        content: Dicts, lists, tuples, tensors, numbers of Python and numpy, and text.
        place: The content's name in errors.

    Raises:
        PluginError: If a value is anything else: it could not be read back without executing code.
    """
    found: list[tuple[Tensor, Tensor]] = []
    sizes: dict[torch.dtype, int] = {}
    shaped = _shaped(content, place, found, sizes)
    buffers = {dtype: torch.empty(size, dtype=dtype) for dtype, size in sizes.items()}
    ends = dict.fromkeys(sizes, 0)
    with torch.no_grad():
        for stand_in, tensor in found:
            start = ends[tensor.dtype]
            ends[tensor.dtype] += tensor.numel()
            stand_in.set_(buffers[tensor.dtype].untyped_storage(), start, tensor.shape, _strides(tensor))
            stand_in.copy_(tensor)
    return shaped


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Return the strides of a dense copy that keeps the tensor's order of memory."""
    return tensor.stride() if tensor.is_contiguous() else torch.empty_like(tensor, device="meta").stride()


def _shaped(value: Any, place: str, found: list[tuple[Tensor, Tensor]], sizes: dict[torch.dtype, int]) -> Any:
    """Return a copy with an empty tensor for each tensor, and add both to what is found."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, torch.Tensor):
        if value.dtype in UNPACKED:
            return value.detach().to("cpu", copy=True)
        stand_in = torch.empty(0, dtype=value.dtype)
        found.append((stand_in, value.detach()))
        sizes[value.dtype] = sizes.get(value.dtype, 0) + value.numel()
        return stand_in
    if isinstance(value, dict):
        if (key := next((k for k in value if type(k) not in PLAIN), None)) is not None:
            raise _unstorable(f"the key {key!r} of {place}", key)
        return {k: _shaped(v, f"{place}[{k!r}]", found, sizes) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_shaped(v, f"{place}[{i}]", found, sizes) for i, v in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (int, float, str)):  # a subclass, such as an enumeration
        return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))
    raise _unstorable(place, value)


def _unstorable(place: str, value: Any) -> PluginError:
    what = f"the training state cannot be stored: {place} is a {type(value).__name__}."
    return PluginError(Problem(what, "keep numbers, text, lists, dicts and tensors there"))

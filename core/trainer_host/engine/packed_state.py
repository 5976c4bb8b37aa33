"""Nested plain data with tensors, in the form in which they are quickly written and safely read.

A file of torch has a record, and a pickled object, for each tensor: a few large buffers are written several times
faster than thousands of small tensors.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Tensor

PLAIN = frozenset({bool, int, float, str, bytes, type(None)})
REFERENCE = "\0"
"""The one key of a dict that stands for a tensor: its value is the tensor's number."""


def packed(content: Any, place: str = "state") -> dict[str, Any]:
    """Return nested plain data with all tensors of a type in one buffer on the CPU; `unpacked` reverses it.

    Values, shapes and strides are kept: optimizers compute in the order of memory.

    Args:
        content: Dicts, lists, tuples, dense tensors, numbers of Python and numpy, and text.
        place: The content's name in errors.

    Raises:
        PluginError: If a value is anything else: it could not be read back without executing code.
    """
    tensors: list[Tensor] = []
    tree = _tree(content, place, tensors)
    types = list(dict.fromkeys(t.dtype for t in tensors))
    sizes = dict.fromkeys(types, 0)
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.numel()
    buffers = {dtype: torch.empty(size, dtype=dtype) for dtype, size in sizes.items()}
    ends, layout = dict.fromkeys(types, 0), []
    for tensor in tensors:
        start, shape, strides = ends[tensor.dtype], tuple(tensor.shape), _strides(tensor)
        ends[tensor.dtype] += tensor.numel()
        buffers[tensor.dtype].as_strided(shape, strides, start).copy_(tensor)
        layout += [types.index(tensor.dtype), start, len(shape), *shape, *strides]
    return {"tree": tree, "layout": torch.tensor(layout, dtype=torch.int64), "buffers": list(buffers.values())}


def unpacked(stored: Mapping[str, Any]) -> Any:
    """Return the nested plain data that were packed, with tensors that share the buffers."""
    numbers, tensors, at = stored["layout"].tolist(), [], 0
    while at < len(numbers):
        kind, start, dimensions = numbers[at : at + 3]
        shape, strides = numbers[at + 3 : at + 3 + dimensions], numbers[at + 3 + dimensions : at + 3 + 2 * dimensions]
        tensor = stored["buffers"][kind].as_strided(shape, strides, start)
        # A generator of torch reads its state from the start of the buffer, wherever the tensor starts.
        tensors.append(tensor.clone() if tensor.dtype == torch.uint8 else tensor)
        at += 3 + 2 * dimensions
    return _joined(stored["tree"], tensors)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two packed contents are equal to the bit."""
    if repr(one["tree"]) != repr(other["tree"]) or len(one["buffers"]) != len(other["buffers"]):  # NaN is equal here
        return False
    pairs = zip(chain([one["layout"]], one["buffers"]), chain([other["layout"]], other["buffers"]), strict=True)
    return all(a.dtype == b.dtype and torch.equal(_bits(a), _bits(b)) for a, b in pairs)


def packed_bytes(stored: Mapping[str, Any]) -> int:
    """Return how many bytes the buffers have."""
    return sum(b.numel() * b.element_size() for b in stored["buffers"])


def _strides(tensor: Tensor) -> tuple[int, ...]:
    """Return the strides of a dense copy that keeps the tensor's order of memory."""
    return tensor.stride() if tensor.is_contiguous() else torch.empty_like(tensor, device="meta").stride()


def _bits(buffer: Tensor) -> Tensor:
    """Return a buffer as integers, of which each equals itself, as wide as its length allows."""
    whole = buffer.numel() * buffer.element_size() % 8 == 0 and buffer.storage_offset() == 0
    return buffer.view(torch.int64 if whole and buffer.numel() else torch.uint8)


def _tree(value: Any, place: str, tensors: list[Tensor]) -> Any:
    """Return a copy with a reference for each tensor, which is added to those that were found."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized:
        tensors.append(value.detach())
        return {REFERENCE: len(tensors) - 1}
    if isinstance(value, dict):
        if (key := next((k for k in value if type(k) not in PLAIN or k == REFERENCE), None)) is not None:
            raise _unstorable(f"the key {key!r} of {place}", key)
        return {k: _tree(v, f"{place}[{k!r}]", tensors) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_tree(v, f"{place}[{i}]", tensors) for i, v in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.generic) and type(number := value.item()) in PLAIN:
        return number
    if isinstance(value, (int, float, str)):  # a subclass, such as an enumeration
        return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))
    raise _unstorable(place, value)


def _joined(value: Any, tensors: list[Tensor]) -> Any:
    if isinstance(value, dict):
        number = value.get(REFERENCE)
        return {k: _joined(v, tensors) for k, v in value.items()} if number is None else tensors[number]
    if isinstance(value, (list, tuple)):
        items = [_joined(v, tensors) for v in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _unstorable(place: str, value: Any) -> PluginError:
    what = f"the training state cannot be stored: {place} is a {type(value).__name__}."
    return PluginError(Problem(what, "keep numbers, text, lists, dicts and tensors there"))

"""Nested plain data with tensors, in the form in which they are quickly written and safely read.

A file of torch has a record for each tensor and pickled objects for each value, and reading without code execution goes
through them one by one: a few large buffers and one text take a fraction of the time.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainer_host.base.errors import PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Tensor

PLAIN = frozenset({bool, int, float, str, type(None)})
MARK = "\0"
TENSOR, TUPLE, PAIRS = f"{MARK}tensor", f"{MARK}tuple", f"{MARK}pairs"
"""The one key of a dict that stands for a tensor by its number, a tuple, or a dict with keys other than text."""


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
    places = torch.tensor(layout, dtype=torch.int64)
    return {"tree": json.dumps(tree), "layout": places, "buffers": list(buffers.values())}


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
    return _joined(json.loads(stored["tree"]), tensors)


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two packed contents are equal to the bit."""
    if one["tree"] != other["tree"] or len(one["buffers"]) != len(other["buffers"]):
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
        return {TENSOR: len(tensors) - 1}
    if isinstance(value, dict):
        if (key := next((k for k in value if type(k) not in PLAIN), None)) is not None:
            raise _unstorable(f"the key {key!r} of {place}", key)
        found = {k: _tree(v, f"{place}[{k!r}]", tensors) for k, v in value.items()}
        texts = all(type(k) is str and not k.startswith(MARK) for k in found)
        return found if texts else {PAIRS: list(found.items())}
    if isinstance(value, (list, tuple)):
        items = [_tree(v, f"{place}[{i}]", tensors) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {TUPLE: items}
    if isinstance(value, np.generic) and type(number := value.item()) in PLAIN:
        return number
    if isinstance(value, (int, float, str)):  # a subclass, such as an enumeration
        return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))
    raise _unstorable(place, value)


def _joined(value: Any, tensors: list[Tensor]) -> Any:
    if isinstance(value, list):
        return [_joined(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    if TUPLE in value:
        return tuple(_joined(v, tensors) for v in value[TUPLE])
    pairs = value[PAIRS] if PAIRS in value else value.items()
    return {k: _joined(v, tensors) for k, v in pairs}


def _unstorable(place: str, value: Any) -> PluginError:
    what = f"the training state cannot be stored: {place} is a {type(value).__name__}."
    return PluginError(Problem(what, "keep numbers, text, lists, dicts and tensors there"))

"""Building models without filling them: no random numbers, little computation, and no more memory than is expected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Mapping

RANDOM = frozenset(
    {
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        torch.Tensor.bernoulli_,
        torch.Tensor.exponential_,
        torch.Tensor.random_,
        torch.nn.init.kaiming_uniform_,
        torch.nn.init.kaiming_normal_,
        torch.nn.init.xavier_uniform_,
        torch.nn.init.xavier_normal_,
        torch.nn.init.uniform_,
        torch.nn.init.normal_,
        torch.nn.init.trunc_normal_,
        torch.nn.init.orthogonal_,
    }
)
"""Functions that fill a new tensor with random numbers."""
FACTORIES = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.empty_strided, torch.eye}
)
"""Functions that take memory for a tensor of a shape."""
COPIES = frozenset(
    {
        *(torch.clone, torch.Tensor.clone, torch.Tensor.new_empty, torch.Tensor.new_zeros, torch.Tensor.new_full),
        *(torch.Tensor.new_ones, torch.Tensor.new_tensor, torch.Tensor.repeat, torch.tile, torch.cat),
    }
)
"""Functions whose result takes memory for itself."""
CALL = 500
"""Elements that each of these calls counts for in addition, since modules take memory too."""
SAME_SHAPE = frozenset({torch.nn.functional.batch_norm, torch.nn.functional.silu})
"""Functions that stand behind most convolutions, and whose result has the shape of their first argument."""
SLACK = 2**22
"""Elements that building a model may take in addition to its tensors, such as a blank image."""
MAX_ACTIVATION = 2**26
"""Elements of the largest tensor that a layer may return for a blank image of 256 pixels."""


class TooLargeError(Exception):
    """An architecture asks for more memory than the tensors of its file need."""


class Unfilled(TorchFunctionMode):
    """While it is active, new layers are not filled with random numbers, and take no more memory than is expected.

    Args:
        budget: Elements that may be allocated.
        fill: Whether layers are filled all the same, because not all that they hold is in a state dict.
        dry: Whether tensors have a shape and nothing else, so that no memory is taken and nothing is computed.
    """

    def __init__(self, budget: int, fill: bool = False, dry: bool = False) -> None:
        super().__init__()
        self.left, self.fill, self.dry = budget, fill, dry

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch, or skip it."""
        kwargs = kwargs or {}
        if func in FACTORIES:
            self._spend(_elements(args, kwargs))
            if self.dry:
                kwargs = {**kwargs, "device": "meta"}
        elif func in RANDOM and not self.fill:
            # Not left uninitialized: some functions draw again until all numbers are within bounds.
            tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            with torch.no_grad():
                return tensor.zero_()
        elif not self.fill and not self.dry:
            if func is torch.conv2d:
                return _shaped_as_conv2d(*args, **kwargs)
            if func in SAME_SHAPE:
                return args[0]
        result = func(*args, **kwargs)
        if func in COPIES and isinstance(result, torch.Tensor):
            self._spend(result.numel())
        if self.dry and isinstance(result, torch.Tensor) and result.numel() > MAX_ACTIVATION:
            raise TooLargeError
        return result

    def _spend(self, elements: int) -> None:
        self.left -= elements + CALL
        if self.left < 0:
            raise TooLargeError


def _shaped_as_conv2d(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Return a tensor of the shape that a convolution returns, with any content.

    A new model of the engine looks at a blank image to learn its strides. Only shapes matter then, and convolutions
    take most of the time.
    """
    if image.dim() != 4 or isinstance(padding, str):
        return torch.nn.functional.conv2d(image, weight, bias, stride, padding, dilation, groups)
    if image.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"a convolution of {weight.shape[1] * groups} channels gets {image.shape[1]}")
    steps, pads, gaps = (
        (n, n) if isinstance(n, int) else tuple(n) * (2 // len(n)) for n in (stride, padding, dilation)
    )
    sides = [
        (image.shape[2 + i] + 2 * pads[i] - gaps[i] * (weight.shape[2 + i] - 1) - 1) // steps[i] + 1 for i in range(2)
    ]
    shape = (image.shape[0], weight.shape[0], *sides)
    if min(sides) < 1 or math.prod(shape) > MAX_ACTIVATION:
        raise TooLargeError
    return image.new_empty(shape)


def _elements(args: Any, kwargs: Mapping[str, Any]) -> int:
    size = kwargs.get("size", args)
    if len(args) and isinstance(args[0], (tuple, list)):
        size = args[0]
    elements = 1
    for n in size if isinstance(size, (tuple, list)) else (size,):
        elements *= n if isinstance(n, int) else 1
    return elements

"""Aliases for types of torch, numpy and the engine, of which nothing is imported.

They are strings at run time; type checkers see the types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import torch
    import torch.utils.data
    from numpy.typing import NDArray

Tensor: TypeAlias = "torch.Tensor"
"""A `torch.Tensor`."""
Module: TypeAlias = "torch.nn.Module"
"""A `torch.nn.Module`."""
Optimizer: TypeAlias = "torch.optim.Optimizer"
"""A `torch.optim.Optimizer`."""
Device: TypeAlias = "torch.device"
"""A `torch.device`."""
Sampler: TypeAlias = "torch.utils.data.Sampler[int]"
"""A `torch.utils.data.Sampler` of image indices; one with a length, for the built-in tasks."""
Array: TypeAlias = "NDArray[Any]"
"""A `numpy.ndarray`."""
Image: TypeAlias = "NDArray[np.uint8]"
"""An image as `numpy.ndarray` of shape (H, W, 3), uint8, BGR."""
Batch: TypeAlias = dict[str, Any]
"""A batch as the loader's collate function returns it; ``img`` is a tensor of shape (N, C, H, W)."""
Trainer: TypeAlias = Any
"""The engine's own trainer, untyped and without a promise of stability."""

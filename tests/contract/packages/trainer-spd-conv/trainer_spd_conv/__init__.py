"""The extension `spd-conv`: the layer `SPDConv`, which halves an image without losing a pixel.

trainer run --task pose --plugin spd-conv model=yolo11n-pose-spd.yaml
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from trainer_host import ExtensionSpec, Layer, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class SPDConv(nn.Module):
    """Space to depth, then a convolution: (N, C, H, W) becomes (N, C', H/2, W/2).

    Args:
        inputs: Channels C.
        outputs: Channels C'.
        kernel: Size of the kernel, odd.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Put the four pixels of each square behind each other, and convolve."""
        top, bottom = x[..., ::2, :], x[..., 1::2, :]
        corners = [top[..., ::2], bottom[..., ::2], top[..., 1::2], bottom[..., 1::2]]
        found: Tensor = self.act(self.bn(self.conv(torch.cat(corners, 1))))
        return found


class SPDConvHooks:
    """One layer, by its name in model YAMLs."""

    @hookimpl
    def layers(self) -> dict[str, Layer]:
        """Bring the layer; its first argument is the number of output channels."""
        return {"SPDConv": Layer(module=SPDConv, scaled=True)}


EXTENSION = ExtensionSpec(hooks=SPDConvHooks())

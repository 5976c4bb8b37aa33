"""The extension `experts`: the layer `MoEConv`, a mixture of convolutions, and the loss that keeps all of them busy.

trainer run --task pose --plugin experts experts.experts=4 experts.gain=0.1 model=yolo11n-pose-moe.yaml
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainer_host import ExtensionSpec, Layer, LossContext, ModelContext, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True)
class Experts:
    """The options."""

    experts: int = 4
    top_k: int = 2  # experts that see an image
    gain: float = 0.1  # of the balance loss


class MoEConv(nn.Module):
    """A convolution for each expert, of which a router chooses some for each image.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Size of the kernels, odd.
        stride: Stride.
        experts: Number of experts.
        top_k: Number of experts that are chosen.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, experts: int, top_k: int
    ) -> None:
        super().__init__()
        self.router = nn.Linear(inputs, experts)
        self.experts = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False) for _ in range(experts)
        )
        self.norm = nn.Sequential(nn.BatchNorm2d(outputs), nn.SiLU())
        self.top_k = top_k
        self.imbalance: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return the chosen experts' outputs, weighted by the router."""
        odds = self.router(x.mean((2, 3))).softmax(1)  # images x experts
        chosen = odds.topk(self.top_k, 1).indices
        weights = odds * torch.zeros_like(odds).scatter(1, chosen, 1.0)
        # Least, and the same for every number of experts, where all of them are used alike (Switch Transformer).
        imbalance = len(self.experts) * (odds.mean(0) * (weights > 0).float().mean(0)).sum() / self.top_k
        self.imbalance = imbalance if self.training else imbalance.detach()
        weights = (weights / weights.sum(1, keepdim=True))[..., None, None, None]
        mixed = torch.stack([weights[:, i] * expert(x) for i, expert in enumerate(self.experts)]).sum(0)
        found: Tensor = self.norm(mixed)
        return found


class ExpertsHooks:
    """The layer, and its loss."""

    @hookimpl
    def layers(self, ctx: ModelContext) -> dict[str, Layer]:
        """Bring the layer with the experts that the options say."""
        options = ctx.options_for(Experts)
        module = partial(MoEConv, experts=options.experts, top_k=options.top_k)
        return {"MoEConv": Layer(module=module, scaled=True)}

    @hookimpl
    def loss_terms(self, ctx: LossContext) -> dict[str, Callable[[Any, Any], Tensor]]:
        """Add the imbalance of all such layers in the model, summed over the images of the batch."""
        blocks = [m for m in ctx.model.modules() if isinstance(m, MoEConv)]
        gain = ctx.options_for(Experts).gain

        def balance(preds: Any, batch: Any) -> Tensor:
            return gain * len(batch["img"]) * torch.stack([torch.as_tensor(b.imbalance) for b in blocks]).sum()

        return {"balance_loss": balance} if blocks else {}


EXTENSION = ExtensionSpec(hooks=ExpertsHooks(), options=Experts)

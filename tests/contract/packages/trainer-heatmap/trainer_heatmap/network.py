"""The network, and what measures it and what uses it: plain torch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from trainer_heatmap.data import PointDataset, as_tensor, read_image
from trainer_host import ImagePrediction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import PredictionContext, ValidationContext

NEAR = 0.05
"""A point is found where it lies nearer than this fraction of the image's size."""


class HeatmapNet(nn.Module):
    """Returns one heat map for each point, and the loss for a batch."""

    def __init__(self, points: int, channels: int) -> None:
        super().__init__()
        self.yaml = {"channels": channels}  # the host stores it and gives it back to build_model as ctx.cfg
        self.stem = self.block(3, channels, stride=2)
        self.body = nn.Sequential(self.block(channels, 2 * channels, stride=2), self.block(2 * channels, 2 * channels))
        self.head = nn.Conv2d(2 * channels, points, 1)

    @staticmethod
    def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        """Return a convolution with its normalisation and activation."""
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x: Tensor | dict[str, Tensor]) -> Any:
        """Return heat maps for images, or the loss and its parts by name for a batch."""
        if isinstance(x, dict):
            return self.loss(x)
        return self.head(self.body(self.stem(x)))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy to a small blob at each point: summed over the batch, as the host wants it."""
        heat = self(batch["img"])
        cells = centres(heat)
        distance = (batch["points"][:, :, None] - cells).mul(heat.shape[-1]).square().sum(-1)
        target = (-distance / 2).softmax(-1)
        loss = -(target * heat.flatten(2).log_softmax(-1)).sum()
        return loss, {"heat_loss": loss.detach() / len(heat)}


def centres(heat: Tensor) -> Tensor:
    """Return the centres of a heat map's cells, as fractions of width and height."""
    height, width = heat.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x + 0.5) / width, (y + 0.5) / height], -1).view(-1, 2).to(heat.device)


def locate(heat: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the place of each point as fractions, and the share of its heat map that lies in the hottest cell."""
    share = heat.flatten(2).div(temperature).softmax(-1)
    return share @ centres(heat), share.amax(-1)


class PointValidator:
    """Measures a network: called with ``trainer`` while training, and with ``model`` afterwards."""

    def __init__(self, ctx: ValidationContext, temperature: float) -> None:
        self.args, self.temperature, self.names = ctx.args, temperature, list(ctx.data["names"].values())
        errors = [f"metrics/error_{name}" for name in self.names]
        self.metrics = SimpleNamespace(keys=["metrics/PCK", "metrics/error", *errors])
        self.dataloader = ctx.loader or DataLoader(PointDataset(ctx.data[ctx.args.split], ctx.args.imgsz), ctx.args.batch)

    @torch.no_grad()
    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        """Return the metrics, and the fitness that tells the best checkpoint."""
        model = model if trainer is None else trainer.ema.ema
        device = next(model.parameters()).device
        found = []
        for batch in self.dataloader:
            points, _ = locate(model(batch["img"].to(device).float() / 255), self.temperature)
            found.append((points.cpu() - batch["points"]).norm(dim=-1))
        errors = torch.cat(found)
        values = [(errors < NEAR).float().mean(), errors.mean(), *errors.mean(0)]
        metrics = {key: float(value) for key, value in zip(self.metrics.keys, values, strict=True)}
        return {**metrics, "fitness": 1 - metrics["metrics/error"]}


class PointPredictor:
    """Finds the points in an image, in the images of a folder, or in a list of images."""

    def __init__(self, ctx: PredictionContext, temperature: float) -> None:
        self.model, self.size, self.temperature = ctx.model, ctx.args.imgsz, temperature
        self.names = list(ctx.data["names"].values())

    @torch.no_grad()
    def __call__(self, source: Any) -> Iterator[ImagePrediction]:
        """Yield what is found, image by image."""
        device = next(self.model.parameters()).device
        for file in files_of(source):
            image = read_image(file)
            heat = self.model(as_tensor(image, self.size).to(device)[None].float() / 255)
            places, shares = locate(heat, self.temperature)
            places *= torch.tensor([image.shape[1], image.shape[0]], device=device)
            objects = [
                {"name": name, "x": round(x, 2), "y": round(y, 2), "confidence": round(share, 4)}
                for name, (x, y), share in zip(self.names, places[0].tolist(), shares[0].tolist(), strict=True)
            ]
            yield ImagePrediction(file, image, objects)


def files_of(source: Any) -> list[Path]:
    """Return the images that a source names."""
    if isinstance(source, list):
        return [Path(file) for file in source]
    path = Path(source)
    return sorted(f for f in path.iterdir() if f.suffix in {".png", ".jpg"}) if path.is_dir() else [path]

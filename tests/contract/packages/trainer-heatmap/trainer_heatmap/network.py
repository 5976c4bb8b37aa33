"""The network, what measures it and what uses it: plain torch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from trainer_heatmap.data import PointDataset, as_tensor, read_image
from trainer_host import ImagePrediction, PredictionContext, ValidationContext

if TYPE_CHECKING:
    from collections.abc import Iterator


class HeatmapNet(nn.Module):
    """Returns a heat map for each point of an image, and the loss of a batch."""

    def __init__(self, points: int, channels: int) -> None:
        super().__init__()
        self.yaml = {"channels": channels}  # the host keeps it with the weights, and gives it back as ctx.cfg
        self.stem = self.block(3, channels, stride=2)
        self.body = nn.Sequential(self.block(channels, 2 * channels, stride=2), self.block(2 * channels, 2 * channels))
        self.head = nn.Conv2d(2 * channels, points, 1)

    @staticmethod
    def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
        """Return a convolution with its normalisation and activation."""
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x: Tensor | dict[str, Tensor]) -> Any:
        """Return heat maps for images; for a batch, the loss summed over it, and the parts to show by name."""
        if not isinstance(x, dict):
            return self.head(self.body(self.stem(x)))
        heat = self(x["img"])
        cells = (x["points"][:, :, None] - centres(heat)) * heat.shape[-1]
        target = (-cells.square().sum(-1) / 2).softmax(-1)  # a small blob at each point
        loss = -(target * heat.flatten(2).log_softmax(-1)).sum()
        return loss, {"heat_loss": loss.detach() / len(heat)}


def centres(heat: Tensor) -> Tensor:
    """Return the centre of each cell of a heat map, as fractions of width and height."""
    height, width = heat.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x + 0.5) / width, (y + 0.5) / height], -1).view(-1, 2).to(heat.device)


@torch.no_grad()
def find(model: nn.Module, images: Tensor, temperature: float) -> Tensor:
    """Return where the network sees each point, as fractions of width and height."""
    device = next(model.parameters()).device
    heat: Tensor = model(images.to(device).float() / 255)
    return ((heat.flatten(2) / temperature).softmax(-1) @ centres(heat)).cpu()


class PointValidator:
    """Measures a network: the host gives its trainer during training, and a model afterwards."""

    def __init__(self, ctx: ValidationContext, temperature: float) -> None:
        self.temperature = temperature
        errors = [f"metrics/error_{name}" for name in ctx.data["names"].values()]
        self.metrics = SimpleNamespace(keys=["metrics/PCK", "metrics/error", *errors])
        # The host replaces the loader where it has to halve the batch.
        self.dataloader = ctx.loader or DataLoader(
            PointDataset(ctx.data[ctx.args.split], ctx.args.imgsz), ctx.args.batch
        )

    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        """Return the metrics, and the fitness that decides which checkpoint is the best."""
        model = model if trainer is None else trainer.ema.ema
        found = [find(model, batch["img"], self.temperature) - batch["points"] for batch in self.dataloader]
        errors = torch.cat(found).norm(dim=-1)
        values = [(errors < 0.05).float().mean(), errors.mean(), *errors.mean(0)]
        metrics = {key: float(value) for key, value in zip(self.metrics.keys, values, strict=True)}
        return {**metrics, "fitness": metrics["metrics/PCK"]}


class PointPredictor:
    """Finds the points in an image, in the images of a folder, or in a list of images."""

    def __init__(self, ctx: PredictionContext, temperature: float) -> None:
        self.ctx, self.temperature = ctx, temperature

    def __call__(self, source: Any) -> Iterator[ImagePrediction]:
        """Yield what is found, image by image."""
        files = source if isinstance(source, list) else [source]
        if len(files) == 1 and Path(files[0]).is_dir():
            files = sorted(f for f in Path(files[0]).iterdir() if f.suffix in {".png", ".jpg"})
        for file in files:
            image = read_image(Path(file))
            places = find(self.ctx.model, as_tensor(image, self.ctx.args.imgsz)[None], self.temperature)[0]
            places *= torch.tensor([image.shape[1], image.shape[0]])
            objects = [
                {"name": name, "x": round(x, 2), "y": round(y, 2)}
                for name, (x, y) in zip(self.ctx.data["names"].values(), places.tolist(), strict=True)
            ]
            yield ImagePrediction(Path(file), image, objects)

"""A task as small as can be: how bright is an image? One linear layer; it keeps to every check of the kit."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from trainer_host import DatasetError, Finding, ImagePrediction, Problem, Sample, TaskSpec, hookimpl

SIZE = 32


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool, self.line = nn.AdaptiveAvgPool2d(2), nn.Linear(12, 1)

    def forward(self, x: Tensor | dict[str, Tensor]) -> Any:
        if not isinstance(x, dict):
            return self.line(self.pool(x).flatten(1))[:, 0]
        return self.loss(self(x["img"]), x["value"])

    def loss(self, found: Tensor, value: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (found - value).square().sum()
        return loss, {"square": loss.detach() / len(value)}


def read_image(file: Path) -> Tensor:
    pixels = np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


class Images:
    def __init__(self, file: str) -> None:
        self.rows = read_rows(Path(file))
        self.im_files = [str(image) for image, _ in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        file, value = self.rows[index]
        return {"img": read_image(file), "value": torch.tensor(value)}


def read_rows(file: Path) -> list[tuple[Path, float]]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return [(file.parent / name, float(value)) for name, value in csv.reader(lines)]
    except (OSError, ValueError) as error:
        raise DatasetError(Problem(f"the table cannot be read: {error}.", where=str(file))) from error


class Validator:
    def __init__(self, ctx: Any) -> None:
        self.metrics = SimpleNamespace(keys=["metrics/error"])
        self.dataloader = ctx.loader or DataLoader(Images(ctx.data["val"]), ctx.args.batch)

    @torch.no_grad()
    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        model = model if trainer is None else trainer.ema.ema
        errors = torch.cat([(model(b["img"]) - b["value"]).abs() for b in self.dataloader])
        return {"metrics/error": float(errors.mean()), "fitness": 1 / (1 + float(errors.mean()))}


class Predictor:
    def __init__(self, ctx: Any) -> None:
        self.model = ctx.model

    @torch.no_grad()
    def __call__(self, source: Any) -> Iterator[ImagePrediction]:
        files = [Path(f) for f in (source if isinstance(source, list) else [source])]
        for file in sorted(f for p in files for f in (p.iterdir() if p.is_dir() else [p])):
            yield ImagePrediction(file, np.asarray(Image.open(file)), [{"value": float(self.model(self.batch(file)))}])

    def batch(self, file: Path) -> Tensor:
        return read_image(file)[None]


def draw_sample(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        rows = []
        for number in range(count):
            name, value = f"{split}{number}.png", float(random.random())
            Image.fromarray(np.full((SIZE, SIZE, 3), 255 * value, np.uint8)).save(folder / name)
            rows.append(f"{name},{value:.3f}\n")
        (folder / f"{split}.csv").write_text("".join(rows))
    (folder / "toy.yaml").write_text(yaml.safe_dump({"train": "train.csv", "val": "val.csv", "toy": True}))
    return folder / "toy.yaml"


class ToyHooks:
    network, dataset, validator, predictor = Network, Images, Validator, Predictor

    @hookimpl
    def build_sample(self, ctx: Any) -> Sample:
        return Sample(draw_sample(ctx.folder), {"imgsz": SIZE, "optimizer": "SGD", "lr0": 0.004})

    @hookimpl
    def read_dataset(self, ctx: Any) -> dict[str, Any]:
        content = yaml.safe_load(Path(ctx.source).read_text()) or {}
        if not {"train", "val"} <= content.keys():
            raise DatasetError(Problem("the dataset has no splits.", where=ctx.source))
        splits = {name: str(Path(ctx.source).parent / content[name]) for name in ("train", "val")}
        return {"names": {0: "brightness"}, "channels": 3, **splits}

    @hookimpl
    def check_dataset(self, ctx: Any) -> Iterator[Finding]:
        for split in ("train", "val"):
            for image, _ in read_rows(Path(ctx.data[split])):
                if not image.is_file():
                    yield Finding("no-image", f"there is no image {image.name}.", "correct its name", ctx.data[split])

    @hookimpl
    def build_model(self, ctx: Any) -> nn.Module:
        return self.network()

    @hookimpl
    def build_dataset(self, ctx: Any) -> Images:
        return self.dataset(ctx.path)

    @hookimpl
    def build_dataloader(self, ctx: Any, dataset: Images) -> DataLoader[Any]:
        return DataLoader(dataset, ctx.batch_size, shuffle=ctx.mode == "train")  # type: ignore[arg-type]

    @hookimpl
    def build_validator(self, ctx: Any) -> Validator:
        return self.validator(ctx)

    @hookimpl
    def evaluate_best(self, ctx: Any) -> dict[str, float]:
        return dict(ctx.engine.measure_best())

    @hookimpl
    def build_predictor(self, ctx: Any) -> Predictor:
        return self.predictor(ctx)


TASK = TaskSpec(hooks=ToyHooks(), best_metric="min:metrics/error", metrics=("metrics/error",), dataset_keys=("toy",))

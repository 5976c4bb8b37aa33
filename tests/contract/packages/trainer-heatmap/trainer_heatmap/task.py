"""The task: a method for each decision that is its own. The host asks for them, and trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

import trainer_host as host
from trainer_heatmap import data, network
from trainer_host import hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@dataclass(frozen=True)
class Options:
    """Options: ``trainer run --task heatmap heatmap.channels=32``."""

    channels: int = 16  # of the network's first layer
    temperature: float = 0.5  # the lower, the closer a point lies to the peak of its heat map


class HeatmapHooks:
    """Everything that the task answers, in the order in which the host asks."""

    @hookimpl
    def build_sample(self, ctx: host.SampleContext) -> host.Sample:
        """Draw the dataset that ``trainer run --task heatmap`` trains on, and name the settings that suit it."""
        settings = {"epochs": 6, "warmup_epochs": 0, "imgsz": data.SIZE, "batch": 8, "nbs": 8, "lr0": 0.01}
        return host.Sample(data.draw_sample(ctx.folder), {**settings, "optimizer": "AdamW"})

    @hookimpl
    def read_dataset(self, ctx: host.DataContext) -> dict[str, Any]:
        """Read the YAML."""
        return data.read_description(ctx)

    @hookimpl
    def check_dataset(self, ctx: host.DataContext) -> Iterator[host.Finding]:
        """Yield what is wrong with the dataset; the host shows all of it at once."""
        return data.check_rows(ctx)

    @hookimpl
    def build_model(self, ctx: host.ModelContext) -> network.HeatmapNet:
        """Return the network, with those of the given weights that fit it."""
        if isinstance(ctx.cfg, str):
            raise host.SettingsError(host.Problem(f"model={ctx.cfg}: heatmap has its own network.", "remove model="))
        channels = (ctx.cfg or {}).get("channels") or ctx.options_for(Options).channels
        model = network.HeatmapNet(len(ctx.data["names"]), channels)
        if ctx.weights is not None:
            own, given = model.state_dict(), ctx.weights.state_dict()
            fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
            model.load_state_dict(fitting, strict=False)
        return model

    @hookimpl
    def build_dataset(self, ctx: host.LoaderContext) -> data.PointDataset:
        """Return the images and points of a split."""
        return data.PointDataset(ctx.path, ctx.args.imgsz)

    @hookimpl
    def build_dataloader(self, ctx: host.LoaderContext, dataset: data.PointDataset) -> DataLoader[Any]:
        """Return torch's own loader."""
        return DataLoader(dataset, ctx.batch_size, shuffle=ctx.mode == "train", num_workers=ctx.args.workers)

    @hookimpl(wrapper=True)
    def preprocess_batch(self, ctx: host.RunContext) -> Generator[None, dict[str, Any], dict[str, Any]]:
        """Scale pixels to [0, 1], after the host has moved the batch to the device."""
        batch = yield
        return {**batch, "img": batch["img"].float() / 255}

    @hookimpl
    def build_validator(self, ctx: host.ValidationContext) -> network.PointValidator:
        """Return what measures the network."""
        return network.PointValidator(ctx, ctx.options_for(Options).temperature)

    @hookimpl
    def evaluate_best(self, ctx: host.RunContext) -> dict[str, float]:
        """Measure the best checkpoint, and keep the error of each point next to it."""
        metrics: dict[str, float] = ctx.engine.measure_best()
        if ctx.save_dir is not None:
            errors = [f"{name},{metrics[f'metrics/error_{name}']:.5f}\n" for name in ctx.data["names"].values()]
            (ctx.save_dir / "points.csv").write_text("point,error\n" + "".join(errors), encoding="utf-8")
        return metrics

    @hookimpl
    def build_predictor(self, ctx: host.PredictionContext) -> network.PointPredictor:
        """Return what finds the points in images."""
        return network.PointPredictor(ctx, ctx.options_for(Options).temperature)

    @hookimpl
    def draw_prediction(self, ctx: host.PredictionContext, prediction: host.ImagePrediction) -> Any:
        """Mark each point with a cross."""
        return data.draw_points(prediction)


TASK = host.TaskSpec(
    hooks=HeatmapHooks(),
    options=Options,
    best_metric="metrics/PCK",
    metrics=("metrics/PCK", "metrics/error"),
    dataset_keys=("points",),
)

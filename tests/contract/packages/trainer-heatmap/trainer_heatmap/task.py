"""The task and its hooks. Listing plugins imports nothing, and this file nothing heavy before a hook runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host import Sample, SettingsError, TaskSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from trainer_host import (
        DataContext,
        Finding,
        ImagePrediction,
        ModelContext,
        PredictionContext,
        RunContext,
        SampleContext,
        ValidationContext,
    )


@dataclass(frozen=True)
class Options:
    """What a user may set: ``trainer run --task heatmap heatmap.channels=32``."""

    channels: int = 16
    """Channels of the first layer."""
    temperature: float = 0.5
    """The lower, the closer a point lies to its heat map's peak."""


class HeatmapHooks:
    """One method for each decision that the task makes; the host asks them in this order."""

    @hookimpl
    def sample(self, ctx: SampleContext) -> Sample:
        """Draw the dataset that ``trainer run --task heatmap`` trains on, and say what suits it."""
        from trainer_heatmap.data import SIZE, draw_sample

        settings = {"epochs": 12, "imgsz": SIZE, "batch": 8, "nbs": 8, "optimizer": "AdamW", "lr0": 0.01}
        return Sample(draw_sample(ctx.folder), settings)

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Mapping[str, Any]:
        """Read the YAML."""
        from trainer_heatmap.data import read_description

        return read_description(ctx)

    @hookimpl
    def check_dataset(self, ctx: DataContext) -> Iterator[Finding]:
        """Yield every line that cannot be used; the host shows all of them, and stops."""
        from trainer_heatmap.data import check_rows

        return check_rows(ctx)

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        """Return the network, with as many of the given weights as fit it."""
        from trainer_heatmap.network import HeatmapNet

        if isinstance(ctx.cfg, str) and ctx.cfg:
            raise SettingsError(f"model={ctx.cfg}: the task heatmap has one network of its own; leave model= out.")
        channels = (ctx.cfg or {}).get("channels", ctx.options_for(Options).channels)
        model = HeatmapNet(len(ctx.data["names"]), channels)
        if ctx.weights is not None:
            own, given = model.state_dict(), ctx.weights.state_dict()
            model.load_state_dict({k: given[k] if k in given and given[k].shape == v.shape else v for k, v in own.items()})
        return model

    @hookimpl
    def build_dataset(self, ctx: DataContext) -> Any:
        """Return the images and points of one split."""
        from trainer_heatmap.data import PointDataset

        return PointDataset(ctx.path, ctx.args.imgsz)

    @hookimpl
    def build_dataloader(self, ctx: DataContext, dataset: Any) -> Any:
        """Return torch's own loader."""
        from torch.utils.data import DataLoader

        return DataLoader(dataset, ctx.batch_size, shuffle=ctx.mode == "train", num_workers=ctx.args.workers)

    @hookimpl(wrapper=True)
    def preprocess_batch(self, ctx: RunContext, batch: dict[str, Any]) -> Generator[None, dict[str, Any], dict[str, Any]]:
        """Scale pixels to [0, 1], after the host has moved the batch to the device."""
        moved = yield
        return {**moved, "img": moved["img"].float() / 255}

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        """Return what measures the network, while training and afterwards."""
        from trainer_heatmap.network import PointValidator

        return PointValidator(ctx, ctx.options_for(Options).temperature)

    @hookimpl
    def final_eval(self, ctx: RunContext) -> Mapping[str, float]:
        """Measure the best checkpoint, and write the error of each point into the run's folder."""
        metrics: dict[str, float] = ctx.engine.measure_best()
        if ctx.save_dir is not None:
            lines = [f"{name},{metrics[f'metrics/error_{name}']:.5f}\n" for name in ctx.data["names"].values()]
            (ctx.save_dir / "points.csv").write_text("point,error\n" + "".join(lines), encoding="utf-8")
        return metrics

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> Any:
        """Return what finds the points in images."""
        from trainer_heatmap.network import PointPredictor

        return PointPredictor(ctx, ctx.options_for(Options).temperature)

    @hookimpl
    def draw(self, ctx: PredictionContext, prediction: ImagePrediction) -> Any:
        """Mark each point with a cross and its name."""
        from trainer_heatmap.data import draw_points

        return draw_points(prediction.image, prediction.objects)


TASK = TaskSpec(
    hooks=HeatmapHooks(),
    options=Options,
    best_metric="metrics/PCK",
    metrics=("metrics/PCK", "metrics/error"),
    dataset_keys=("points",),
)

"""The task: that of `heatmap`, with data that is streamed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trainer_heatmap.task as heatmap
import yaml
from trainer_heatmap import network

import trainer_host as host
from trainer_host import hookimpl
from trainer_shards import shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Options(heatmap.Options, shards.Options):
    """Options of the network and of the stream."""


class ShardHooks:
    """Answers what concerns the data; the network, and what follows from it, are those of `heatmap`."""

    build_model = heatmap.HeatmapHooks.build_model
    preprocess_batch = heatmap.HeatmapHooks.preprocess_batch
    evaluate_best = heatmap.HeatmapHooks.evaluate_best
    build_predictor = heatmap.HeatmapHooks.build_predictor
    draw_prediction = heatmap.HeatmapHooks.draw_prediction

    @hookimpl
    def build_sample(self, ctx: host.SampleContext) -> host.Sample:
        """Draw the sample of `heatmap`, and pack it into shards."""
        drawn = heatmap.HeatmapHooks().build_sample(ctx)
        content = yaml.safe_load(drawn.data.read_text(encoding="utf-8"))
        index: dict[str, Any] = {"points": content["points"]}
        for split, per_shard in (("train", 12), ("val", 16)):
            index[split] = shards.pack(ctx.folder / content[split], ctx.folder, split, per_shard)
        (ctx.folder / "index.yaml").write_text(yaml.safe_dump(index), encoding="utf-8")
        return host.Sample(ctx.folder / "index.yaml", drawn.settings)

    @hookimpl
    def read_dataset(self, ctx: host.DataContext) -> dict[str, Any]:
        """Read the index."""
        return shards.read_index(ctx)

    @hookimpl
    def check_dataset(self, ctx: host.DataContext) -> Iterator[host.Finding]:
        """Yield the shards that are missing. Their content is checked as it is read."""
        for place in (place for split in dict.fromkeys(("train", ctx.split)) for place in ctx.data[split]["shards"]):
            if "://" not in place and not Path(place).is_file():
                yield host.Finding("no-shard", "shard not found.", "correct its name in the index", place)

    @hookimpl
    def build_dataset(self, ctx: host.LoaderContext) -> shards.ShardDataset:
        """Return the stream of a split: for training the part of this process, for validation all of it."""
        training = ctx.mode == "train"
        seed = ctx.args.seed if training else None
        place = (ctx.rank, ctx.world_size) if training else (0, 1)
        buffer = ctx.options_for(Options).buffer
        return shards.ShardDataset(ctx.path, ctx.args.imgsz, ctx.batch_size, seed, buffer, place)

    @hookimpl
    def build_dataloader(self, ctx: host.LoaderContext, dataset: shards.ShardDataset) -> shards.ShardLoader:
        """Return the loader, which knows the size of its batches itself."""
        if ctx.batch_size < ctx.world_size:
            what = f"batch={ctx.batch_size} is less than one image for each of {ctx.world_size} processes."
            raise host.SettingsError(host.Problem(what, f"give batch={ctx.world_size} or more"))
        dataset.batch = ctx.batch_size
        return shards.ShardLoader(dataset, ctx.args.workers)

    @hookimpl
    def build_validator(self, ctx: host.ValidationContext) -> network.PointValidator:
        """Return what measures the network, on a stream too."""
        if ctx.loader is None:
            args = ctx.args
            dataset = shards.ShardDataset(ctx.data[args.split], args.imgsz, args.batch, None, 1, (0, 1))
            ctx = replace(ctx, loader=shards.ShardLoader(dataset, args.workers))
        return network.PointValidator(ctx, ctx.options_for(Options).temperature)

    @hookimpl
    def state_dict(self, ctx: host.RunContext) -> dict[str, Any]:
        """Return what the order of an epoch depends on besides the seed."""
        return self._order(ctx)

    @hookimpl
    def load_state_dict(self, ctx: host.RunContext, state: Mapping[str, Any]) -> None:
        """Refuse to go on in another order, in which some samples of the epoch would come twice and others never."""
        for key, value in self._order(ctx).items():
            if ctx.engine is not None and key in state and state[key] != value:
                what = f"{key}={value} is not that of the state, {state[key]}: shards are divided by it."
                raise host.SettingsError(host.Problem(what, f"resume with {key}={state[key]}"))

    @staticmethod
    def _order(ctx: host.RunContext) -> dict[str, Any]:
        return {"workers": int(ctx.args.workers), "processes": ctx.world_size}


TASK = host.TaskSpec(
    hooks=ShardHooks(),
    options=Options,
    best_metric="metrics/PCK",
    metrics=("metrics/PCK", "metrics/error"),
)

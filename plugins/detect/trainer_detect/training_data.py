"""Training and validation data of boxes: the engine's dataset, loader and batches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_host import AutobatchHints, LoaderContext, RunContext

PREFETCHED = 4
"""Batches that each worker process has ready."""


def build_dataset(ctx: LoaderContext) -> Any:
    """Return the engine's dataset; validation images are padded to rectangles.

    Raises:
        DatasetError: If the engine cannot use the images, the labels, or the keys of the dataset.
    """
    from trainer_detect.dataset import parsed_dataset

    return parsed_dataset(ctx, rect=ctx.mode == "val")


def build_loader(ctx: LoaderContext, dataset: Any) -> Any:
    """Return the engine's loader.

    Rectangular training batches differ in shape, so that a shuffled loader could not stack them.

    Raises:
        PluginError: If the sampler is not one, or has no images.
    """
    if ctx.sampler is not None:
        return sampled_loader(ctx, dataset, ctx.sampler)
    import numpy as np
    from ultralytics.data import build_dataloader
    from ultralytics.utils import LOGGER

    training = ctx.mode == "train"
    shuffle = training
    if training and getattr(dataset, "rect", False) and np.any(dataset.batch_shapes != dataset.batch_shapes[0]):
        LOGGER.warning("'rect=True' is incompatible with DataLoader shuffle, setting shuffle=False")
        shuffle = False
    return build_dataloader(
        dataset,
        batch=ctx.batch_size,
        workers=ctx.args.workers * (1 if training else 2),
        shuffle=shuffle,
        rank=-1,  # the host gives each process its part of a batch
        drop_last=ctx.args.compile and training,
        device=ctx.device,
    )


def sampled_loader(ctx: LoaderContext, dataset: Any, sampler: Any) -> Any:
    """Return a loader like the engine's own, which takes no sampler, for the images of a sampler.

    Raises:
        PluginError: If it is not a sampler, or has no images.
    """
    import torch
    from ultralytics.data.build import InfiniteDataLoader, seed_worker

    from trainer_host import PluginError, Problem

    try:
        images = len(sampler)
    except TypeError:
        images = 0
    if not images:
        fix = "return a torch.utils.data.Sampler with a length: docs/how-to/choose-the-images-of-an-epoch.md"
        raise PluginError(Problem(f"the sampler {type(sampler).__name__} chooses no images.", fix))
    batch = min(ctx.batch_size, len(dataset))
    batches = -(-images // batch)
    workers = min(os.cpu_count() or 1, ctx.args.workers, batches if batches > 1 else 0)
    return InfiniteDataLoader(
        dataset=dataset,
        batch_size=batch,
        sampler=sampler,
        num_workers=workers,
        prefetch_factor=PREFETCHED if workers else None,
        pin_memory=getattr(ctx.device, "type", "cpu") == "cuda",
        collate_fn=getattr(dataset, "collate_fn", None),
        worker_init_fn=seed_worker,
        generator=torch.Generator().manual_seed(torch.initial_seed()),
        drop_last=bool(ctx.args.compile) and images > batch and images % batch != 0,
    )


def preprocess_batch(ctx: RunContext, batch: dict[str, Any]) -> dict[str, Any]:
    """Have the engine's detection trainer prepare the batch."""
    from ultralytics.models.yolo.detect import DetectionTrainer as Engine

    prepared: dict[str, Any] = Engine.preprocess_batch(ctx.engine, batch)
    return prepared


def autobatch_hints(ctx: RunContext) -> AutobatchHints:
    """Return four times the objects of the fullest training image, since a mosaic joins four."""
    from ultralytics.utils.patches import override_configs

    from trainer_host import AutobatchHints

    trainer = ctx.engine
    with override_configs(trainer.args, overrides={"cache": False}) as trainer.args:
        dataset = trainer.build_dataset(trainer.data["train"], mode="train", batch=16)
    return AutobatchHints(max(len(label["cls"]) for label in dataset.labels) * 4, len(dataset))

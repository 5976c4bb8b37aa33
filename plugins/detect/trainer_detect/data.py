"""Reading datasets of boxes, and the engine's loader for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_detect.source import dataset_yaml, datasets_folder
from trainer_host.data.reader import read_dataset as read_yaml

if TYPE_CHECKING:
    from trainer_host import AutobatchHints, DataContext, RunContext
    from trainer_host.data.description import Description


def read_dataset(ctx: DataContext) -> Description:
    """Read a dataset YAML with its images and labels.

    Raises:
        DatasetError: If there is none.
        UnsafeError: If something would be fetched that nobody asked for.
    """
    return read_yaml(dataset_yaml(ctx), datasets_folder, ctx.split)


def build_dataset(ctx: DataContext) -> Any:
    """Return the engine's dataset; validation images are padded to rectangles.

    Raises:
        DatasetError: If the engine cannot use the images, the labels, or the keys of the dataset.
    """
    from trainer_detect.dataset import parsed_dataset

    return parsed_dataset(ctx.args, ctx.path, ctx.batch_size, ctx.data, ctx.mode, ctx.stride, ctx.mode == "val")


def build_loader(ctx: DataContext, dataset: Any) -> Any:
    """Return the engine's loader.

    Rectangular training batches differ in shape, so that a shuffled loader could not stack them.
    """
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
        rank=ctx.rank,
        drop_last=ctx.args.compile and training,
        device=ctx.device,
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

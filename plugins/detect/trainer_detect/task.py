"""The detect task and its hooks. Nothing heavy is imported before a hook runs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from trainer_host import DONE, Sample, TaskSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trainer_host import (
        AutobatchHints,
        DataContext,
        Finding,
        Histogram,
        LabelContext,
        LoaderContext,
        LossContext,
        ModelContext,
        PlotContext,
        PredictionContext,
        RunContext,
        SampleContext,
        Shape,
        ValidationContext,
    )

HEADS = frozenset({"Detect", "v10Detect"})
"""Heads of a model that the task can train."""


class DetectHooks:
    """Boxes with classes."""

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Mapping[str, Any]:
        """Read a dataset YAML with its images and labels."""
        from trainer_host.ultralytics import read_yaml_dataset

        return read_yaml_dataset(ctx)

    @hookimpl
    def check_dataset(self, ctx: DataContext) -> Iterable[Finding]:
        """Check rows, classes and boxes, and whether the models of the run fit them."""
        from trainer_detect.checks import check_dataset
        from trainer_detect.model_fit import check_models
        from trainer_detect.unused_keypoints import check_unused

        return chain(check_dataset(ctx), check_unused(ctx), check_models(ctx))

    @hookimpl
    def annotate_image(self, ctx: LabelContext) -> Sequence[Shape]:
        """Return boxes with the names of their classes."""
        from trainer_detect.annotations import annotate

        return annotate(ctx)

    @hookimpl
    def histograms(self, ctx: DataContext) -> Iterable[Histogram]:
        """Count classes, sizes of boxes, and objects."""
        from trainer_detect.annotations import histograms

        return histograms(ctx)

    @hookimpl
    def build_dataset(self, ctx: LoaderContext) -> Any:
        """Return the engine's dataset."""
        from trainer_detect.training_data import build_dataset

        return build_dataset(ctx)

    @hookimpl
    def build_dataloader(self, ctx: LoaderContext, dataset: Any) -> Any:
        """Return the engine's loader, unshuffled where batches have different shapes."""
        from trainer_detect.training_data import build_loader

        return build_loader(ctx, dataset)

    @hookimpl
    def preprocess_batch(self, ctx: RunContext, batch: dict[str, Any]) -> dict[str, Any]:
        """Move the batch to the device, scale pixels to [0, 1], and vary the size for ``multi_scale``."""
        from trainer_detect.training_data import preprocess_batch

        return preprocess_batch(ctx, batch)

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        """Return the engine's detection model, its class layer mapped by name from the weights."""
        from ultralytics.nn.tasks import DetectionModel

        from trainer_detect.model import build_model

        return build_model(ctx, DetectionModel, HEADS)

    @hookimpl
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Set the number and names of the classes, and the settings that the loss reads."""
        model: Any = ctx.model
        model.nc = ctx.data["nc"]
        model.names = ctx.data["names"]
        model.args = ctx.args

    @hookimpl
    def finish_setup(self, ctx: RunContext) -> None:
        """Align ``max_det`` with the dataset, and weigh the classes."""
        from trainer_detect.model import align_max_det, weigh_classes

        align_max_det(ctx)
        weigh_classes(ctx)

    @hookimpl
    def share_loss(self, ctx: LossContext, loss: Any) -> Any:
        """Have a loss of the engine divide by counts of the batch of all processes."""
        from trainer_detect.shared_loss import shared

        return shared(loss, ctx.sum_over_ranks)

    @hookimpl
    def build_autobatch_hints(self, ctx: RunContext) -> AutobatchHints:
        """Return how many objects a mosaic of training images can hold."""
        from trainer_detect.training_data import autobatch_hints

        return autobatch_hints(ctx)

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        """Return the engine's validator of boxes."""
        from trainer_detect.validator import BoxValidator

        return BoxValidator.of(ctx)

    @hookimpl
    def plot_data(self, ctx: PlotContext) -> Any:
        """Draw a batch, or the boxes of the dataset, as the engine does."""
        from ultralytics.models.yolo.detect import DetectionTrainer as Engine

        if ctx.batch is None:
            Engine.plot_training_labels(ctx.engine)
        else:
            Engine.plot_training_samples(ctx.engine, ctx.batch, ctx.step)
        return DONE

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> Any:
        """Return a predictor of boxes."""
        from trainer_detect.predictor import BoxPredictor

        return BoxPredictor(ctx)

    @hookimpl
    def draw_prediction(self, ctx: PredictionContext, prediction: Any) -> Any:
        """Draw boxes with class and confidence."""
        from trainer_detect.predictor import draw_boxes

        return draw_boxes(prediction, ctx.args)

    @hookimpl
    def build_sample(self, ctx: SampleContext) -> Sample:
        """Draw shapes on textured backgrounds."""
        from trainer_detect.sample import SETTINGS, draw_sample

        return Sample(draw_sample(ctx.folder), SETTINGS)


TASK = TaskSpec(
    hooks=DetectHooks(),
    engine_task="detect",
    default_model="yolo26n.pt",
    scratch_model="yolo26n.yaml",
    metrics=("metrics/mAP50(B)", "metrics/mAP50-95(B)"),
    dataset_keys=("names",),
    known_keys=("kpt_shape", "flip_idx", "kpt_names", "kpt_oks_sigmas", "skeleton", "masks_dir"),
)

"""Instance segmentation: what differs from the detect task. Nothing heavy is imported before a hook runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host import TaskSpec, hookimpl

if TYPE_CHECKING:
    from trainer_host import ModelContext, PredictionContext, Sample, SampleContext, ValidationContext


class SegmentHooks:
    """Boxes with masks, whose labels are polygons."""

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        from ultralytics.nn.tasks import SegmentationModel

        from trainer_detect import build_model

        return build_model(ctx, SegmentationModel, {"Segment", "Segment26"})

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        from trainer_segment.masks import MaskValidator

        return MaskValidator.of(ctx)

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> Any:
        from trainer_segment.masks import MaskPredictor

        return MaskPredictor(ctx)

    @hookimpl
    def draw_prediction(self, prediction: Any) -> Any:
        from trainer_segment.masks import draw_masks

        return draw_masks(prediction)

    @hookimpl
    def build_sample(self, ctx: SampleContext) -> Sample:
        from trainer_detect import outline_row, shapes_sample

        return shapes_sample(ctx.folder, outline_row, "yolo11n-seg.yaml")


TASK = TaskSpec(
    hooks=SegmentHooks(),
    base="detect",
    engine_task="segment",
    default_model="yolo26n-seg.pt",
    scratch_model="yolo26n-seg.yaml",
    metrics=("metrics/mAP50-95(B)", "metrics/mAP50(M)", "metrics/mAP50-95(M)"),
)

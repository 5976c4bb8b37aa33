"""Oriented boxes: what differs from the detect task. Nothing heavy is imported before a hook runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host import TaskSpec, hookimpl

if TYPE_CHECKING:
    from trainer_host import ModelContext, PredictionContext, Sample, SampleContext, ValidationContext


class OrientedHooks:
    """Boxes at any angle, whose labels are their four corners."""

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        from ultralytics.nn.tasks import OBBModel

        from trainer_detect import build_model

        return build_model(ctx, OBBModel, {"OBB", "OBB26"})

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        from trainer_obb.oriented import OrientedValidator

        return OrientedValidator.of(ctx)

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> Any:
        from trainer_obb.oriented import OrientedPredictor

        return OrientedPredictor(ctx)

    @hookimpl
    def draw_prediction(self, prediction: Any) -> Any:
        from trainer_obb.oriented import draw_corners

        return draw_corners(prediction)

    @hookimpl
    def build_sample(self, ctx: SampleContext) -> Sample:
        from trainer_detect import corner_row, shapes_sample

        return shapes_sample(ctx.folder, corner_row, "yolo11n-obb.yaml")


TASK = TaskSpec(
    hooks=OrientedHooks(),
    base="detect",
    engine_task="obb",
    default_model="yolo26n-obb.pt",
    scratch_model="yolo26n-obb.yaml",
    best_metric="metrics/mAP50-95(B)",
    metrics=("metrics/mAP50(B)", "metrics/mAP50-95(B)"),
)

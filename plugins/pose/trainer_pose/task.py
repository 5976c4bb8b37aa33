"""The pose task: what differs from detect. Nothing heavy is imported before a hook runs."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from trainer_host import Sample, TaskSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from trainer_host import (
        DataContext,
        Finding,
        Histogram,
        LabelContext,
        LossContext,
        ModelContext,
        PredictionContext,
        SampleContext,
        Shape,
        ValidationContext,
    )

HEADS = frozenset({"Pose", "Pose26"})
"""Heads of a model that the task can train."""


class PoseHooks:
    """Boxes with keypoints."""

    @hookimpl(wrapper=True)
    def read_dataset(self, ctx: DataContext) -> Generator[None, Any, Any]:
        """Complete a dataset whose format has no place for what mirrors its keypoints."""
        from trainer_host.data import Description
        from trainer_pose.formats import completed

        data = yield
        return completed(Description.of(data, ctx.source))

    @hookimpl
    def check_dataset(self, ctx: DataContext) -> Iterable[Finding]:
        """Check keypoints, the keys that describe them, and whether the models of the run fit them."""
        from trainer_pose.checks import check_dataset
        from trainer_pose.device_checks import check_device
        from trainer_pose.model_fit import check_models

        return chain(check_dataset(ctx), check_models(ctx), check_device(ctx))

    @hookimpl
    def suggest_keys(self, ctx: DataContext) -> dict[str, Any]:
        """Suggest the mirror image of the keypoints by their names, and the engine's default sigmas."""
        from trainer_host.data import Description
        from trainer_pose.suggestions import yaml_patch

        return yaml_patch(Description.of(ctx.data, ctx.source))

    @hookimpl
    def annotate_image(self, ctx: LabelContext) -> Sequence[Shape]:
        """Return boxes, and keypoints with their names and skeleton."""
        from trainer_pose.annotations import annotate

        return annotate(ctx)

    @hookimpl
    def histograms(self, ctx: DataContext) -> Iterable[Histogram]:
        """Count keypoints by their visibility."""
        from trainer_pose.annotations import histograms

        return histograms(ctx)

    @hookimpl
    def build_model(self, ctx: ModelContext) -> Any:
        """Return the engine's pose model for the dataset's keypoints."""
        from ultralytics.nn.tasks import PoseModel

        from trainer_detect.model import build_model

        return build_model(ctx, PoseModel, HEADS, data_kpt_shape=ctx.data["kpt_shape"])

    @hookimpl
    def set_model_attributes(self, ctx: ModelContext) -> None:
        """Set shape, sigmas and names of the keypoints; names default to numbers."""
        model: Any = ctx.model
        data = ctx.data
        model.kpt_shape = data["kpt_shape"]
        model.kpt_oks_sigmas = data.get("kpt_oks_sigmas")
        numbers = [str(i) for i in range(model.kpt_shape[0])]
        model.kpt_names = data.get("kpt_names") or dict.fromkeys(range(model.nc), numbers)

    @hookimpl
    def share_loss(self, ctx: LossContext, loss: Any) -> Any:
        """Have a loss of the engine divide by counts of the batch of all processes, its keypoints among them."""
        from trainer_detect.shared_loss import shared
        from trainer_pose.shared_loss import SharedKeypointLoss

        return shared(loss, ctx.sum_over_ranks, SharedKeypointLoss)

    @hookimpl
    def build_validator(self, ctx: ValidationContext) -> Any:
        """Return the engine's validator of boxes and keypoints."""
        from trainer_pose.validator import KeypointValidator

        return KeypointValidator.of(ctx)

    @hookimpl
    def build_predictor(self, ctx: PredictionContext) -> Any:
        """Return a predictor of boxes and keypoints."""
        from trainer_pose.device_checks import warn_of_device
        from trainer_pose.predictor import KeypointPredictor

        warn_of_device(ctx)
        return KeypointPredictor(ctx)

    @hookimpl
    def draw_prediction(self, ctx: PredictionContext, prediction: Any) -> Any:
        """Draw boxes, keypoints and the dataset's skeleton."""
        from trainer_pose.predictor import draw_keypoints

        return draw_keypoints(ctx, prediction)

    @hookimpl
    def build_sample(self, ctx: SampleContext) -> Sample:
        """Draw articulated figures on textured backgrounds."""
        from trainer_pose.sample import SETTINGS, draw_sample

        return Sample(draw_sample(ctx.folder), SETTINGS)


TASK = TaskSpec(
    hooks=PoseHooks(),
    base="detect",
    engine_task="pose",
    default_model="yolo26n-pose.pt",
    scratch_model="yolo26n-pose.yaml",
    metrics=("metrics/mAP50(B)", "metrics/mAP50(P)", "metrics/mAP50-95(P)"),
    dataset_keys=("names", "kpt_shape"),
    known_keys=("kpt_shape", "flip_idx", "kpt_names", "kpt_oks_sigmas", "skeleton"),
)

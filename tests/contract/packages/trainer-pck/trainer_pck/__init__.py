"""The extension `pck`: the share of keypoints that are found where they are.

trainer run --task pose --plugin pck pck.threshold=0.05 --best-metric metrics/PCK data=mice/data.yaml
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.ops import box_iou

from trainer_host import Detections, ExtensionSpec, PluginError, ValidationContext, hookimpl


@dataclass(frozen=True)
class Options:
    """The options."""

    threshold: float = 0.1  # how far from its place a keypoint may be, as a share of the diagonal of its object's box


class CorrectKeypoints:
    """The share of the labelled keypoints that are near their place; those of objects that were missed are not.

    An object is found by the most confident prediction of its class whose box overlaps its own by half.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Begin a new measurement."""
        self.correct = self.labelled = 0

    def update(self, found: Detections, truth: Detections) -> None:
        """Count the keypoints of an image."""
        if truth.points is None or found.points is None:
            raise PluginError("pck measures keypoints, and the task has none.")
        labelled = truth.points[..., 2] > 0  # (N, K)
        self.labelled += int(labelled.sum())
        if not len(found) or not len(truth):
            return
        same = truth.classes[:, None] == found.classes  # (N, M)
        overlap = box_iou(truth.boxes, found.boxes) >= 0.5
        scores, best = torch.where(same & overlap, found.scores, 0.0).max(dim=1)
        distances = (found.points[best, :, :2] - truth.points[..., :2]).norm(dim=-1)  # (N, K)
        diagonals = (truth.boxes[:, 2:] - truth.boxes[:, :2]).norm(dim=-1, keepdim=True)
        near = (distances <= self.threshold * diagonals) & (scores[:, None] > 0)
        self.correct += int((near & labelled).sum())

    def compute(self) -> float:
        """Return the share, 0 where nothing is labelled."""
        return self.correct / max(self.labelled, 1)


class Hooks:
    """A metric."""

    @hookimpl
    def metrics(self, ctx: ValidationContext) -> dict[str, CorrectKeypoints]:
        """Return the metric by its name."""
        return {"metrics/PCK": CorrectKeypoints(ctx.options_for(Options).threshold)}


EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)

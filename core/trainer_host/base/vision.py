"""Images with their objects, independent of the engine's names: for augmentations, metrics and post-processing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Array, Image, Tensor


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Objects of one image: predictions, or labels.

    Attributes:
        boxes: Shape (N, 4): x1, y1, x2, y2 in pixels. Or (N, 5): centre, width, height in pixels and angle in radians.
        classes: Shape (N,): class indices.
        scores: Shape (N,): confidences from 0 to 1; ones for labels.
        shape: Height and width in pixels of the image that the coordinates refer to.
        points: Shape (N, K, 2) or (N, K, 3): x and y in pixels, then confidence, or visibility (0, 1 or 2) of labels;
            None for a task without points.
        extra: Further tensors of the task by name, such as masks, with one entry for each object.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor
    shape: tuple[int, int]
    points: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)

    def keep(self, which: Tensor) -> Detections:
        """Return a selection of the objects.

        Args:
            which: Indices, or a boolean for each object.
        """
        return replace(
            self,
            boxes=self.boxes[which],
            classes=self.classes[which],
            scores=self.scores[which],
            points=None if self.points is None else self.points[which],
            extra={name: values[which] for name, values in self.extra.items()},
        )


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """A training image with its labels, between two augmentations.

    Attributes:
        image: Shape (H, W, C), uint8, BGR.
        boxes: Shape (N, 4), float32: x1, y1, x2, y2 in pixels.
        classes: Shape (N,): class indices.
        points: Shape (N, K, 3), float32: x and y in pixels, and the visibility (0, 1 or 2); None for a task without
            points.
        flip_idx: Index of each point's counterpart in a mirrored image; empty if the dataset does not define it.
    """

    image: Image
    boxes: Array
    classes: Array
    points: Array | None = None
    flip_idx: tuple[int, ...] = ()

    def mirrored(self) -> AnnotatedImage:
        """Return the image and its labels flipped left to right, with left and right points swapped."""
        width = self.image.shape[1]
        boxes = self.boxes.copy()
        boxes[:, [0, 2]] = width - self.boxes[:, [2, 0]]
        points = self.points
        if points is not None:
            points = points.copy()
            points[..., 0] = width - points[..., 0]
        return replace(self, image=self.image[:, ::-1].copy(), boxes=boxes, points=points).swapped()

    def swapped(self) -> AnnotatedImage:
        """Return the image with left and right points swapped, for an augmentation that mirrored it by itself."""
        if self.points is None or not self.flip_idx:
            return self
        return replace(self, points=self.points[:, list(self.flip_idx)])

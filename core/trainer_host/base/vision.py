"""Images with their objects, as augmentations, metrics and post-processing see them, whatever the engine calls them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Detections:
    """The objects of one image: what a model found, or its labels.

    Attributes:
        boxes: Tensor of shape (N, 4), x1, y1, x2, y2 in pixels; or (N, 5), centre, width, height and angle in radians.
        classes: Tensor of shape (N,), class indices.
        scores: Tensor of shape (N,), confidences from 0 to 1; ones for labels.
        shape: Height and width in pixels of the image that the coordinates belong to.
        points: Tensor of shape (N, K, 2) or (N, K, 3), x and y in pixels and a confidence, of labels the
            visibility (0, 1 or 2); None for a task without points.
        extra: Further tensors of the task by name, such as masks, with one entry for each object.
    """

    boxes: Any
    classes: Any
    scores: Any
    shape: tuple[int, int]
    points: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.boxes)

    def keep(self, which: Any) -> Detections:
        """Return some of the objects.

        Args:
            which: Tensor of indices, or of truth values, one for each object.
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
    """A training image with its labels, on its way through the augmentations.

    Attributes:
        image: Array of shape (H, W, C), uint8, BGR.
        boxes: Array of shape (N, 4), float32, x1, y1, x2, y2 in pixels.
        classes: Array of shape (N,), class indices.
        points: Array of shape (N, K, 3), float32, x and y in pixels and the visibility (0, 1 or 2); None for a
            task without points.
        flip_idx: For each point the one that it is in a mirrored image; empty where the dataset does not say it.
    """

    image: Any
    boxes: Any
    classes: Any
    points: Any = None
    flip_idx: tuple[int, ...] = ()

    def mirrored(self) -> AnnotatedImage:
        """Return the image and its labels flipped from left to right, left and right points swapped."""
        width = self.image.shape[1]
        boxes = self.boxes.copy()
        boxes[:, [0, 2]] = width - self.boxes[:, [2, 0]]
        points = self.points
        if points is not None:
            points = points.copy()
            points[..., 0] = width - points[..., 0]
        return replace(self, image=self.image[:, ::-1].copy(), boxes=boxes, points=points).swapped()

    def swapped(self) -> AnnotatedImage:
        """Return the image with left and right points swapped, as they are once something mirrored it."""
        if self.points is None or not self.flip_idx:
            return self
        return replace(self, points=self.points[:, list(self.flip_idx)])

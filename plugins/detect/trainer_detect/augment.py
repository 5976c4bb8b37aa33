"""Augmentations of plugins, as a step of the engine's transforms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.utils.instance import Instances

from trainer_host import AnnotatedImage, PluginError, Problem
from trainer_host.data import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer_host.typing import Augmentation

ADVICE = "see docs/how-to/add-an-augmentation.md"


class Augment:
    """Calls functions with an image and its labels, and checks what they return.

    Boxes are clipped to the image and objects without an area removed; points outside become invisible.

    Args:
        functions: The augmentations, in the order in which they are applied.
        classes: Number of classes.
        flip_idx: For each point the one that it is in a mirrored image.
    """

    def __init__(self, functions: Sequence[Augmentation], classes: int, flip_idx: Sequence[int] = ()) -> None:
        self.functions, self.classes, self.flip_idx = tuple(functions), classes, tuple(flip_idx)

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Return the engine's labels with image, classes and instances changed.

        Raises:
            PluginError: If an augmentation returns what cannot be trained on.
        """
        found = self._annotated(labels)
        for function in self.functions:
            found = self._checked(function, found)
        height, width = found.image.shape[:2]
        instances = Instances(found.boxes, keypoints=found.points, bbox_format="xyxy", normalized=False)
        instances.clip(width, height)
        kept = instances.remove_zero_area_boxes()
        return {**labels, "img": found.image, "cls": found.classes[kept, None], "instances": instances}

    def _annotated(self, labels: dict[str, Any]) -> AnnotatedImage:
        image, instances = labels["img"], labels["instances"]
        instances.convert_bbox("xyxy")
        instances.denormalize(image.shape[1], image.shape[0])
        points = instances.keypoints
        return AnnotatedImage(
            image=image.copy(order="C"),  # it may be the one that is kept in memory for the next epoch
            boxes=instances.bboxes.astype(np.float32),
            classes=labels["cls"][:, 0].astype(np.float32),
            points=None if points is None else points.astype(np.float32),
            flip_idx=self.flip_idx,
        )

    def _checked(self, function: Augmentation, before: AnnotatedImage) -> AnnotatedImage:
        try:
            after = self._read(function(before), before)
        except _WrongError as error:
            name = getattr(function, "__qualname__", type(function).__qualname__)
            raise PluginError(
                Problem(f"the augmentation {name} returned {error}.", ADVICE, _place(function))
            ) from error
        return after

    def _read(self, after: Any, before: AnnotatedImage) -> AnnotatedImage:
        if not isinstance(after, AnnotatedImage):
            raise _WrongError(f"a {type(after).__name__}, not an AnnotatedImage")
        image = after.image
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != before.image.shape:
            got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise _WrongError(f"an image that is {got} instead of uint8 {before.image.shape}")
        boxes = _array("boxes", after.boxes, (4,))
        classes = _array("classes", after.classes, ())
        if ((classes < 0) | (classes >= self.classes) | (classes % 1 != 0)).any():
            raise _WrongError(f"a class that is not one of 0 to {self.classes - 1}")
        points = after.points
        if (points is None) != (before.points is None):
            raise _WrongError("no points, but was given points" if points is None else "points, but was given none")
        if points is not None and before.points is not None:
            points = _array("points", points, before.points.shape[1:])
        counts = {len(boxes), len(classes), len(boxes if points is None else points)}
        if len(counts) > 1:
            numbers = [counted(len(boxes), "box", "boxes"), counted(len(classes), "class", "classes")]
            numbers += [] if points is None else [f"points of {counted(len(points), 'object')}"]
            raise _WrongError(", ".join(numbers))
        return replace(after, boxes=boxes, classes=classes, points=points, flip_idx=self.flip_idx)


def _place(function: Augmentation) -> str | None:
    """Return file and line of a function, or of an object that is called as one."""
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else None


class _WrongError(ValueError):
    """The return value of an augmentation is invalid."""


def _array(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return one row for each object; an empty list is none, whatever its shape."""
    try:
        array = np.array(value, np.float32)
    except (TypeError, ValueError) as error:
        raise _WrongError(f"{name} that are not an array of numbers") from error
    if not array.size:
        array = array.reshape(0, *shape)
    if array.shape[1:] != shape or not array.ndim:
        wanted = ", ".join(["N", *map(str, shape)])
        raise _WrongError(f"{name} of shape {array.shape} instead of ({wanted})")
    if not np.isfinite(array).all():
        raise _WrongError(f"{name} that are not finite")
    return array

"""The extension `albumentations`: flips, rotations, blur and light for images with boxes and keypoints.

trainer run --task pose --plugin albumentations albumentations.rotate=20 data=mice/data.yaml
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace

import numpy as np

from trainer_host import AnnotatedImage, ExtensionSpec, LoaderContext, hookimpl

MIDDLE = 0.5
"""Here the first pixel reaches from 0 to 1; there a keypoint at 0 lies in its middle."""


@dataclass(frozen=True)
class Options:
    """The options."""

    flip: float = 0.5  # probability of a flip from left to right
    rotate: float = 10.0  # degrees at most, to either side
    blur: float = 0.1  # probability
    brightness: float = 0.2  # change at most, as a share


class Pipeline:
    """Changes an image with its labels. An object of a class at the module's top can go to worker processes."""

    def __init__(self, options: Options) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask a server for its latest release
        import albumentations as A

        self.transforms = A.Compose(
            [
                A.HorizontalFlip(p=options.flip),
                A.Rotate(options.rotate, p=1.0),
                A.Blur(p=options.blur),
                A.RandomBrightnessContrast(options.brightness, 0.0, p=1.0),
            ],
            bbox_params=A.BboxParams("pascal_voc", label_fields=["rows"], clip=True),
            keypoint_params=A.KeypointParams("xy", remove_invisible=False),
        )

    def __call__(self, image: AnnotatedImage) -> AnnotatedImage:
        """Return the changed image."""
        (height, width), count = image.image.shape[:2], len(image.boxes)
        corners = np.array([[0, 0], [width, 0], [0, height]], np.float32)
        points = np.zeros((count, 0, 3), np.float32) if image.points is None else image.points
        places = np.concatenate([corners, points[..., :2].reshape(-1, 2)]) - MIDDLE
        self.transforms.set_random_seed(random.getrandbits(32))  # the run's seed decides
        done = self.transforms(image=image.image, bboxes=image.boxes, rows=np.arange(count), keypoints=places)
        rows = np.array(done["rows"], int)  # objects that left the image are gone
        changed = replace(image, image=done["image"], boxes=done["bboxes"], classes=image.classes[rows])
        if image.points is None:
            return changed
        places = done["keypoints"][3:].reshape(*points.shape[:2], 2) + MIDDLE
        changed = replace(changed, points=np.concatenate([places, points[..., 2:]], axis=-1)[rows])
        origin, right, below = done["keypoints"][:3]
        mirrored = np.linalg.det([right - origin, below - origin]) < 0
        return changed.swapped() if mirrored else changed


class Hooks:
    """Augmentations."""

    @hookimpl
    def augmentations(self, ctx: LoaderContext) -> list[Pipeline]:
        """Return the pipeline, which comes after the engine's own augmentations."""
        return [Pipeline(ctx.options_for(Options))]


EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)

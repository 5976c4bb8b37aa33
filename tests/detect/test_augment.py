"""Augmentations and samplers of plugins, in the datasets and loaders of detect and pose."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.sample_datasets import detect_dataset, pose_dataset, real_dataset
from tests.support.yolo_datasets import loader_context
from trainer_host import AnnotatedImage, LoaderContext, PluginError

Change = Callable[[AnnotatedImage], Any]
PLAIN: dict[str, Any] = {
    **dict.fromkeys(("mosaic", "mixup", "translate", "scale", "hsv_h", "hsv_s", "hsv_v", "fliplr", "erasing"), 0.0),
    "imgsz": 64,
    "workers": 0,
}
"""Settings with which the engine changes nothing."""


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose_dataset(tmp_path_factory.mktemp("pose"), images=6)


@pytest.fixture(scope="module")
def detect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("detect"), images=6)


def context(data: Path, task: str = "pose", *changes: Change, **settings: Any) -> LoaderContext:
    return replace(loader_context(data, task, 4, **{**PLAIN, **settings}), augmentations=changes)


def dataset(data: Path, task: str = "pose", *changes: Change, **settings: Any) -> Any:
    from trainer_detect.training_data import build_dataset

    random.seed(0)
    return build_dataset(context(data, task, *changes, **settings))


def mirror(image: AnnotatedImage) -> AnnotatedImage:
    return image.mirrored()


def items(dataset: Any) -> list[dict[str, Any]]:
    random.seed(1)
    return [dataset[i] for i in range(len(dataset))]


@pytest.mark.parametrize("which", ["drawn", "real"])
def test_mirrored_images_and_labels_equal_those_of_the_engines_own_flip(pose: Path, which: str, tmp_path: Path) -> None:
    data = pose if which == "drawn" else real_dataset("mouse-openfield", tmp_path)
    ours, stock = items(dataset(data, "pose", mirror)), items(dataset(data, fliplr=1.0))
    assert any(len(item["keypoints"]) for item in stock)
    for one, other in zip(ours, stock, strict=True):
        assert torch.equal(one["img"], other["img"])
        assert torch.equal(one["cls"], other["cls"])
        assert one["bboxes"] == pytest.approx(other["bboxes"], abs=1e-6)
        assert one["keypoints"] == pytest.approx(other["keypoints"], abs=1e-6)


@pytest.mark.parametrize("task", ["detect", "pose"])
def test_an_augmentation_that_changes_nothing_changes_no_label(task: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(task)
    for one, other in zip(items(dataset(data, task, lambda image: image)), items(dataset(data, task)), strict=True):
        assert one.keys() == other.keys()
        assert {k: v.dtype for k, v in one.items() if isinstance(v, torch.Tensor)} == {
            k: v.dtype for k, v in other.items() if isinstance(v, torch.Tensor)
        }
        assert torch.equal(one["img"], other["img"])
        assert one["bboxes"] == pytest.approx(other["bboxes"], abs=1e-6)


def test_without_augmentations_there_is_no_step_more(detect: Path) -> None:
    assert len(dataset(detect, "detect", mirror).transforms.transforms) == 1 + len(
        dataset(detect, "detect").transforms.transforms
    )


def test_augmentations_go_on_after_the_mosaic_is_closed_and_come_in_order(detect: Path) -> None:
    order: list[str] = []

    def first(image: AnnotatedImage) -> AnnotatedImage:
        order.append("first")
        return image

    def second(image: AnnotatedImage) -> AnnotatedImage:
        order.append("second")
        return image

    made = dataset(detect, "detect", first, second, mosaic=1.0)
    assert made.augmentations == (first, second)
    _ = made[0]
    made.close_mosaic(context(detect, "detect").args)
    _ = made[0]
    assert order == ["first", "second"] * 2


def test_boxes_are_clipped_and_what_left_the_image_is_gone(pose: Path) -> None:
    def shift(image: AnnotatedImage) -> AnnotatedImage:
        boxes = np.array([[-10, -10, 32, 32], [70, 10, 90, 30]], np.float32)
        points = np.full((2, image.points.shape[1], 3), 2.0, np.float32)
        points[0, 0, :2] = 40, 99  # below the image
        return replace(image, boxes=boxes, classes=np.zeros(2), points=points)

    item = dataset(pose, "pose", shift)[0]
    assert item["bboxes"].tolist() == [[0.25, 0.25, 0.5, 0.5]]
    assert item["keypoints"][0, 0].tolist() == [0.625, 1.0, 0.0]
    assert set(item["keypoints"][0, 1:, 2].tolist()) == {2.0}


def test_an_image_that_is_kept_in_memory_is_not_written_to(detect: Path) -> None:
    def darken(image: AnnotatedImage) -> AnnotatedImage:
        image.image[:] //= 2
        return image

    made = dataset(detect, "detect", darken, cache="ram")
    assert torch.equal(made[0]["img"], made[0]["img"])


def test_all_objects_of_an_image_may_go(pose: Path) -> None:
    item = dataset(pose, "pose", lambda image: replace(image, boxes=[], classes=[], points=[]))[0]
    assert len(item["cls"]) == len(item["bboxes"]) == len(item["keypoints"]) == 0


WRONG: dict[str, tuple[Change, str]] = {
    "type": (lambda image: image.image, "a ndarray, not an AnnotatedImage"),
    "floats": (
        lambda image: replace(image, image=image.image / 255),
        "an image that is float64 (64, 64, 3) instead of",
    ),
    "size": (lambda image: replace(image, image=image.image[:32]), "an image that is uint8 (32, 64, 3) instead of"),
    "boxes": (lambda image: replace(image, boxes=image.boxes[:, :3]), "boxes of shape (1, 3) instead of (N, 4)"),
    "numbers": (lambda image: replace(image, classes=["cat"]), "classes that are not an array of numbers"),
    "class": (lambda image: replace(image, classes=[7]), "a class that is not one of 0 to 0"),
    "nan": (lambda image: replace(image, boxes=image.boxes * np.nan), "boxes that are not finite"),
    "counts": (lambda image: replace(image, classes=[]), "1 box, 0 classes, points of 1 object"),
    "points": (lambda image: replace(image, points=None), "no points, but was given points"),
    "visibility": (lambda image: replace(image, points=image.points[..., :2]), "points of shape (1, 9, 2) instead of"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_trained_on_is_reported_with_the_name_of_the_augmentation(pose: Path, wrong: str) -> None:
    change, reported = WRONG[wrong]
    made = dataset(pose, "pose", change)
    one = next(i for i, label in enumerate(made.labels) if len(label["cls"]) == 1)
    with pytest.raises(PluginError) as caught:
        made[one]
    place = f"{__file__}:{change.__code__.co_firstlineno}"
    assert str(caught.value).startswith(f"{place}: the augmentation <lambda> returned {reported}")


def test_a_task_that_trains_on_outlines_takes_no_augmentations(detect: Path) -> None:
    made = dataset(detect, "detect", mirror)
    made.use_segments = True
    with pytest.raises(PluginError, match="not the outlines"):
        made.build_transforms(context(detect, "detect").args)


class Chosen(torch.utils.data.Sampler[int]):
    """Chooses the same images in every epoch."""

    def __init__(self, images: list[int]) -> None:
        self.images = images

    def __iter__(self) -> Any:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sampler_chooses_the_images_of_every_epoch(detect: Path, workers: int) -> None:
    from trainer_detect.training_data import build_loader

    made = dataset(detect, "detect", mirror)
    sampler = Chosen([5, 1, 1, 0, 5])
    ctx = replace(context(detect, "detect", workers=workers), sampler=sampler)
    loader = build_loader(ctx, made)
    assert (loader.sampler, len(loader), loader.num_workers) == (sampler, 2, workers)
    for _ in range(2):
        seen = [made.im_files.index(name) for batch in loader for name in batch["im_file"]]
        assert seen == sampler.images
    loader.close()


def test_a_sampler_that_chooses_nothing_is_refused(detect: Path) -> None:
    from trainer_detect.training_data import build_loader

    made, ctx = dataset(detect, "detect"), context(detect, "detect")
    for wrong in (Chosen([]), object()):
        with pytest.raises(PluginError, match="chooses no images"):
            build_loader(replace(ctx, sampler=wrong), made)

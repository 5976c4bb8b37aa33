"""The engine's training transforms, joined: the same random numbers give the stock labels, and the stock pixels."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import trainer_host
from tests.benchmarks.augmentation import dataset_of, make_images
from tests.support.sample_datasets import detect_dataset, pose_dataset
from trainer_host import AnnotatedImage, RunContext, hookimpl

SEEDS = range(6)
WIDE = {"degrees": 30.0, "shear": 8.0, "scale": 0.9, "translate": 0.4, "flipud": 0.5}
NO_COLORS = {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
Sample = dict[str, Any]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """Return a function that writes a few images of a size."""
    made: dict[tuple[int, int], Path] = {}

    def make(height: int, width: int) -> Path:
        if (height, width) not in made:
            made[height, width] = make_images(tmp_path_factory.mktemp("images"), 5, height, width)
        return made[height, width]

    return make


def stock_and_ours(dataset: Any) -> list[tuple[Sample, Sample]]:
    """Return samples of both transforms from the same random numbers, of which both draw as many."""
    from ultralytics.data.augment import Compose

    from trainer_host.engine.ultralytics.reimplemented.training_transforms import JoinedTransforms

    steps = dataset.transforms.transforms
    kinds = Compose(steps), JoinedTransforms(steps, least=0)
    pairs = []
    for seed in SEEDS:
        for index in range(len(dataset)):
            made, left = [], []
            for transforms in kinds:
                random.seed(seed)
                np.random.seed(seed)
                dataset.transforms = transforms
                made.append(dataset[index])
                left.append((random.random(), np.random.random()))
            assert left[0] == left[1]
            pairs.append((made[0], made[1]))
    return pairs


def require_same_labels(stock: Sample, ours: Sample) -> None:
    assert list(stock) == list(ours)
    for key in stock.keys() - {"img"}:
        if isinstance(stock[key], torch.Tensor):
            assert stock[key].dtype == ours[key].dtype
            assert torch.equal(stock[key], ours[key]), key
        else:
            assert stock[key] == ours[key]


def differences(pairs: list[tuple[Sample, Sample]]) -> torch.Tensor:
    """Return by how much the values of all images differ."""
    for stock, ours in pairs:
        require_same_labels(stock, ours)
        assert stock["img"].shape == ours["img"].shape
        assert ours["img"].dtype == torch.uint8
        assert ours["img"].is_contiguous()
    return torch.cat([(a["img"].int() - b["img"].int()).abs().flatten() for a, b in pairs])


@pytest.mark.parametrize("task", ["pose", "detect"])
@pytest.mark.parametrize(
    ("size", "imgsz", "settings"),
    [
        pytest.param((120, 160), 160, {"mosaic": 1.0}, id="mosaic"),
        pytest.param((120, 160), 160, {"mosaic": 0.0}, id="plain"),
        pytest.param((160, 120), 96, {"mosaic": 0.5, "bgr": 0.5, **WIDE}, id="wide"),
        pytest.param((17, 12), 64, {"mosaic": 0.5, **WIDE}, id="tiny"),
        pytest.param((1100, 1900), 320, {"mosaic": 0.5, "scale": 0.9}, id="large"),
        pytest.param((900, 30), 128, {"mosaic": 0.5, "degrees": 180.0}, id="narrow"),
        pytest.param((40, 50), 64, {"mosaic": 0.0, "translate": 1.0, "scale": 0.99}, id="partly outside"),
    ],
)
def test_labels_are_equal_and_pixels_up_to_rounding(
    images: Callable[[int, int], Path], task: str, size: tuple[int, int], imgsz: int, settings: dict[str, Any]
) -> None:
    dataset = dataset_of(images(*size), task, imgsz, **settings)
    off = differences(stock_and_ours(dataset))
    # Where a warp rounds to the next value, the colours of a grey pixel change by more: its hue does.
    assert (off > 0).float().mean() < 1e-3
    assert off.float().mean() < 1e-3
    plain = dataset_of(images(*size), task, imgsz, **settings, **NO_COLORS)
    off = differences(stock_and_ours(plain))
    assert off.max() <= 1
    assert (off > 0).float().mean() < 1e-3


def test_objects_are_lost_and_points_become_invisible_in_these_tests(images: Callable[[int, int], Path]) -> None:
    pairs = stock_and_ours(dataset_of(images(120, 160), "pose", 96, mosaic=1.0, **WIDE))
    assert len({len(stock["cls"]) for stock, _ in pairs}) > 1
    assert any((stock["keypoints"][..., 2] == 0).any() for stock, _ in pairs)
    assert len({float(stock["img"].float().mean()) for stock, _ in pairs}) > 1


@pytest.mark.parametrize("task", ["detect", "segment", "obb"])
def test_outlines_masks_and_oriented_boxes_are_those_of_the_engine(
    images: Callable[[int, int], Path], task: str
) -> None:
    from ultralytics.cfg import get_cfg

    settings = {"mosaic": 0.5, "degrees": 20.0}
    dataset = dataset_of(images(60, 80), "detect", 64, **settings)
    corners = np.array([[0.2, 0.2], [0.8, 0.3], [0.7, 0.9], [0.1, 0.8]], np.float32)
    for label in dataset.labels:
        label["segments"] = [corners * (0.5 + 0.1 * i) for i in range(len(label["cls"]))]
    dataset.use_segments, dataset.use_obb = task == "segment", task == "obb"
    dataset.transforms = dataset.build_transforms(get_cfg(overrides=settings))
    pairs = stock_and_ours(dataset)
    assert differences(pairs).float().mean() < 1e-2
    assert ("masks" in pairs[0][1]) == (task == "segment")
    assert pairs[0][1]["bboxes"].shape[1] == (5 if task == "obb" else 4)


NOT_JOINED: dict[str, dict[str, Any]] = {
    "mixup": {"mixup": 0.5},
    "cutmix": {"cutmix": 0.5},
    "copy-paste": {"copy_paste": 0.5},
    "copy-paste of others": {"copy_paste": 0.5, "copy_paste_mode": "mixup"},
    "perspective": {"perspective": 0.001},
}


@pytest.mark.parametrize("settings", NOT_JOINED.values(), ids=NOT_JOINED)
def test_what_is_not_joined_is_done_by_the_engine(images: Callable[[int, int], Path], settings: dict[str, Any]) -> None:
    from trainer_host.engine.ultralytics.reimplemented.training_transforms import steps_of

    dataset = dataset_of(images(60, 80), "detect", 64, **settings)
    assert steps_of(dataset.transforms.transforms) is None
    assert differences(stock_and_ours(dataset)).max() == 0


def test_steps_of_others_are_not_joined(images: Callable[[int, int], Path]) -> None:
    from ultralytics.data.augment import Mosaic, RandomHSV

    from trainer_host.engine.ultralytics.reimplemented.training_transforms import steps_of

    class Other(RandomHSV):  # type: ignore[misc, unused-ignore]
        """Changes colours in its own way."""

    dataset = dataset_of(images(60, 80), "pose", 64)
    steps = dataset.transforms.transforms
    assert steps_of(steps) is not None
    assert steps_of([steps[0], *steps[2:]]) is None
    assert steps_of([*steps[:4], Other(), *steps[5:]]) is None
    foreign = steps[3]
    foreign.transform = lambda image: {"image": image}
    assert steps_of(steps) is None
    foreign.transform = None
    steps[0].transforms[0] = Mosaic(dataset, imgsz=64, p=1.0, n=9)
    assert steps_of(steps) is None


def test_small_images_are_left_to_the_engine(
    images: Callable[[int, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer_host.engine.ultralytics.reimplemented import training_transforms as module

    joined: list[tuple[int, ...]] = []
    original = module._joined

    def noted(steps: Any, data: Sample) -> Sample:
        joined.append(steps.affine.size)
        return original(steps, data)

    monkeypatch.setattr(module, "_joined", noted)
    for imgsz in (160, 192):
        dataset = dataset_of(images(60, 80), "detect", imgsz)
        dataset.transforms = module.JoinedTransforms(dataset.transforms.transforms)
        assert dataset[0]["img"].shape == (3, imgsz, imgsz)
    assert joined == [(192, 192)]


def test_other_images_and_masks_are_left_to_the_engine(images: Callable[[int, int], Path]) -> None:
    dataset = dataset_of(images(60, 80), "detect", 64, mosaic=1.0)
    dataset.ims = [image[..., :1] for image in dataset.ims]
    assert differences(stock_and_ours(dataset)).max() == 0
    dataset = dataset_of(images(60, 80), "detect", 64, mosaic=1.0)
    first, *others = dataset.ims
    dataset.ims = [first.astype(np.uint16), *others]  # in a mosaic of the others the engine converts it
    with_it = stock_and_ours(dataset)
    off = torch.cat([(a["img"].int() - b["img"].int()).abs().flatten() for a, b in with_it])
    assert (off > 0).float().mean() < 1e-3


def test_augmentations_of_plugins_come_after(images: Callable[[int, int], Path]) -> None:
    from trainer_detect.augment import Augment

    def darker(image: AnnotatedImage) -> AnnotatedImage:
        image.image[: len(image.image) // 2] //= 2
        return image.mirrored()

    dataset = dataset_of(images(60, 80), "pose", 64, flipud=0.5)
    dataset.transforms.insert(-1, Augment([darker], 1, [*reversed(range(8))]))
    off = differences(stock_and_ours(dataset))
    assert (off > 0).float().mean() < 1e-3
    assert any(len(stock["cls"]) for stock, _ in stock_and_ours(dataset))


def test_the_images_in_memory_stay_as_they_are(images: Callable[[int, int], Path]) -> None:
    dataset = dataset_of(images(60, 80), "pose", 64)
    before = [image.copy() for image in dataset.ims]
    stock_and_ours(dataset)
    assert all((image == other).all() for image, other in zip(dataset.ims, before, strict=True))


def test_a_warp_that_has_no_inverse_is_that_of_the_engine(images: Callable[[int, int], Path]) -> None:
    dataset = dataset_of(images(60, 80), "pose", 64, mosaic=0.5, **NO_COLORS)
    dataset.transforms.transforms[0].transforms[-1].scale = (0.0, 0.0)
    off = differences(stock_and_ours(dataset))
    assert (off > 0).float().mean() == 0


def test_datasets_within_others_are_joined(images: Callable[[int, int], Path]) -> None:
    from torch.utils.data import ConcatDataset, Subset

    from trainer_host.engine.ultralytics.reimplemented.training_transforms import JoinedTransforms, join_transforms

    one, other = (dataset_of(images(60, 80), "pose", 64) for _ in range(2))
    steps, kept = one.transforms.transforms, other.transforms
    join_transforms(ConcatDataset([Subset(one, [0, 1]), other]))
    assert isinstance(one.transforms, JoinedTransforms)
    assert one.transforms.transforms is steps
    assert isinstance(other.transforms, JoinedTransforms)
    other.transforms = foreign = [kept]
    join_transforms(other)
    assert other.transforms is foreign
    join_transforms(object())


class Noted:
    """Notes the kind of transforms in each epoch."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    @hookimpl
    def callbacks(self, ctx: RunContext) -> dict[str, Callable[[Any], None]]:
        """Return a function that notes it."""

        def note(trainer: Any) -> None:
            self.kinds.append(type(trainer.train_loader.dataset.transforms).__name__)

        return {"on_train_epoch_end": note}


@pytest.mark.train
@pytest.mark.parametrize(("task", "make"), [("pose", pose_dataset), ("detect", detect_dataset)])
def test_a_run_joins_them_and_an_exact_one_does_not(task: str, make: Callable[..., Path], tmp_path: Path) -> None:
    data = make(tmp_path / "data", images=4)
    model = f"yolo11n{'-pose' if task == 'pose' else ''}.yaml"
    for exact, kind in ((False, "JoinedTransforms"), (True, "Compose")):
        noted = Noted()
        trainer_host.run(
            task, data=data, model=model, imgsz=32, epochs=2, batch=4, close_mosaic=1, plots=False, val=False,
            project=tmp_path, plugins=[noted], exact=exact,
        )  # fmt: skip
        assert noted.kinds == [kind, kind]


def test_the_rounding_of_opencv_is_that_of_the_whole_image() -> None:
    whole = np.random.default_rng(0).integers(0, 180, (8, 640, 3), dtype=np.uint8)
    from trainer_host.engine.ultralytics.reimplemented.training_transforms import AT_ONCE

    part = np.ascontiguousarray(whole[:, AT_ONCE : 5 * AT_ONCE])
    one = cv2.cvtColor(whole, cv2.COLOR_HSV2BGR)[:, AT_ONCE : 5 * AT_ONCE]
    assert (one == cv2.cvtColor(part, cv2.COLOR_HSV2BGR)).all()

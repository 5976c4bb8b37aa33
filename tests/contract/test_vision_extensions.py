"""Extensions for images, metrics and predictions: what others would publish, installed from wheels."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.contract.conftest import PACKAGES, Trainer, rows
from tests.support.installed_library import install_albumentations
from tests.support.sample_datasets import detect_dataset, pose_dataset
from trainer_host import Detections

pytestmark = pytest.mark.wheel

TINY = ("model=yolo11n-pose.yaml", "imgsz=64", "batch=4", "plots=False", "workers=0")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with albumentations, which is not installed next to the host."""
    folder = tmp_path_factory.mktemp("albumentations")
    if problem := install_albumentations(folder):
        pytest.skip(problem)
    return folder


@pytest.fixture
def command(tmp_path: Path, site: Path) -> Trainer:
    return Trainer(tmp_path, (site,))


def load(name: str) -> dict[str, Any]:
    """Return what the module of a package defines."""
    return runpy.run_path(str(PACKAGES / f"trainer-{name}" / f"trainer_{name.replace('-', '_')}" / "__init__.py"))


def test_keypoints_count_as_correct_where_they_are_near_on_an_object_that_was_found() -> None:
    metric = load("pck")["CorrectKeypoints"](0.1)
    boxes = torch.tensor([[0.0, 0.0, 60.0, 80.0], [100.0, 100.0, 160.0, 180.0]])  # diagonals of 100
    points = torch.tensor([[[10.0, 10, 2], [20, 20, 1], [30, 30, 0]], [[110, 110, 2], [120, 120, 2], [130, 130, 2]]])
    truth = Detections(boxes=boxes, classes=torch.zeros(2), scores=torch.ones(2), shape=(200, 200), points=points)
    moved = points + torch.tensor([[[9.0, 0, 0], [0, 11, 0], [0, 0, 0]]])
    # The second object is found by a prediction of another class, and by one that lies elsewhere.
    found = Detections(
        boxes=torch.cat([boxes, boxes[1:] + 50]),
        classes=torch.tensor([0.0, 1.0, 0.0]),
        scores=torch.tensor([0.3, 0.9, 0.9]),
        shape=(200, 200),
        points=torch.cat([moved, moved[1:]]),
    )
    metric.update(found, truth)
    assert metric.compute() == pytest.approx(1 / 5)
    metric.update(found.keep(torch.zeros(3, dtype=torch.bool)), truth)
    assert metric.compute() == pytest.approx(1 / 10)
    metric.reset()
    assert metric.compute() == 0


RECORD = """
import json
from trainer_host import hookimpl

@hookimpl(wrapper=True)
def preprocess_batch(ctx, batch):
    with open("seen.jsonl", "a") as file:
        file.write(json.dumps([name.rsplit("/")[-1] for name in batch["im_file"]]) + "\\n")
    return (yield)
"""


@pytest.mark.train
def test_rare_classes_are_trained_on_more_often(command: Trainer) -> None:
    data = detect_dataset(command.folder / "data", images=8)
    labels = sorted((data.parent / "labels" / "train").iterdir())
    for number, file in enumerate(labels):
        file.write_text(f"{int(number == 3)} .5 .5 .4 .4\n", encoding="utf-8")
    (command.folder / "record.py").write_text(RECORD, encoding="utf-8")
    plugins = ("--plugin", "balanced", "--plugin", "./record.py")
    settings = ("model=yolo11n.yaml", "imgsz=32", "batch=8", "epochs=4", "plots=False", "mosaic=0", "val=False")
    command("run", "--task", "detect", *plugins, f"data={data}", *settings)
    lines = (command.folder / "seen.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line) for line in lines]
    assert [len(epoch) for epoch in epochs] == [8] * 4
    seen = Counter(Path(name).stem for epoch in epochs for name in epoch)
    assert 10 <= seen[labels[3].stem] <= 22, "half of 32, by chance; all images alike would make it 4"
    assert len({tuple(epoch) for epoch in epochs}) == 4


LIKE_THE_HOST = """
import random
import numpy as np
from trainer_host import AnnotatedImage
from trainer_albumentations import Options, Pipeline

draw = np.random.default_rng(0)
points = np.concatenate([draw.uniform(4, 40, (2, 3, 2)), np.full((2, 3, 1), 2.0)], axis=-1).astype(np.float32)
pixels = draw.integers(0, 255, (64, 48, 3), np.uint8)
boxes, classes = np.array([[1, 2, 30, 40], [5, 6, 20, 20]], np.float32), np.array([0.0, 1.0])
image = AnnotatedImage(image=pixels, boxes=boxes, classes=classes, points=points, flip_idx=(1, 0, 2))

flipped, wanted = Pipeline(Options(flip=1.0, rotate=0.0, blur=0.0, brightness=0.0))(image), image.mirrored()
for name in ("image", "boxes", "classes", "points"):
    assert np.allclose(getattr(flipped, name), getattr(wanted, name), atol=1e-4), name

turned = Pipeline(Options(flip=0.0, rotate=10.0))
assert (turned(image).points[..., :2] != points[..., :2]).any(axis=-1).all()
assert (turned(image).points[..., 2] == 2).all()

def drawn(seed):
    random.seed(seed)
    return turned(image)

assert (drawn(1).image == drawn(1).image).all() and (drawn(1).boxes != drawn(2).boxes).any()
empty = AnnotatedImage(image=pixels, boxes=boxes[:0], classes=classes[:0])
assert len(turned(empty).boxes) == 0 and turned(empty).points is None
"""


def test_a_flip_of_albumentations_is_the_hosts_own(site: Path, library: Path, tmp_path: Path) -> None:
    done = Trainer(tmp_path, (site, library)).python("-W", "error", "-c", LIKE_THE_HOST)
    assert done.code == 0, done.err


@pytest.mark.train
def test_training_with_albumentations(site: Path, library: Path, tmp_path: Path) -> None:
    data = pose_dataset(tmp_path / "data", images=6)
    command = Trainer(tmp_path, (site, library))
    words = ("--plugin", "albumentations", "albumentations.rotate=20", f"data={data}", *TINY[:-1], "workers=2")
    done = command("run", "--task", "pose", *words, "epochs=2", "close_mosaic=1", "--json").json
    assert done["status"] == "done"
    assert len(rows(Path(done["save_dir"]) / "results.csv")) == 2

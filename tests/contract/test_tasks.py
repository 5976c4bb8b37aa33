"""Tasks of others on top of detect and pose: the engine's own, bit for bit; trainer classes; and one of a new kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from tests.contract.conftest import Trainer
from tests.contract.parity import differences, train_stock, train_task
from tests.support.sample_datasets import keep_first, pose_dataset
from trainer_detect.sample import corner_row, draw_sample, outline_row
from trainer_host import ExitCode

pytestmark = [pytest.mark.wheel, pytest.mark.train]

NAMES = ("segment", "obb", "class-keypoints", "careful-pose")
ROWS = {"segment": outline_row, "obb": corner_row}
STOCK = {
    "segment": "ultralytics.models.yolo.segment:SegmentationTrainer",
    "obb": "ultralytics.models.yolo.obb:OBBTrainer",
}


@dataclass(frozen=True)
class Pair:
    """A training by a class of the engine and one by a task, on the same images."""

    command: Trainer
    kind: str
    data: Path
    stock: dict[str, Any]
    ours: dict[str, Any]


def train_pair(kind: str, folder: Path, site: Path) -> Pair:
    data = draw_sample(folder / "figures", ROWS[kind])
    keep_first(data.parent, 8)
    command, settings = Trainer(folder, (site,)), {"data": str(data), "model": f"yolo26n-{kind[:3]}.yaml"}
    stock = train_stock(command, STOCK[kind], **settings)
    return Pair(command, kind, data, stock, train_task(command, kind, **settings))


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Pair:
    return train_pair("segment", tmp_path_factory.mktemp("segment"), site)


@pytest.fixture(scope="module")
def obb(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Pair:
    return train_pair("obb", tmp_path_factory.mktemp("obb"), site)


@pytest.fixture(params=["segment", "obb"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def test_a_task_of_the_engine_is_equal_to_the_bit(pair: Pair) -> None:
    assert differences(pair.stock, pair.ours) == []


def test_its_checkpoint_is_one_of_the_engine(pair: Pair) -> None:
    from ultralytics import YOLO

    assert YOLO(pair.ours["best"]).task == pair.kind


def test_it_measures_and_predicts(pair: Pair) -> None:
    measured = pair.command("val", f"model={pair.ours['best']}", "plots=False", "--json").json["metrics"]
    last = {k: float(v) for k, v in pair.ours["table"][-1].items() if k.startswith("metrics/")}
    assert measured.keys() >= last.keys()
    source = f"source={pair.data.parent / 'images' / 'val'}"
    pair.command("predict", f"model={pair.ours['best']}", source, "conf=1e-6", "--output", "found.json")
    found = [o for image in json.loads((pair.command.folder / "found.json").read_text()) for o in image["objects"]]
    key, points = {"segment": ("polygon", 1), "obb": ("corners", 4)}[pair.kind]
    assert found
    assert all(len(o["box"]) == 4 and len(o[key]) >= points and len(o[key][0]) == 2 for o in found)
    pictures = list((pair.command.folder / "runs" / pair.kind / "predict").glob("*.jpg"))
    assert len(pictures) == 8


def test_a_trainer_class_is_a_task(tmp_path: Path, site: Path) -> None:
    data = pose_dataset(tmp_path / "figures", images=8)
    command, settings = Trainer(tmp_path, (site,)), {"data": str(data), "model": "yolo11n-pose.yaml"}
    stock = train_stock(command, "trainer_careful_pose.trainer:CarefulPoseTrainer", **settings)
    ours = train_task(command, "careful-pose", **settings)
    assert differences(stock, ours) == []
    assert float(ours["table"][-1]["metrics/careful"]) >= 0.5
    measured = command("val", f"model={ours['best']}", "plots=False", "--json").json["metrics"]
    assert measured["metrics/careful"] >= 0.5
    assert not list(tmp_path.rglob("*.cache"))  # its labels are those that the host has read


def test_a_trainer_of_another_kind_than_its_base_trains_but_does_not_predict(segment: Pair) -> None:
    ours = train_task(segment.command, "ported-segment", data=str(segment.data), model="yolo26n-seg.yaml")
    assert differences(segment.stock, ours) == []
    done = segment.command(
        "predict", f"model={ours['best']}", f"source={segment.data.parent / 'images' / 'val'}", code=ExitCode.PLUGIN
    )
    assert "base='segment'" in done.err


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, site: Path) -> tuple[Trainer, dict[str, Any]]:
    """The task of class keypoints, trained on its sample, of which a few epochs do."""
    command = Trainer(tmp_path_factory.mktemp("figures"), (site,)).having(TRAINER_THREADS="2")
    done = command("run", "--task", "class-keypoints", "epochs=5", "plots=False", "--json")
    return command, done.json


def test_keypoints_of_classes_are_learned(figures: tuple[Trainer, dict[str, Any]]) -> None:
    command, run = figures
    measured = run["metrics"]
    assert measured["metrics/mAP50(P)"] > 0.5, measured
    source = "source=runs/samples/class-keypoints/images/val"
    command("predict", f"model={run['best']}", source, "conf=0.02", "--output", "found.json")
    found = [o for image in json.loads((command.folder / "found.json").read_text()) for o in image["objects"]]
    assert {(o["name"], tuple(p["name"] for p in o["keypoints"])) for o in found} == {
        ("triangle", ("0", "1", "2")),
        ("rectangle", ("3", "4", "5", "6")),
    }
    content = torch.load(run["best"], weights_only=False)
    assert content["model"].kpt_sets == {0: [0, 1, 2], 1: [3, 4, 5, 6]}


def test_a_keypoint_of_another_class_is_reported(figures: tuple[Trainer, dict[str, Any]], tmp_path: Path) -> None:
    command, _ = figures
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "0.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "labels" / "0.txt").write_text("1 .5 .5 .5 .5 .5 .5 2 .4 .4 2\n")
    yaml = "train: images\nval: images\nnames: [dot, ring]\nkpt_shape: [2, 3]\nflip_idx: [0, 1]\n"
    (tmp_path / "data.yaml").write_text(f"{yaml}kpt_sets: {{dot: [0], ring: [1]}}\n")
    done = command("check", tmp_path / "data.yaml", code=ExitCode.DATASET)
    assert "0.txt:1: keypoint 0 is labelled, which no ring has." in done.err
    (tmp_path / "data.yaml").write_text(f"{yaml}kpt_sets: {{dot: [0], ring: [7]}}\n")
    done = command("check", tmp_path / "data.yaml", code=ExitCode.DATASET)
    assert "data.yaml:6: kpt_sets does not say what keypoints each class has." in done.err

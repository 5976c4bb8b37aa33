"""Tasks on top of tasks: the chain of three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sample_datasets import pose_dataset
from trainer_host import ExitCode

if TYPE_CHECKING:
    from tests.contract.conftest import Trainer

pytestmark = pytest.mark.wheel


def test_hooks_run_base_first_and_the_leaf_answers_first(trainer: Trainer) -> None:
    # The leaf does not read datasets, so the one below it answers, and the root is not asked.
    done = trainer("run", "--task", "leaf", "data=x", code=ExitCode.DATASET)
    assert done.said == [
        "trainer: checked by root, read by middle",
        "trainer: checked by middle, read by middle",
        "trainer: checked by leaf, read by middle",
    ]


def test_the_chain_is_shown(trainer: Trainer) -> None:
    described = trainer("plugins", "show", "hand-pose", "--json").json
    assert described["chain"] == ["detect", "pose", "hand-pose"]
    assert described["hooks"] == ["check_dataset", "set_model_attributes"]
    assert described["options"]["side"]["default"] == "right"


@pytest.mark.train
def test_a_task_on_top_of_pose_trains_and_predicts(trainer: Trainer, bare: Trainer) -> None:
    data = pose_dataset(trainer.folder / "figures", images=2)
    small = ["model=yolo26n-pose.yaml", "imgsz=64", "batch=2", "epochs=1", "plots=False"]
    trained = trainer("run", "--task", "hand-pose", f"data={data}", *small, "hand-pose.side=left", "--json")
    assert "Warning: " in trained.err
    assert "has 9 keypoints for a hand, and 21 are expected." in trained.err
    assert trained.json["task"] == "hand-pose"
    assert "metrics/mAP50-95(P)" in trained.json["metrics"]
    assert trained.json["save_dir"] == str(trainer.folder / "runs" / "hand-pose" / "train")

    source = data.parent / "images" / "val"
    everything = ["conf=0.0001", "max_det=1", "imgsz=64", "--no-pictures", "--json"]
    found = trainer("predict", f"model={trained.json['best']}", f"source={source}", *everything).json
    assert found["task"] == "hand-pose"
    names = [point["name"] for point in found["predictions"][0]["objects"][0]["keypoints"]]
    # Pose named the keypoints, and then its leaf put the side before each name.
    assert names[:3] == ["left head", "left left_shoulder", "left right_shoulder"]

    # The file is made of the engine's classes, so plain ultralytics reads it without any of the packages.
    read = bare.python("-c", "import sys, ultralytics; print(ultralytics.YOLO(sys.argv[1]).task)", trained.json["best"])
    assert read.out.split() == ["pose"], read.err

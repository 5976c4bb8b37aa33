"""Dataset formats of third parties, which are part of every run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.contract.conftest import Trainer
from trainer_host import ExitCode

pytestmark = pytest.mark.wheel


@pytest.fixture
def trainer(tmp_path: Path, site: Path) -> Trainer:
    """The command with the format, in a folder with a table of points and its images."""
    lines = ["image,part,x,y"]
    for number in range(8):
        picture = np.full((48, 64, 3), 40, np.uint8)
        x = 20 + 3 * number
        cv2.circle(picture, (x, 20), 4, (0, 0, 255), -1)
        cv2.circle(picture, (x, 32), 4, (255, 0, 0), -1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
        lines += [f"{number}.png,left_eye,{x},20", f"{number}.png,right_eye,{x},32"]
    (tmp_path / "points.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return Trainer(tmp_path, (site,))


def test_a_format_is_part_of_every_run(trainer: Trainer) -> None:
    listed = {r["name"]: r for r in trainer("plugins", "--json").json["plugins"]}
    assert listed["point-table"]["always"]
    assert trainer("plugins", "show", "point-table", "--json").json["hooks"] == ["read_dataset", "sniff_dataset"]


def test_a_dataset_of_the_format_is_checked(trainer: Trainer) -> None:
    done = trainer("check", "points.csv", "--json")
    assert done.json["task"] == "pose", "inferred from the keys that the format names"
    assert {s: n["images"] for s, n in done.json["counts"]["splits"].items()} == {"train": 6, "val": 2}
    assert done.json["counts"]["errors"] == 0
    every = trainer("check", "points.csv", "point-table.every=2", "--json").json
    assert every["counts"]["splits"]["val"]["images"] == 4


def test_what_is_wrong_is_reported_with_its_line(trainer: Trainer) -> None:
    with (trainer.folder / "points.csv").open("a", encoding="utf-8") as table:
        table.write("7.png,nose,here,3\n9.png,left_eye,1,1\n")
    found = trainer("check", "points.csv", "--json", code=ExitCode.DATASET).json["findings"]
    assert ("point-table-row", "points.csv", 18) in [(f["code"], f["file"], f["line"]) for f in found]
    assert "9.png" in json.dumps([f for f in found if f["code"] == "image-unreadable"])


def test_a_format_that_is_switched_off_reads_nothing(trainer: Trainer) -> None:
    done = trainer("check", "points.csv", "--no-plugin", "point-table", "--task", "pose", code=ExitCode.DATASET)
    assert "points.csv" in done.err


def test_a_dataset_of_the_format_is_converted(trainer: Trainer) -> None:
    trainer("convert", "points.csv", "yolo")
    label = (trainer.folder / "yolo" / "labels" / "train" / "0.txt").read_text(encoding="utf-8").split()
    assert len(label) == 11
    again = trainer("check", "yolo/data.yaml", "--json").json
    assert (again["task"], again["counts"]["errors"]) == ("pose", 0)


@pytest.mark.train
def test_a_dataset_of_the_format_is_trained_on(trainer: Trainer) -> None:
    words = ["model=yolo11n-pose.yaml", "epochs=1", "imgsz=64", "batch=4", "plots=False"]
    done = trainer("run", "data=points.csv", *words, "--json")
    assert done.json["status"] == "done"
    record = yaml.safe_load((Path(done.json["save_dir"]) / "run.yaml").read_text(encoding="utf-8"))["record"]
    assert "point-table (trainer-point-table 1.0)" in record["plugins"], "nobody asked for it, but it was there"
    assert "pose" in done.err

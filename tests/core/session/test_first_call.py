"""The first call of a process leaves it as it was, the import of the engine included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import ROOT, python
from tests.support.sample_datasets import pose_dataset

CALLS = """
import {imports}
import trainer_host
from tests.support.process_snapshot import changes, snapshot

def failing():
    try:
        trainer_host.run(task="pose", data={data!r}, model="yolo11n-pose.yaml", batch=0.0001, imgsz=64, mosaic=9)
    except trainer_host.TrainerError:
        return
    raise AssertionError("it is meant to fail")

def training():
    trainer_host.run(task="pose", data={data!r}, model="yolo11n-pose.yaml", epochs=1, imgsz=64, batch=4, workers=0)

def validating():
    trainer_host.val(model="runs/pose/train/weights/best.pt", data={data!r}, imgsz=64)

def predicting():
    trainer_host.predict(model="runs/pose/train/weights/best.pt", source={images!r}, imgsz=64)

def checking():
    trainer_host.check({data!r}, deep=True)

def converting():
    try:
        trainer_host.convert({data!r}, "converted")
    except trainer_host.TrainerError:
        return

import json
for call in ({calls},):
    before = snapshot()
    call()
    print(json.dumps([call.__name__, changes(before, snapshot())]))
"""


def changed(folder: Path, imports: str, *calls: str) -> list[list[object]]:
    data = pose_dataset(folder / "dataset", images=8)
    images = str(data.parent / "images" / "val")
    code = CALLS.format(imports=imports, data=str(data), images=images, calls=", ".join(calls))
    # Variables that the engine would set are not set beforehand, as they are in these tests.
    code = f"import os; os.environ.pop('OMP_NUM_THREADS', None)\n{code}"
    said = python(code, ROOT, cwd=folder)
    found = [json.loads(line) for line in said.splitlines() if line.startswith("[")]
    assert [name for name, _ in found] == list(calls)
    return [entry for entry in found if entry[1]]


@pytest.mark.parametrize("imports", ["sys", "numpy, torch, cv2, matplotlib"])
def test_a_first_call_that_fails(tmp_path: Path, imports: str) -> None:
    assert changed(tmp_path, imports, "checking", "converting", "failing", "failing") == []


@pytest.mark.train
def test_a_first_call_that_trains_and_those_after_it(tmp_path: Path) -> None:
    calls = "training", "validating", "predicting", "training", "checking"
    assert changed(tmp_path, "numpy, torch, cv2, matplotlib", *calls) == []


@pytest.mark.train
def test_a_first_call_that_predicts(tmp_path: Path) -> None:
    changed(tmp_path, "sys", "training")
    assert changed(tmp_path, "sys", "predicting", "validating") == []

"""A dataset as COCO files trains just as its YOLO form does, and its run leads back to the COCO files."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import trainer_host
from tests.support.sample_datasets import pose_dataset, real_dataset
from tests.support.training import checkpoint_tensors
from tests.support.yolo_datasets import examined
from trainer_host import RunResult, check

SETTINGS: dict[str, Any] = {"model": "yolo11n-pose.yaml", "imgsz": 64, "epochs": 2, "batch": 8, "plots": False}
COCO_YAML = "coco.yaml"


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def as_coco(data: Path) -> Path:
    """Write COCO files next to a YOLO dataset, in another order, and a YAML that names them."""
    keys = yaml.safe_load(data.read_text())
    shuffle = random.Random(1).shuffle
    category: dict[str, Any] = {"id": 5, "name": keys["names"][0], "keypoints": keys["kpt_names"][0]}
    for split in ("train", "val"):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, file in enumerate(sorted((data.parent / "images" / split).iterdir())):
            with Image.open(file) as image:
                size = image.size
            images.append({"id": 100 + number, "file_name": file.name, "width": size[0], "height": size[1]})
            label = data.parent / "labels" / split / f"{file.stem}.txt"
            for line in label.read_text().splitlines() if label.exists() else ():
                made = annotation(np.array(line.split(), float), np.array(size, float))
                annotations.append({**made, "id": len(annotations), "image_id": 100 + number, "category_id": 5})
        shuffle(images)
        annotations.sort(key=lambda a: -a["image_id"])  # which keeps the order of those of one image
        content = {"annotations": annotations, "categories": [category], "images": images}
        (data.parent / f"{split}.json").write_text(json.dumps(content))
    return write_coco_yaml(data, "{}.json")


def annotation(row: np.ndarray[Any, Any], size: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return an annotation in pixels."""
    corner, extent = (row[1:3] - row[3:5] / 2) * size, row[3:5] * size
    points = row[5:].reshape(-1, 3)
    points[:, :2] *= size
    return {"bbox": [*corner, *extent], "keypoints": points.ravel().tolist()}


def write_coco_yaml(data: Path, files: str) -> Path:
    """Write a YAML that names COCO files, with what they cannot say."""
    keys = yaml.safe_load(data.read_text())
    reported = {split: files.format(split) for split in ("train", "val")}
    reported |= {"images": {split: f"images/{split}" for split in reported}, "flip_idx": keys["flip_idx"]}
    file = data.parent / COCO_YAML
    file.write_text(yaml.safe_dump(reported))
    return file


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pose_dataset(tmp_path_factory.mktemp("drawn") / "data", images=12)
    as_coco(data)
    return data


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = real_dataset("mouse-openfield", tmp_path_factory.mktemp("real"))
    write_coco_yaml(data, "annotations/keypoints_{}.json")
    return data


@pytest.fixture(params=["drawn", "real"])
def data(request: pytest.FixtureRequest) -> Path:
    """The YAML of a YOLO dataset, next to which there is that of its COCO form."""
    return Path(request.getfixturevalue(request.param))


def train(data: Path, project: Path) -> RunResult:
    return trainer_host.run("pose", data=data, project=project, **SETTINGS)


def losses(result: RunResult) -> list[list[str]]:
    """Return the rows of a run's table without their times."""
    with (result.save_dir / "results.csv").open() as file:
        return [[v for k, v in row.items() if k != "time"] for row in csv.DictReader(file)]


def test_both_forms_are_read_alike(data: Path) -> None:
    one, other = examined(data), examined(data.with_name(COCO_YAML))
    keys = ("names", "nc", "kpt_shape", "flip_idx", "kpt_names", "channels")
    assert {k: one.get(k) for k in keys} == {k: other.get(k) for k in keys}
    for name, split in one.splits.items():
        twin = other.splits[name]
        assert split.images == twin.images
        for column in ("sizes", "shapes", "marks", "image", "row_lengths", "values", "valid", "crowd"):
            assert np.array_equal(getattr(split, column), getattr(twin, column)), column


@pytest.mark.train
def test_both_forms_train_alike(data: Path, tmp_path: Path) -> None:
    one, other = train(data, tmp_path), train(data.with_name(COCO_YAML), tmp_path)
    assert losses(one) == losses(other)
    assert one.metrics == other.metrics
    for file in ("best", "last"):
        tensors = checkpoint_tensors(getattr(one, file))
        twins = checkpoint_tensors(getattr(other, file))
        assert tensors.keys() == twins.keys()
        assert [k for k, v in tensors.items() if not torch.equal(v, twins[k])] == []


@pytest.mark.train
def test_the_run_leads_back_to_the_coco_files(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    shutil.copytree(drawn.parent, folder)
    monkeypatch.chdir(folder)
    files = [folder / "train.json", folder / "val.json"]
    shutil.rmtree(folder / "labels")
    given = {"data": "train.json,val.json", "images": ["images/train", "images/val"], "fliplr": 0.0}
    result = trainer_host.run("pose", project=tmp_path, **{**SETTINGS, **given, "epochs": 1})
    file = result.save_dir / "dataset.yaml"
    reported = yaml.safe_load(file.read_text())
    assert reported["trainer_source"] == ",".join(map(str, files))
    assert reported["trainer_images"] == [str(folder / "images" / split) for split in ("train", "val")]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = check(file, fliplr=0.0)
    assert again.dataset == str(files[0])
    recorded = yaml.safe_load((result.save_dir / "run.yaml").read_text())["record"]["dataset"]
    assert again.fingerprint == recorded["fingerprint"]
    assert result.best
    measured = trainer_host.val(result.best, project=tmp_path, batch=8, save_json=True)
    listed = {i["id"]: i["file_name"] for i in json.loads(files[1].read_text())["images"]}
    found = json.loads((measured.save_dir / "predictions.json").read_text())
    assert found
    assert all(listed[entry["image_id"]] == entry["file_name"] and entry["category_id"] == 5 for entry in found)
    expected = {k: v for k, v in result.metrics.items() if k.startswith("metrics/")}
    assert {k: measured.metrics[k] for k in expected} == expected
    assert not list(folder.rglob("*.cache"))
    assert sorted(f.name for f in elsewhere.iterdir()) == []
    repeated = trainer_host.run(settings_file=result.save_dir / "run.yaml", project=tmp_path)
    assert losses(repeated) == losses(result)

"""Predicting with a finished model: images, folders and videos, as pictures, JSON and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from tests.support.sample_datasets import pose_dataset
from trainer_host import RunResult, predict, run

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Path]:
    folder = tmp_path_factory.mktemp("predict")
    data = pose_dataset(folder / "data", images=6)
    settings = {"model": "yolo11n-pose.yaml", "imgsz": 64, "epochs": 1, "batch": 4, "plots": False}
    return run("pose", data=data, project=folder / "runs", **settings), data


def test_a_video_becomes_a_video_with_numbered_frames(trained: tuple[RunResult, Path], tmp_path: Path) -> None:
    result, data = trained
    images = [cv2.imread(str(p)) for p in sorted((data.parent / "images" / "val").iterdir())]
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 160))
    for image in images:
        video.write(image)
    video.release()
    table = tmp_path / "found.csv"
    assert result.best
    found = predict(
        result.best, tmp_path / "clip.avi", outputs=[table], pictures=True, conf=0.0001, max_det=1, project=tmp_path
    )
    assert [p["frame"] for p in found.predictions] == list(range(1, len(images) + 1))
    drawn = next(f for f in found.files if f.suffix == ".mp4")
    reader = cv2.VideoCapture(str(drawn))
    assert int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) == len(images)
    assert round(reader.get(cv2.CAP_PROP_FPS)) == 10
    with table.open() as file:
        rows = list(csv.DictReader(file))
    names = yaml.safe_load(data.read_text())["kpt_names"][0]
    assert {f"keypoints.{n}.x" for n in names} <= rows[0].keys()
    assert [int(r["frame"]) for r in rows] == [p["frame"] for p in found.predictions if p["objects"]]


def test_a_folder_becomes_pictures_of_which_none_overwrites_another(
    trained: tuple[RunResult, Path], tmp_path: Path
) -> None:
    result, data = trained
    one = next((data.parent / "images" / "val").iterdir())
    image = cv2.imread(str(one))
    for name in ("a/same.jpg", "a/same.png", "a/ein Bild, größer.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    assert result.best
    found = predict(result.best, tmp_path / "a", outputs=[tmp_path / "f.json"], pictures=True, project=tmp_path)
    assert len({f for f in found.files if f.suffix == ".jpg"}) == 3
    assert all(f.is_file() for f in found.files)
    written: list[dict[str, Any]] = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert written == found.predictions
    assert (written[0]["width"], written[0]["height"]) == (160, 160)


def test_drawing_uses_the_datasets_skeleton(trained: tuple[RunResult, Path]) -> None:
    from trainer_host import ImagePrediction, PredictionContext
    from trainer_pose.predictor import draw_keypoints

    _, data = trained
    image = cv2.imread(str(next((data.parent / "images" / "val").iterdir())))
    points = [{"name": n, "x": x, "y": 80.0, "confidence": 0.9} for n, x in (("left", 20.0), ("right", 140.0))]
    found = {"class": 0, "name": "thing", "confidence": 0.9, "box": [10.0, 10.0, 150.0, 150.0], "keypoints": points}
    prediction = ImagePrediction(Path("x.jpg"), image, [found])

    def drawn(skeleton: Any) -> Any:
        ctx = PredictionContext(task="pose", engine_task="pose", args=None, model=None, data={"skeleton": skeleton})
        return draw_keypoints(ctx, prediction)

    joined, apart = drawn([[0, 1]]), drawn([])
    assert (joined[80, 80] != apart[80, 80]).any()
    assert (prediction.image == image).all()

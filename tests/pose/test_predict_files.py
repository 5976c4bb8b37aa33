"""Files and settings of a prediction: pictures, labels, crops, tables, and disks that are full."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import trainer_host
from tests.support.command import Done, command, process
from tests.support.recording_reporter import RecordingReporter
from tests.support.untrained_models import untrained
from trainer_host import (
    DatasetError,
    ImagePrediction,
    PluginError,
    PredictionContext,
    PredictResult,
    SettingsError,
    StorageError,
)

RANDOM = np.random.default_rng(1)
SETTINGS: dict[str, Any] = {"imgsz": 64, "conf": 0.0001, "max_det": 3, "device": "cpu"}
WORDS = tuple(f"{k}={v}" for k, v in SETTINGS.items())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, shape in (("a.png", (96, 128, 3)), ("b.png", (80, 60, 3))):
        cv2.imwrite(f"in/{name}", RANDOM.integers(0, 255, shape, dtype=np.uint8))


def write_video(name: str, frames: int = 6) -> None:
    video = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 120))
    for _ in range(frames):
        video.write(RANDOM.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    video.release()


def predict(model: Path, source: Any = "in", **settings: Any) -> PredictResult:
    return trainer_host.predict(model, source, **{**SETTINGS, **settings})


def names(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def stock(model: Path, source: str, **settings: Any) -> list[Any]:
    """Return what the engine itself finds."""
    from ultralytics import YOLO

    found: list[Any] = YOLO(model).predict(
        source, **{"batch": 1, **SETTINGS, "save": False, "verbose": False, **settings}
    )
    return found


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"conf": 0.01},
        {"iou": 0.1},
        {"max_det": 1},
        {"classes": [3, 5]},
        {"classes": 3},
        {"agnostic_nms": True, "max_det": 300},
        {"imgsz": [64, 96]},
        {"batch": 2, "rect": False},
        {"augment": True},
        {"vid_stride": 2},
        {"quantize": 16},
    ],
    ids=str,
)
def test_settings_mean_what_they_mean_to_the_engine(model: Path, settings: dict[str, Any]) -> None:
    write_video("v.mp4")
    for source in ("in", "v.mp4"):
        wanted, found = stock(model, source, **settings), predict(model, source, **settings)
        assert [len(p["objects"]) for p in found.predictions] == [len(r.boxes) for r in wanted]
        for result, prediction in zip(wanted, found.predictions, strict=True):
            boxes = [[round(float(v), 2) for v in box] for box in result.boxes.xyxy]
            assert [o["box"] for o in prediction["objects"]] == boxes
    stride = settings.get("vid_stride", 1)
    assert [p["frame"] for p in found.predictions] == list(range(stride, 7, stride))


@pytest.mark.parametrize("with_confidence", [False, True])
def test_label_files_and_crops_are_the_engines(model: Path, with_confidence: bool) -> None:
    write_video("in/v.mp4", frames=2)
    settings = {"save_txt": True, "save_conf": with_confidence, "save_crop": True, "save": False}
    stock(model, "in", **settings, project=str(Path("theirs").absolute()), name="x")
    theirs = Path("theirs/x")
    found = predict(model, "in", **settings, save_dir="ours", pictures=True)
    ours = Path("ours")
    assert names(ours / "labels") == names(theirs / "labels") == {"a.txt", "b.txt", "v_1.txt", "v_2.txt"}
    for name in names(ours / "labels"):
        assert (ours / "labels" / name).read_text() == (theirs / "labels" / name).read_text()
    columns = 5 + 3 * 17 + with_confidence
    assert len((ours / "labels/a.txt").read_text().splitlines()[0].split()) == columns
    crops = sorted(cv2.imread(str(f)).shape for f in (ours / "crops").rglob("*.jpg"))
    assert crops == sorted(cv2.imread(str(f)).shape for f in (theirs / "crops").rglob("*.jpg"))
    assert {f.name for f in (ours / "crops").iterdir()} == {f.name for f in (theirs / "crops").iterdir()}
    assert {ours.resolve() / name for name in names(ours)} == set(found.files)
    assert not list(ours.glob("*.jpg"))


def test_nothing_found_leaves_no_label_file(model: Path) -> None:
    found = predict(model, save_txt=True, save_crop=True, conf=0.99)
    assert (found.files, found.objects, found.images) == ([], 0, 2)
    assert found.save_dir is None
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"show": True}, "show=True is not supported: trainer predict opens no windows. Fix: remove it"),
        ({"embed": [1]}, "embed=[1] is not supported: trainer predict returns detections, not features."),
        ({"visualize": True}, "visualize=True is not supported: trainer predict draws no heatmaps. Fix: remove it"),
        ({"batch": -1}, "batch=-1 is not valid."),
        ({"batch": 0.5}, "batch=0.5 is not valid."),
        ({"vid_stride": 0}, "vid_stride=0"),
        ({"line_width": 0}, "line_width=0 is not valid."),
        ({"max_det": 0}, "max_det=0"),
        ({"show": True, "epoch": 3, "batch": 0}, "show=True"),
    ],
    ids=str,
)
def test_settings_that_are_not_honoured_are_refused(model: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        predict(model, pictures=True, **settings)
    assert said in str(caught.value)
    assert len(caught.value.problems) == len(settings)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"vid_stride": 3}, "the source has images only"),
        ({"save_frames": True}, "the source has images only"),
        ({"stream_buffer": True}, "the source is not a stream"),
        ({"project": "here"}, "no file is written"),
        ({"name": "x", "save": False}, "no file is written"),
        ({"save_dir": "out"}, "no file is written"),
        ({"quantize": 8}, "a .pt file computes with 16 or 32 bits"),
    ],
    ids=str,
)
def test_settings_without_an_effect_are_reported(model: Path, settings: dict[str, Any], why: str) -> None:
    heard = RecordingReporter()
    predict(model, reporter=heard, **settings)
    key, value = next(iter(settings.items()))
    assert [w.partition(" Fix: ")[0] for w in heard.warnings] == [f"{key}={value} has no effect: {why}."]


def test_half_precision_needs_a_gpu(model: Path) -> None:
    heard = RecordingReporter()
    predict(model, reporter=heard, quantize=16)
    assert heard.warnings == ["quantize=16 has no effect on a CPU, which computes with 32 bits."]


def test_values_of_python_mean_what_they_mean_to_the_command(model: Path) -> None:
    found = predict(
        model,
        outputs="o.json",
        save=True,
        project=Path("./here"),
        imgsz=np.int64(64),
        conf=np.float32(0.0001),
        classes=np.array([0]),
        device=torch.device("cpu"),
    )
    assert found.save_dir == Path("here/predict").absolute()
    assert [f.name for f in found.files] == ["a.jpg", "b.jpg", "o.json"]
    with pytest.raises(PluginError) as caught:
        predict(model, plugins="absent")
    assert [p.message for p in caught.value.problems] == ["unknown extension 'absent'."]


def test_classes_and_strides_that_leave_nothing_are_errors(model: Path) -> None:
    with pytest.raises(SettingsError, match=r"the model has no class 99\. Fix: choose from 0 \(0\)"):
        predict(model, classes=[0, 99], pictures=True)
    assert not list(Path().glob("runs/pose/*"))
    write_video("v.mp4")
    with pytest.raises(
        DatasetError, match=r"the video has 6 frames, and vid_stride=7 skips them\. Fix: write vid_stride=6"
    ):
        predict(model, "v.mp4", vid_stride=7)


def test_false_and_none_switch_off(model: Path) -> None:
    off = {"show": False, "embed": None, "visualize": False, "save_txt": False, "save_crop": False, "line_width": None}
    assert predict(model, **off).images == 2


def test_save_false_draws_no_pictures(model: Path, tmp_path: Path) -> None:
    done = command("predict", f"model={model}", "source=in", *WORDS, "save=False", "--json", cwd=tmp_path)
    assert (done.code, done.json["save_dir"], done.json["files"]) == (0, None, [])
    assert not Path("runs").exists()


def test_what_is_drawn_follows_the_settings() -> None:
    from types import SimpleNamespace

    from trainer_detect import draw_boxes
    from trainer_pose.predictor import draw_keypoints

    image = np.zeros((200, 200, 3), np.uint8)
    points = [{"name": "left", "x": 60.0, "y": 120.0, "confidence": 0.9}]
    found = {"class": 0, "name": "thing", "confidence": 0.9, "box": [20.0, 50.0, 180.0, 190.0], "keypoints": points}
    prediction = ImagePrediction(Path("x.jpg"), image, [found])

    def drawn(**settings: Any) -> tuple[bool, bool, int]:
        """Return whether there is a box and a text above it, and how wide the box's edge is."""
        args = SimpleNamespace(show_boxes=True, show_labels=True, show_conf=True, line_width=None)
        args.__dict__.update(settings)
        picture = draw_boxes(prediction, args)
        edge = picture[150, :40].any(axis=1)
        return bool(edge.any()), bool(picture[:48].any()), int(edge.sum())

    box, text, width = drawn()
    assert (box, text) == (True, True)
    assert drawn(show_labels=False)[:2] == (True, False)
    assert drawn(show_boxes=False) == (False, False, 0)
    assert drawn(line_width=9)[2] > width
    args = SimpleNamespace(show_boxes=True, show_labels=True, show_conf=False, line_width=None)
    assert (draw_boxes(prediction, args) != draw_boxes(prediction)).any()
    assert (draw_boxes(prediction) == draw_boxes(prediction, SimpleNamespace())).all()
    ctx = PredictionContext(task="pose", engine_task="pose", args=SimpleNamespace(show_boxes=False), model=None)
    picture = draw_keypoints(ctx, prediction)
    assert picture[120, 60].any()
    assert not picture[50:60].any()


def test_a_task_without_labels_says_so(model: Path) -> None:
    from trainer_host.session.prediction_files import PredictionFiles, Wanted

    writer = PredictionFiles(lambda _: None, Path("out"), Wanted(False, labels=True, crops=True))
    writer.write(ImagePrediction(Path("a.jpg"), np.zeros((4, 4, 3), np.uint8)))
    assert writer.lacks == {"save_txt", "save_crop"}


def test_a_class_name_leads_nowhere() -> None:
    from trainer_host.session.prediction_files import folder_name

    for name in ("../../x", "..", ".", "", "/etc", "a\\b", "a\nb", "x" * 300, "\udcff"):
        assert Path(folder_name(name)).name == folder_name(name) not in {"", ".", ".."}
        assert len(os.fsencode(folder_name(name))) <= 255
    assert folder_name("traffic light") == "traffic light"


# Files


def test_names_do_not_overwrite_each_other(model: Path) -> None:
    for name in ("in/a.jpg", "in/a-2.png", "in/c.png"):
        cv2.imwrite(name, np.zeros((64, 64, 3), np.uint8))
    write_video("in/a.mp4", frames=2)
    found = predict(model, pictures=True, save_txt=True, save_frames=True, exist_ok=True)
    again = predict(model, pictures=True, save_txt=True, save_frames=True, exist_ok=True)
    assert found.files == again.files
    pictures = {f.name for f in found.files if f.parent == found.save_dir}
    assert len(pictures) == 6
    assert all(f.is_file() for f in found.files)


def test_the_result_folder_is_not_that_of_the_source(model: Path) -> None:
    before = Path("in/a.png").read_bytes()
    cv2.imwrite("in/c.jpg", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(SettingsError, match="holds the source, and its images would be overwritten"):
        predict(model, pictures=True, save_dir="in")
    assert names(Path("in")) == {"a.png", "b.png", "c.jpg"}
    assert Path("in/a.png").read_bytes() == before


def test_outputs_are_tried_before_any_work(model: Path, tmp_path: Path) -> None:
    Path("folder.json").mkdir()
    Path("file").write_text("x")
    Path("list.csv").write_text("in/a.png\n")
    Path("loop.json").symlink_to("loop.json")
    for output, said in {
        "folder.json": "not a file, but a folder.",
        "file/found.json": "cannot write the file: Not a directory.",
        "x" * 300 + ".json": "cannot write the file: File name too long.",
        "loop.json": "cannot write the file: ",
    }.items():
        with pytest.raises(StorageError) as caught:
            trainer_host.predict("nowhere.pt", "in", outputs=[output])
        assert said in str(caught.value)
        assert "Fix: give another file with --output" in str(caught.value)
    with pytest.raises(SettingsError, match="would overwrite the source"):
        trainer_host.predict("nowhere.pt", "list.csv", outputs=["list.csv"])
    with pytest.raises(SettingsError, match=r"is neither \.json nor \.csv"):
        trainer_host.predict("nowhere.pt", "in", outputs=["found.txt"])
    done = command("predict", "model=nowhere.pt", "source=in", "--output", "file/found.csv", "--json", cwd=tmp_path)
    assert (done.code, done.json["error"], done.json["retryable"]) == (9, "StorageError", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_outputs_that_may_not_be_written(model: Path) -> None:
    Path("closed").mkdir(mode=0o500)
    Path("kept.json").write_text("[]")
    Path("kept.json").chmod(0o400)
    for output, said in {"closed/found.json": "Permission denied", "kept.json": "may not be overwritten"}.items():
        with pytest.raises(StorageError, match=said):
            trainer_host.predict("nowhere.pt", "in", outputs=[output])


def test_an_output_appears_in_a_new_folder_and_behind_a_link(model: Path) -> None:
    Path("real.json").write_text("old")
    Path("link.json").symlink_to("real.json")
    found = predict(model, outputs=["new/deep/found.csv", "link.json"])
    assert Path("link.json").is_symlink()
    assert json.loads(Path("real.json").read_text()) == found.predictions
    with Path("new/deep/found.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == found.objects
    assert {f.name for f in Path().iterdir()} == {"in", "new", "real.json", "link.json"}
    assert found.files == [Path("new/deep/found.csv"), Path("link.json")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_output_may_be_a_device(model: Path, tmp_path: Path) -> None:
    Path("full.json").symlink_to("/dev/full")
    Path("null.csv").symlink_to("/dev/null")
    words = ["predict", f"model={model}", "source=in", *WORDS, "--no-pictures", "--json"]
    done = command(*words, "--output", "null.csv", "--output", "full.json", cwd=tmp_path)
    assert done.code == 9, done.err
    assert done.problems == [
        "/dev/full: cannot write the file: No space left on device. Fix: free space, or give another file with --output"
    ]
    assert len(done.json["predictions"]) == 2
    assert Path("/dev/null").is_char_device()
    assert Path("full.json").is_symlink()


def limited(size: int, *words: str) -> Done:
    """Run the command where no file may be larger than this, which is how a full disk looks to its writers."""
    code = f"""
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
from trainer_host.cli.main import main
main()
"""
    return process(sys.executable, "-c", code, *words)


def test_a_video_that_does_not_fit_is_an_error_of_storage(model: Path) -> None:
    write_video("v.mp4", frames=12)
    done = limited(30_000, "predict", f"model={model}", "source=v.mp4", *WORDS, "--json", "--output", "f.json")
    assert done.code == 9, done.err
    assert "v.mp4: cannot write the video: the file is incomplete. Fix: free space, or choose" in done.problems[0]
    assert len(done.json["predictions"]) == 12
    assert not Path("runs/pose/predict/v.mp4").exists()
    assert names(Path("runs")) == set()
    assert len(json.loads(Path("f.json").read_text())) == 12


def test_a_full_disk_ends_a_video_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from trainer_host.session import video_file

    video = video_file.VideoFile(Path("v.mp4").absolute(), float("nan"), (64, 48))
    monkeypatch.setattr(video_file.shutil, "disk_usage", lambda folder: SimpleNamespace(free=9))
    with pytest.raises(StorageError, match=r"v\.mp4: cannot write the video: the disk is full\. Fix: free space"):
        video.write(np.zeros((48, 64, 3), np.uint8))
    video.discard()
    assert names(Path()) == {"in/a.png", "in/b.png"}


def test_an_output_that_does_not_fit_leaves_the_old_one(model: Path) -> None:
    Path("f.json").write_text("[]\n")
    done = limited(1000, "predict", f"model={model}", "source=in", *WORDS, "--no-pictures", "--output", "f.json")
    assert done.code == 9, done.err
    assert "f.json: cannot write the file: File too large. Fix: free space" in done.err
    assert Path("f.json").read_text() == "[]\n"
    assert names(Path()) == {"f.json", "in/a.png", "in/b.png"}
    picture = limited(1000, "predict", f"model={model}", "source=in", *WORDS)
    assert picture.code == 9
    assert "a.jpg: cannot write the file: File too large." in picture.err
    assert not Path("runs").exists()

"""Sources of a prediction: files of any name, damaged ones among them, lists, arrays and streams."""

from __future__ import annotations

import json
import os
import shlex
import struct
import sys
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from packaging.version import Version
from PIL import Image

import trainer_host
from tests.support.command import command, process
from tests.support.recording_reporter import RecordingReporter
from tests.support.untrained_models import untrained
from trainer_host import DatasetError, PredictResult, SettingsError, TrainerError, UnsafeError
from trainer_host.cli.predict import nothing_found
from trainer_host.plugin.registry import Registry
from trainer_host.session.source_files import VIDEOS

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 255, (96, 128, 3), dtype=np.uint8)
JPEG = cv2.imencode(".jpg", PIXELS)[1].tobytes()
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()
SETTINGS: dict[str, Any] = {"imgsz": 64, "conf": 0.0001, "max_det": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def predict(model: Path, source: Any, **settings: Any) -> PredictResult:
    return trainer_host.predict(model, source, **{**SETTINGS, **settings})


def write(*names: str, content: bytes = JPEG) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def write_video(name: str, frames: int = 5, codec: str = "mp4v") -> None:
    size = PIXELS.shape[1], PIXELS.shape[0]
    video = cv2.VideoWriter("video" + Path(name).suffix, cv2.VideoWriter.fourcc(*codec), 10.0, size)
    for number in range(frames):
        video.write(np.roll(PIXELS, number * 7, axis=1))
    video.release()
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path("video" + Path(name).suffix).rename(name)


READS_THIN = Version(version("ultralytics")) >= Version("8.4.185")
"""Whether the engine can resize an image so thin that its height is zero at the model's size."""


def bomb() -> bytes:
    """Return a small PNG that claims ten gigapixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def test_the_endings_of_videos_are_the_engines() -> None:
    from ultralytics.data.utils import VID_FORMATS

    assert VIDEOS == VID_FORMATS


def test_a_folder_is_read_in_spite_of_damaged_files(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write("in/a.jpg", "in/z.jpg")
    write("in/b.png", content=PNG)
    damaged = bytearray(PNG)
    damaged[60] ^= 255
    faulty = {
        "bomb.png": bomb(),
        "crc.png": bytes(damaged),
        "cut.jpg": JPEG[: len(JPEG) // 2],
        "cut.png": PNG[: len(PNG) // 2],
        "empty.jpg": b"",
        "empty.mp4": b"",
        "text.jpg": b"hello",
        "zeros.jpg": bytes(5000),
        "zeros.tif": b"II*\0" + bytes(5000),
    }
    for name, content in faulty.items():
        write(f"in/{name}", content=content)
    cv2.imwrite("in/thin.png", np.zeros((1, 100_000 if READS_THIN else 30, 3), np.uint8))
    Path("in/folder.jpg").mkdir()
    Path("in/link.jpg").symlink_to("nowhere")
    os.mkfifo("in/pipe.jpg")
    write_video("whole.avi", codec="MJPG")
    write_video("in/whole.mp4")
    write("in/half.avi", content=Path("whole.avi").read_bytes()[:20_000])
    write("in/half.mp4", content=Path("in/whole.mp4").read_bytes()[:2000])
    found = predict(model, "in", outputs=["found.json"], pictures=True)
    assert {u.path.name for u in found.unreadable} == {*faulty, "link.jpg", "pipe.jpg", "half.avi", "half.mp4"}
    read = {Path(p["image"]).name for p in found.predictions}
    assert read == {"a.jpg", "b.png", "z.jpg", "thin.png", "whole.mp4", "half.avi"}
    reasons = {u.path.name: u.reason for u in found.unreadable}
    assert reasons["empty.jpg"] == reasons["empty.mp4"] == "the file is empty"
    assert reasons["half.avi"].startswith("the video ends after frame ")
    assert "pixels" in reasons["bomb.png"]
    assert found.images == len(found.predictions)
    assert json.loads(Path("found.json").read_text()) == found.predictions
    thin = "thin.png" if READS_THIN else "thin.jpg"  # a JPEG has at most 65535 pixels on a side
    assert {f.name for f in found.files} >= {"a.jpg", "z.jpg", thin, "whole.mp4", "half.mp4"}
    assert found.as_json()["status"] == "incomplete"
    text = {"image": str(Path("in/text.jpg").absolute()), "reason": reasons["text.jpg"]}
    assert text in found.as_json()["unreadable"]
    assert capfd.readouterr().out == ""


def test_the_command_names_what_it_could_not_read(model: Path, tmp_path: Path) -> None:
    write("in/a.jpg")
    write("in/b.jpg", content=b"hello")
    words = ["predict", f"model={model}", "imgsz=64", "conf=0.0001", "device=cpu"]
    done = command(*words, "source=in", "--json", "--output", "found.csv", cwd=tmp_path)
    assert done.code == 4, done.err
    assert "b.jpg cannot be read: not an image, but text." in done.err
    assert [Path(p["image"]).name for p in done.json["predictions"]] == ["a.jpg"]
    assert [Path(u["image"]).name for u in done.json["unreadable"]] == ["b.jpg"]
    assert Path("found.csv").is_file()
    only = command(*words, "source=in/b.jpg", "--json", cwd=tmp_path)
    assert (only.code, only.json["status"], only.json["error"]) == (4, "error", "DatasetError")
    assert only.problems == [f"{tmp_path / 'in/b.jpg'}: not an image, but text. Fix: replace or remove it"]
    assert len(list(Path("runs/pose").iterdir())) == 1
    camera = command(*words, "source=63", cwd=tmp_path)
    assert camera.code == 3
    assert camera.err.splitlines()[-1].startswith("trainer: cannot open source=63: Failed to open 63. Fix: check")
    assert len(camera.err.splitlines()) <= 3, camera.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.jpg", "file or folder nowhere.jpg not found."),
        ("x" * 300, "File name too long"),
        ("nested", "Fix: 'source=nested/**/*.jpg'"),
        ("several[1]", "Fix: 'source=several[[]1]/**/*'"),
        ("veiled", "the folder veiled has no images or videos"),
        ("dead.jpg", "the link dead.jpg leads to a file that does not exist. Fix: give the file itself"),
        ("  ", "source= has no value."),
        (
            "a.jpg,b.jpg",
            "Fix: give one path; for several, a folder, a pattern, or a .txt file with one path in each line",
        ),
        ("['a.jpg','b.jpg']", "Fix: give one path; for several"),
        ("s3://bucket/a.jpg", "begin with s3:// are not supported. Fix: download the file"),
        ("file:///nowhere/x.jpg", "file or folder /nowhere/x.jpg not found."),
        ("https://youtu.be/x", "needs the package pytubefix, which is not installed. Fix: pip install pytubefix"),
        ("data.yaml", "trainer val model=best.pt data=data.yaml"),
        ("labels.txt", "labels.txt: the file is not a list of sources"),
        (iter(["a.jpg"]), "an object of type list_iterator is not a source. Fix: give a list: list(source)"),
        (PIXELS.astype(int), "must be uint8. Fix: image.astype('uint8') if its values go from 0 to 255"),
        (PIXELS > 9, "must be uint8. Fix: image.astype('uint8') * 255"),
        (Image.fromarray(PIXELS[..., 0].astype("float32")), "an array of float32 is not an image"),
        ("hollow", "has no images or videos"),
        ("*.tif", "no image or video matches *.tif."),
        ("table.pdf", "table.pdf is neither an image nor a video"),
        ("/dev/zero", "is a device, a pipe or a socket"),
        ("pipe.jpg", "is a device, a pipe or a socket"),
        ("empty.txt", "the list of sources is empty."),
        ("empty.streams", "the list of streams is empty."),
        ("63", "cannot open source=63: Failed to open 63."),
        ("gone.streams", "cannot open source=gone.streams"),
        ("rtsp://127.0.0.1:9/x", "cannot open source=rtsp://127.0.0.1:9/x"),
        ("http://127.0.0.1:9/x.jpg", "cannot open source=http://127.0.0.1:9/x.jpg"),
        ("http://127.0.0.1:9/live", "cannot open source=http://127.0.0.1:9/live"),
        ([], "the list of sources is empty."),
        ([None], "is not a source."),
        ({"a": 1}, "is not a source."),
        (PIXELS / 255, "must be uint8."),
        (PIXELS[None], "Fix: give one image"),
        (PIXELS[:0], "is not an image."),
        (PIXELS.transpose(2, 0, 1), "image.transpose(1, 2, 0)"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, (str, list, dict)) else "array",
)
def test_what_is_no_source_is_an_error_of_the_settings(model: Path, source: Any, said: str) -> None:
    write("nested/a/b.jpg", "several[1]/a/b.jpg", "several[1]/c/d.png", "veiled/.a.jpg", "veiled/.b/c.jpg", "data.yaml")
    write("labels.txt", content=b"0 0.5 0.5 0.1 0.1\n")
    Path("dead.jpg").symlink_to("gone.jpg")
    Path("hollow").mkdir()
    write("table.pdf", "empty.txt", "empty.streams", content=b"\n")
    write("gone.streams", content=b"gone.mp4\n")
    os.mkfifo("pipe.jpg")
    with pytest.raises(SettingsError) as caught:
        predict(model, source, pictures=True)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1
    assert not list(Path().glob("runs/pose/*"))


def test_what_is_proposed_for_subfolders_works(model: Path) -> None:
    write("cams[1]/a/b.jpg", "cams[1]/c/d.png")
    with pytest.raises(SettingsError) as caught:
        predict(model, "cams[1]")
    words = shlex.split(str(caught.value.problems[0].fix).removeprefix("Fix: "))
    assert predict(model, words[0].removeprefix("source=")).images == 2
    write("cams[1]/e.jpg", "cams[1]/runs/pose/predict/e.jpg")
    heard = RecordingReporter()
    assert predict(model, "cams[1]", reporter=heard).images == 1
    assert heard.notes[-1] == ("the images in the subfolders of cams[1] are not read. Fix: 'source=cams[[]1]/**/*'")
    address = Path("cams[1]/e.jpg").absolute().as_uri()
    assert predict(model, address).images == 1


def test_settings_and_source_are_reported_together(model: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        predict(model, "nowhere.jpg", epoch=3, conf=7)
    assert [p.message.split(".")[0] for p in caught.value.problems] == [
        "unknown setting 'epoch'",
        "conf=7 is not valid",
        "file or folder nowhere",
    ]
    write("images/a.jpg")
    with pytest.raises(SettingsError, match=r"no source given. Fix: source=images$"):
        predict(model, None, data="images")
    for words, said in {
        ("input=images", f"model={model}"): ["unknown setting 'input'. Fix: write source=images"],
        ("images=images", f"model={model}"): ["images= is not a setting of predict. Fix: write source=images"],
        ("modle=best.pt", "sorce=images"): [
            "unknown setting 'modle'. Did you mean 'model'?",
            "unknown setting 'sorce'. Did you mean 'source'?",
        ],
    }.items():
        assert command("predict", *words, cwd=Path.cwd()).problems == said
    done = command("predict", "best.pt", "images", cwd=Path.cwd())
    assert done.problems == [
        "'best.pt' is not a setting. Fix: write model=best.pt",
        "'images' is not a setting. Fix: write source=images",
    ]


def test_pictures_in_which_nothing_is_found_are_reported(model: Path) -> None:
    write("images/a.jpg", "images/b.jpg")
    words = ("predict", f"model={model}", "source=images", "imgsz=64", "device=cpu", "save=False")
    done = command(*words, cwd=Path.cwd())
    assert done.said[-2:] == [
        "Found 0 objects in 2 images.",
        "Warning: nothing was found. Fix: lower the threshold to see objects of less certainty: conf=0.05",
    ]
    assert nothing_found({"conf": 0.01}).message == "nothing was found, with a threshold of conf=0.01."
    assert nothing_found({"classes": [3]}).fix == "remove classes="
    result = predict(model, "images", conf=0.9)
    assert [file.name for file in result.empty] == ["a.jpg", "b.jpg"]
    assert predict(model, "images", conf=1e-9).empty == []
    write_video("film.mp4")
    assert [file.name for file in predict(model, "film.mp4", conf=0.9).empty] == ["film.mp4"]


def test_the_screen_needs_a_package(model: Path) -> None:
    pytest.importorskip("ultralytics")
    import importlib.util

    if importlib.util.find_spec("mss") is not None:
        pytest.skip("mss is installed")
    with pytest.raises(SettingsError, match="pip install mss"):
        predict(model, "screen 1")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(model: Path) -> None:
    write("closed/a.jpg", "b.jpg")
    Path("closed").chmod(0)
    Path("b.jpg").chmod(0)
    with pytest.raises(SettingsError, match="closed: cannot read the source: Permission denied"):
        predict(model, "closed")
    with pytest.raises(DatasetError, match="Permission denied"):
        predict(model, "b.jpg")
    Path("closed").chmod(0o700)


def test_lists_and_patterns(model: Path) -> None:
    write("in/a.jpg", "in/deep/b.jpg", "2024/c.jpg", "here.jpg/d.jpg", "odd[1].jpg")
    Path("list.txt").write_text("a.jpg\nnone.jpg\n\n../2024\n")
    Path("list.txt").rename("in/list.txt")
    found = predict(model, "in/list.txt")
    assert [Path(p["image"]).name for p in found.predictions] == ["a.jpg", "c.jpg"]
    assert [(str(u.path), u.reason) for u in found.unreadable] == [
        ("none.jpg", "image or video not found (list.txt:2)")
    ]
    Path("list.csv").write_text('source\n"in/a.jpg",in/deep/b.jpg\n')
    for source, names in {
        "list.csv": ["a.jpg", "b.jpg"],
        "in/**/*.jpg": ["a.jpg", "b.jpg"],
        "in/?.jpg": ["a.jpg"],
        "here.jpg": ["d.jpg"],
        "odd[1].jpg": ["odd[1].jpg"],
        "2024": ["c.jpg"],
    }.items():
        assert [Path(p["image"]).name for p in predict(model, source).predictions] == names
    found = predict(model, ["in/a.jpg", "x" * 300])
    assert [u.reason for u in found.unreadable] == ["File name too long"]
    Path("none.txt").write_text("none.jpg\n")
    with pytest.raises(DatasetError, match=r"none.jpg: image or video not found \(none.txt:1\)"):
        predict(model, "none.txt")
    Path("linked.txt").symlink_to("secret")
    Path("secret").write_text("root:hunter2\n")
    with pytest.raises(SettingsError, match=r"^linked.txt: the file is not a list of sources: no line names an image"):
        predict(model, "linked.txt")
    Path("mixed.txt").write_text("none.jpg\nroot:hunter2\n")
    with pytest.raises(DatasetError) as caught:
        predict(model, "mixed.txt")
    assert str(caught.value.problems[1]) == (
        "mixed.txt: line 2 names no image, video or folder. Fix: correct or remove it in the list"
    )
    with pytest.raises(UnsafeError, match="an address in a list is not opened"):
        predict(model, ["in/a.jpg", "https://example.invalid/a.jpg"])


def test_arrays_and_pictures_give_what_their_file_gives(model: Path) -> None:
    write("b.png", content=PNG)
    gray = PIXELS[..., 0]
    objects = predict(model, "b.png").predictions[0]["objects"]
    assert objects
    opened = Image.open("b.png")
    for source in (PIXELS, Image.fromarray(PIXELS[..., ::-1]), opened, PIXELS.astype(np.uint16) << 8, PIXELS[:, :]):
        found = predict(model, source).predictions
        assert [p["objects"] for p in found] == [objects]
    assert found[0]["image"] == "image0.jpg"
    assert Path(predict(model, opened).predictions[0]["image"]).resolve() == Path("b.png").resolve()
    assert predict(model, np.dstack([PIXELS, gray])).predictions[0]["objects"] == objects
    dull = [predict(model, s).predictions[0]["objects"] for s in (gray, gray[..., None], Image.fromarray(gray))]
    assert dull[0] == dull[1] == dull[2]
    mixed = predict(model, ["b.png", PIXELS, Path("b.png"), opened], batch=4, pictures=True)
    assert [p["image"] for p in mixed.predictions] == [
        *(
            str(Path("b.png").absolute()),
            "image1.jpg",
            str(Path("b.png").absolute()),
            str(opened.filename),
        )  # absolute in some releases of Pillow
    ]
    assert sorted(f.name for f in mixed.files) == ["b-2.jpg", "b-3.jpg", "b.jpg", "image1.jpg"]
    with pytest.raises(DatasetError, match="the image has 6 channels, and the model takes 3"):
        predict(model, np.dstack([PIXELS, PIXELS]))


def test_names_of_any_bytes_and_lengths(model: Path, tmp_path: Path) -> None:
    odd = [b"n\xff.jpg", b"line\nbreak.jpg", b"-dash.jpg", b"%d.jpg"]
    odd += [b"x" * 251 + b".jpg", "猫".encode() * 83 + b".jpg"]
    Path("in").mkdir()
    for name in odd:
        write(os.fsdecode(b"in/" + name))
    write_video("v.mp4")
    Path("v.mp4").rename(os.fsdecode(b"in/v\xfe%d.mp4"))
    out = os.fsdecode(b"out\xfd")
    words = ["predict", f"model={model}", "source=in", "imgsz=64", "conf=0.0001", "device=cpu", f"save_dir={out}"]
    output = os.fsdecode(b"found\xfc.json")
    more = ["save_txt=True", "save_crop=True", "save_frames=True", "--output", output, "--json"]
    # A crash of the process, which is what such names led to, is not to end the tests.
    done = command(*words, *more, cwd=tmp_path)
    assert done.code == 0, done.err[-2000:]
    pictures = {os.fsencode(f.name) for f in Path(out).iterdir() if f.suffix == ".jpg"}
    assert pictures >= set(odd[:4])
    assert len(pictures) == len(odd)
    video = Path(out, os.fsdecode(b"v\xfe%d.mp4"))
    assert video.is_file()
    assert len(list(Path(out, os.fsdecode(b"v\xfe%d_frames")).iterdir())) == 5
    assert len(list(Path(out, "labels").iterdir())) == len(odd) + 5
    assert json.loads(Path(output).read_text()) == done.json["predictions"]
    names = {os.fsencode(Path(p["image"]).name) for p in done.json["predictions"]}
    assert names == {*odd, b"v\xfe%d.mp4"}


def test_streams_are_videos_without_an_end(model: Path) -> None:
    write_video("v.mp4", frames=8)
    Path("cams.streams").write_text("v.mp4\nv.mp4\n")
    found = predict(model, "cams.streams", stream_buffer=True, pictures=True, save_dir="out")
    frames = [p["frame"] for p in found.predictions]
    assert frames == sorted(frames)
    assert frames[-1] > 1
    assert all(f.suffix == ".mp4" for f in found.files)


def test_an_interrupted_stream_keeps_what_was_found(model: Path, tmp_path: Path) -> None:
    write("a.jpg")
    code = """
import os, signal, sys
from trainer_host.engine.ultralytics import trained_model
from trainer_host.cli.main import main

class Endless(trained_model.UltralyticsPredictor):
    def __call__(self, source):
        seen = 0
        while True:
            for prediction in super().__call__(source):
                seen += 1
                yield type(prediction)(prediction.path, prediction.image, prediction.objects, seen, 10.0)
                if seen == 3:
                    os.kill(os.getpid(), signal.SIGINT)

trained_model.UltralyticsPredictor = Endless
main()
"""
    words = ["predict", f"model={model}", "source=a.jpg", "imgsz=64", "conf=0.0001", "--json", "--output", "f.json"]
    done = process(sys.executable, "-c", code, *words, cwd=tmp_path)
    assert done.code == 130, done.err
    reported = json.loads(done.out)
    assert (reported["status"], reported["error"], reported["exit_code"]) == ("stopped", "StoppedError", 130)
    assert [p["frame"] for p in reported["predictions"]] == [1, 2, 3]
    assert json.loads(Path("f.json").read_text()) == reported["predictions"]
    video = cv2.VideoCapture(str(tmp_path / "runs/pose/predict/a.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3


def test_what_was_found_is_kept_only_if_asked_for(model: Path) -> None:
    from trainer_host.base.reporting import NullReporter
    from trainer_host.base.request import Request
    from trainer_host.session.prediction import predict as session

    write("in/a.jpg", "in/b.jpg")
    request = Request.of("predict", {"model": str(model), "source": "in", **SETTINGS})
    found = session(request, Registry.installed(), NullReporter(), pictures=False, keep=False)
    kept = session(request, Registry.installed(), NullReporter(), pictures=False)
    assert (found.predictions, found.images) == ([], 2)
    assert found.objects == kept.objects == sum(len(p["objects"]) for p in kept.predictions) > 0
    assert found.save_dir is None


def test_an_image_that_only_its_decoder_finds_damaged(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer_host.session import source_files as sources

    monkeypatch.setattr(sources, "FAULTS", frozenset())
    write("in/a.jpg", *(f"in/{n}.jpg" for n in range(9)))
    write("in/5.jpg", "in/b.jpg", content=b"hello")
    for batch in (1, 4, 16):
        found = predict(model, "in", batch=batch)
        assert [(u.path.name, u.reason) for u in found.unreadable] == [
            ("5.jpg", "the image cannot be decoded"),
            ("b.jpg", "the image cannot be decoded"),
        ]
        assert len(found.predictions) == 9
    with pytest.raises(TrainerError, match="cannot be decoded"):
        predict(model, "in/b.jpg")

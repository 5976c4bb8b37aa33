"""A trained model that is loaded once: typed results, evaluation, and the process between its steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import trainer_host
from tests.support.command import ROOT, python
from tests.support.recording_reporter import RecordingReporter
from tests.support.untrained_models import checkpoint, dataset
from trainer_host import DatasetError, SettingsError, TrainedModel

SETTINGS: dict[str, Any] = {"conf": 0.0001, "max_det": 5}
POINTS = ["nose", "left ear", "right ear", "tail"]
PIXELS = np.random.default_rng(3).integers(0, 255, (96, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("model") / "m.pt", "pose", kpt_names={0: POINTS})


@pytest.fixture(scope="module")
def loaded(file: Path) -> TrainedModel:
    return trainer_host.load(file, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data"), images=3)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(f"in/{name}", PIXELS if name == "a.png" else PIXELS[:64])


def write_video(name: str, frames: int = 4) -> None:
    video = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (128, 96))
    for i in range(frames):
        video.write(np.roll(PIXELS, i * 8, axis=1))
    video.release()


def test_results_are_arrays_with_names(file: Path, loaded: TrainedModel) -> None:
    wanted = trainer_host.predict(file, "in", pictures=True, device="cpu", **SETTINGS)
    found = list(loaded.predict("in", **SETTINGS))
    assert [p.as_json() for p in found] == wanted.predictions
    for prediction in found:
        count = len(prediction)
        assert count > 0
        shapes = [(a.shape, str(a.dtype)) for a in (prediction.boxes, prediction.scores, prediction.classes)]
        assert shapes == [((count, 4), "float32"), ((count,), "float32"), ((count,), "int64")]
        assert (prediction.points.shape, str(prediction.points.dtype)) == ((count, 4, 3), "float32")
        assert [o["box"] for o in prediction] == [[round(float(v), 2) for v in box] for box in prediction.boxes]
        assert [o["confidence"] for o in prediction] == [round(float(s), 5) for s in prediction.scores]
        assert prediction[0]["class"] == prediction.classes[0]
        first = [[k["x"], k["y"], k["confidence"]] for k in prediction[0]["keypoints"]]
        assert np.allclose(prediction.points[0], first, atol=0.01)
        assert prediction.names == loaded.names == {0: "mouse"}
        assert prediction.point_names == {0: tuple(POINTS)}
        assert prediction.size == (prediction.image.shape[1], prediction.image.shape[0])
    pictures = sorted(f for f in wanted.files if f.suffix == ".jpg")
    for prediction, picture in zip(found, pictures, strict=True):
        content = cv2.imencode(".jpg", prediction.plot())[1]
        assert content.tobytes() == picture.read_bytes()
        assert not np.shares_memory(prediction.plot(), prediction.image)


def test_every_kind_of_source(loaded: TrainedModel) -> None:
    write_video("v.mp4")
    objects = [p.objects for p in loaded.predict("in/a.png", **SETTINGS)]
    for source in (PIXELS, Image.fromarray(PIXELS[..., ::-1]), [PIXELS], Path("in/a.png"), "in/a*"):
        assert [p.objects for p in loaded.predict(source, **SETTINGS)] == objects
    mixed = list(loaded.predict(["in/b.png", PIXELS, Path("v.mp4")], batch=2, **SETTINGS))
    assert [(p.path.name, p.frame) for p in mixed] == [("b.png", None), ("image1.jpg", None)] + [
        ("v.mp4", i) for i in (1, 2, 3, 4)
    ]
    [nothing] = loaded.predict("in/a.png", conf=0.999)
    assert (len(nothing), nothing.boxes.shape, nothing.points.shape) == (0, (0, 4), (0, 4, 3))


def test_settings_of_a_call_neither_read_nor_build_the_model_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.engine import predictor

    from trainer_host.engine.checkpoint import parsed_files

    counts = {"read": 0, "built": 0}

    class Archive(parsed_files.Archive):
        def __init__(self, path: Path) -> None:
            counts["read"] += 1
            super().__init__(path)

    def backend(*args: Any, **kwargs: Any) -> Any:
        counts["built"] += 1
        return original(*args, **kwargs)

    original: Any = predictor.AutoBackend
    monkeypatch.setattr(parsed_files, "Archive", Archive)
    monkeypatch.setattr(predictor, "AutoBackend", backend)
    model = trainer_host.load(file, device="cpu")
    calls: list[dict[str, Any]] = [{"conf": 0.0001}, {"conf": 0.001, "imgsz": 96}, {"iou": 0.3, "max_det": 400}]
    found = [[p.as_json() for p in model.predict("in", **settings)] for settings in calls]
    assert counts == {"read": 1, "built": 1}
    fresh = [trainer_host.predict(file, "in", device="cpu", **settings).predictions for settings in calls]
    assert found == fresh
    assert counts == {"read": 4, "built": 4}


def test_predictions_may_overlap(file: Path, loaded: TrainedModel) -> None:
    settings: list[dict[str, Any]] = [{"conf": 0.0001, "max_det": 600}, {"conf": 0.0001, "agnostic_nms": True}]
    fresh = [[p.as_json() for p in trainer_host.load(file, device="cpu").predict("in", **s)] for s in settings]
    first, second = (loaded.predict("in", **s) for s in settings)
    pairs = list(zip(first, second, strict=True))
    assert [[p.as_json() for p in found] for found in zip(*pairs, strict=True)] == fresh


def test_a_prediction_ends_early(loaded: TrainedModel) -> None:
    write_video("v.mp4")
    with loaded.predict("v.mp4", **SETTINGS) as found:
        assert next(found).frame == 1
    assert list(found) == []
    found = loaded.predict("v.mp4", **SETTINGS)
    next(found)
    found.close()
    found.close()
    assert list(found) == []
    assert [p.frame for p in loaded.predict("v.mp4", **SETTINGS)] == [1, 2, 3, 4]


def test_unreadable_images(loaded: TrainedModel) -> None:
    Path("in/bad.jpg").write_bytes(b"hello")
    found = loaded.predict("in", **SETTINGS)
    assert len(list(found)) == 2
    assert [(u.path.name, u.reason) for u in found.unreadable] == [("bad.jpg", "not an image, but text")]
    with pytest.raises(DatasetError, match=r"bad\.jpg: not an image, but text\. Fix: replace or remove it"):
        list(loaded.predict("in/bad.jpg"))


def test_wrong_settings_and_sources_are_refused_at_once(file: Path, loaded: TrainedModel) -> None:
    for call, said in (
        (lambda: trainer_host.load(file, conf=0.5), "conf= is not a setting of load. Fix: give it to predict or"),
        (lambda: trainer_host.load(file, devise="cpu"), "unknown setting 'devise'. Did you mean 'device'?"),
        (lambda: trainer_host.load(file.parent), "is a folder"),
        (lambda: loaded.predict("in", device=0), "device=0 cannot be changed once the model is loaded. Fix: give it"),
        (lambda: loaded.predict("in", cnf=0.5), "unknown setting 'cnf'. Did you mean 'conf'?"),
        (lambda: loaded.predict("in", conf=7), "conf=7 is not valid. Fix: write a number from 0 to 1"),
        (
            lambda: loaded.predict("in", save=True),
            "predict of a loaded model does not write files. Fix: call trainer_host.predict",
        ),
        (lambda: loaded.predict("nowhere"), "file or folder nowhere not found."),
        (lambda: loaded.predict("in", classes=[7]), "the model has no class 7"),
        (lambda: loaded.predict("*.tif"), "no image or video matches *.tif."),
        (lambda: loaded.validate(quantize=16), "quantize=16 cannot be changed once the model is loaded."),
        (lambda: loaded.validate(splitt="test"), "unknown setting 'splitt'. Did you mean 'split'?"),
    ):
        with pytest.raises(SettingsError) as caught:
            call()
        assert said in str(caught.value)
        assert len(caught.value.problems) == 1


def test_settings_without_an_effect_are_reported(file: Path) -> None:
    heard = RecordingReporter()
    list(trainer_host.load(file, device="cpu", reporter=heard).predict("in", vid_stride=3, lr0=1.0, project="x"))
    assert sorted(heard.warnings) == [
        "lr0=1.0 has no effect in trainer predict: it is a setting of training.",
        "project=x has no effect: no file is written.",
        "vid_stride=3 has no effect: the source has images only.",
    ]


def test_evaluation_is_that_of_the_command(file: Path, data: Path) -> None:
    model = trainer_host.load(file, device="cpu")
    before = [p.as_json() for p in model.predict("in", **SETTINGS)]
    wanted = trainer_host.val(file, data=str(data), device="cpu", plots=False)
    first = model.validate(data, plots=False)
    assert (first.metrics, first.task, first.model) == (wanted.metrics, "pose", file)
    assert first.save_dir.parent == wanted.save_dir.parent
    assert first.save_dir != wanted.save_dir
    assert [p.as_json() for p in model.predict("in", **SETTINGS)] == before
    assert model.validate(data=str(data), plots=False).metrics == wanted.metrics
    with pytest.raises(DatasetError, match="nowhere"):
        model.validate("nowhere.yaml")


def test_what_a_model_says_of_itself(file: Path, loaded: TrainedModel) -> None:
    assert repr(loaded) == f"<TrainedModel {str(file)!r}: pose, 1 class, on cpu>"
    assert (loaded.task, loaded.path, str(loaded.device), dict(loaded.record)) == ("pose", file, "cpu", {})
    with pytest.raises(TypeError):
        loaded.names[0] = "rat"  # type: ignore[index]


def test_a_predictor_with_results_of_its_own() -> None:
    class Found:
        path, image, objects, frame, fps = Path("a.jpg"), PIXELS, [{"value": 1}], None, None

    class Predictor:
        def __call__(self, source: Any) -> Iterator[Any]:
            yield Found()

        def draw(self, prediction: Any) -> Any:
            return None

    from trainer_host.engine.factory import default_engine

    chain = SimpleNamespace(name="toy", engine_task=None, manager=SimpleNamespace(records={}))
    engine: Any = SimpleNamespace(
        run=SimpleNamespace(chain=chain, engine=default_engine(), options=SimpleNamespace(offline=True)),
        names={},
        predictor=lambda settings, folder: Predictor(),
    )
    from trainer_host.base.reporting import NullReporter
    from trainer_host.plugin.registry import Registry

    [found] = TrainedModel(engine, Registry.installed(), NullReporter()).predict("in/a.png")
    assert found.as_json() == {"image": "a.jpg", "width": 128, "height": 96, "objects": [{"value": 1}]}
    assert (found.plot() == PIXELS).all()
    with pytest.raises(AttributeError, match=r"gives no arrays\. Fix: use \.objects"):
        _ = found.boxes


STEPS = """
import trainer_host, json
import numpy, torch, cv2, matplotlib
from tests.support.process_snapshot import changes, snapshot

seen = []
def look(what):
    seen.append([what, changes(before, snapshot())])

before = snapshot()
model = trainer_host.load({model!r}, device="cpu")
look("load")
found = model.predict("in", conf=0.0001)
look("predict")
for number, prediction in enumerate(found):
    look("result")
    prediction.plot()
    look("plot")
    torch.manual_seed(number), torch.set_num_threads(2), torch.set_grad_enabled(False)  # the program's own
    before = snapshot()
look("end")
model.validate({data!r}, plots=False)
look("validate")
try:
    model.predict("nowhere")
except trainer_host.SettingsError:
    look("error")
video = model.predict("v.mp4")
next(video)
video.close()
look("close")
left = model.predict("v.mp4")  # and never finished
next(left)
print(json.dumps(seen))
"""


def test_the_process_is_as_it_was_between_any_two_steps(file: Path, data: Path, tmp_path: Path) -> None:
    write_video("v.mp4")
    code = "import os; os.environ.pop('OMP_NUM_THREADS', None); os.dup2(os.open('err', os.O_CREAT | os.O_RDWR), 2)\n"
    code += STEPS.format(model=str(file), data=str(data))
    said = python(code, ROOT, cwd=tmp_path)
    seen = json.loads(said.strip().splitlines()[-1])
    steps = ["load", "predict", "result", "plot", "result", "plot", "end", "validate", "error", "close"]
    assert seen == [[step, []] for step in steps]
    assert (tmp_path / "err").read_text() == ""

"""What is said where a dataset, a model and a device do not fit each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import trainer_host
from tests.support.command import command
from tests.support.recording_reporter import RecordingReporter
from tests.support.splits import make_context
from tests.support.untrained_models import checkpoint, dataset, noise
from trainer_detect.model_fit import check_models as check_classes
from trainer_host import DatasetError, Finding, ModelFacts, SettingsError
from trainer_host.engine.ultralytics.model_facts import starting_models
from trainer_pose.model_fit import check_models as check_keypoints
from trainer_pose.task import TASK

DATA = {
    "names": {0: "rat", 1: "mouse"},
    "nc": 2,
    "channels": 3,
    "kpt_shape": [2, 3],
    "kpt_names": {0: ["nose", "tail"]},
}
MODEL = {**DATA, "task": "pose"}


def check(mode: str, keys: dict[str, Any], *, single_cls: bool = False, **model: Any) -> list[Finding]:
    """Return what is said of a dataset and a model with other keys than its own."""
    facts = ModelFacts(name="best.pt", keys={**MODEL, **keys}, **model)
    ctx = replace(make_context(DATA, {}, "pose", single_cls=single_cls), models=(facts,), mode=mode)
    return [*check_classes(ctx), *check_keypoints(ctx)]


@pytest.mark.parametrize(
    ("keys", "code", "words", "refused"),
    [
        ({"kpt_shape": [17, 3]}, "model-kpt-shape", "[2, 3] in the dataset and [17, 3] in the model best.pt", True),
        ({"kpt_shape": [2, 2]}, "model-kpt-shape", "[2, 3] in the dataset and [2, 2] in the model best.pt", True),
        ({"channels": 1}, "model-channels", "3 in the dataset and 1 in the model best.pt", True),
        ({"channels": 4}, "model-channels", "3 in the dataset and 4 in the model best.pt", True),
        ({"names": {0: "cat"}}, "model-classes", "2 classes (rat, mouse), the model best.pt has 1 (cat)", False),
        ({"names": {0: "mouse", 1: "rat"}}, "model-names", "mouse, rat, in another order", False),
        ({"names": {0: "rat", 1: "cat"}}, "model-names", "rat, mouse, those of the model best.pt rat, cat", False),
        ({"kpt_names": {0: ["tail", "nose"]}}, "model-kpt-names", "tail, nose in the model best.pt, in another", False),
        ({"kpt_names": {0: ["nose", "ear"]}}, "model-kpt-names", "nose, tail in the dataset and nose, ear", False),
    ],
)
def test_both_sides_are_named(keys: dict[str, Any], code: str, words: str, refused: bool) -> None:
    for mode in ("train", "val"):
        (finding,) = check(mode, keys)
        assert (finding.code, finding.file) == (code, "/data/data.yaml")
        assert finding.severity == ("error" if refused and mode == "val" else "warning")
        assert words in finding.message
        assert finding.fix
    assert check("train", keys, published=True) == []


def test_what_fits_is_not_mentioned() -> None:
    for mode in ("train", "val"):
        assert check(mode, {}) == []
        assert check(mode, {"names": {0: "Rat ", 1: "MOUSE"}}) == [], "the engine compares names likewise"
        assert check(mode, {"names": {0: "0", 1: "1"}, "kpt_names": {0: ["0", "1"]}}) == [], "numbers are no names"
        assert check(mode, {"names": {0: "cat", 1: "dog"}}, single_cls=True) == []
        assert check(mode, {"kpt_shape": "odd", "names": "odd", "channels": "odd", "kpt_names": 3}) == []
    assert len(check("val", {"names": {0: "x" * 1000}})[0].message) < 300
    assert check("val", {"names": {0: "rat", 1: "mouse", 2: "cat"}}) == [], "classes behind those of the dataset"
    assert [f.code for f in check("train", {"names": {0: "rat", 1: "mouse", 2: "cat"}})] == ["model-classes"]


def test_an_architecture_and_weights_of_another_task_are_compared_with_the_dataset() -> None:
    found = check("train", {"nc": 80, "kpt_shape": [17, 3], "channels": 1}, trained=False)
    assert [f.code for f in found] == ["model-channels", "model-classes", "model-kpt-shape"]
    assert {f.severity for f in found} == {"warning"}
    assert "has nc: 80; a model for 2 is built" in found[1].message
    (finding,) = check("train", {"task": "detect"}, setting="pretrained")
    assert (finding.code, finding.severity) == ("model-task", "warning")
    assert check("train", {"task": "detect"}) == [], "its head is refused where it is built"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with models and datasets."""
    root = tmp_path_factory.mktemp("fit")
    checkpoint(root / "four.pt", "pose")
    checkpoint(root / "many.pt", "pose", kpt_shape=[17, 3])
    checkpoint(root / "gray.pt", "pose", channels=1)
    checkpoint(root / "bands.pt", "pose", channels=4)
    checkpoint(root / "boxes.pt", "detect", ["mouse", "rat"])
    dataset(root / "points")
    return root


@pytest.fixture
def engine_warnings() -> Iterator[list[str]]:
    """Return the warnings that the engine's log gets."""
    from ultralytics.utils import LOGGER

    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    yield found
    LOGGER.removeHandler(handler)


def test_a_model_says_itself_what_it_was_made_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("own7-pose.yaml").write_text("nc: 3\nch: 1\nkpt_shape: [5, 2]\nbackbone: []\nhead: []\n")

    def facts(model: str, pretrained: Any = True, resume: bool = False) -> tuple[ModelFacts, ...]:
        return starting_models(SimpleNamespace(model=model, pretrained=pretrained, resume=resume))

    (found,) = facts("many.pt")
    assert (found.name, found.trained, found.published, found.keys["channels"]) == ("many.pt", True, False, 3)
    assert (found.keys["kpt_shape"], found.keys["names"]) == ([17, 3], {0: "mouse"})
    (found,) = facts("own7n-pose.yaml")
    assert (found.name, found.trained) == ("own7-pose.yaml", False)
    assert found.keys == {"nc": 3, "ch": 1, "channels": 1, "kpt_shape": [5, 2]}
    assert [f.setting for f in facts("four.pt", "boxes.pt")] == ["model", "pretrained"]
    Path("damaged.pt").write_bytes(b"PK")
    assert facts("yolo26n-pose.yaml") == facts("none.pt") == facts("damaged.pt") == facts("four.pt", resume=True) == ()


@pytest.mark.parametrize(
    ("model", "words"),
    [("many.pt", "kpt_shape is [4, 3] in the dataset and [17, 3]"), ("gray.pt", "channels is 3 in the dataset and 1")],
)
def test_a_validation_that_cannot_be_is_refused_before_it_begins(place: Path, model: str, words: str) -> None:
    with pytest.raises(DatasetError, match="Fix: ") as caught:
        trainer_host.val(place / model, data=str(place / "points/data.yaml"), project=str(place / "runs"))
    (problem,) = caught.value.problems
    assert words in problem.message
    assert str(place / model) in problem.message


def test_the_command_refuses_in_one_line(place: Path, tmp_path: Path) -> None:
    done = command("val", f"model={place / 'many.pt'}", f"data={place / 'points/data.yaml'}", "--json", cwd=tmp_path)
    assert done.code == 4
    assert done.json["error"] == "DatasetError"
    assert "[17, 3]" in done.json["problems"][0]["message"]
    assert "Traceback" not in done.err


def test_the_command_tells_of_unused_keypoints_small_sigmas_and_the_device(place: Path, tmp_path: Path) -> None:
    done = command("check", str(place / "points/data.yaml"), "--task", "detect", "--json", cwd=tmp_path)
    assert (done.code, done.json["counts"]["codes"]["keypoints-unused"]) == (0, 1)
    faces = dataset(tmp_path / "faces", keypoints=294, kpt_oks_sigmas=None)
    done = command("check", str(faces), "--task", "pose", "device=mps", cwd=tmp_path)
    assert done.code == 0
    for words in ("1/294 = 0.003401", "pose models are known to predict wrong keypoints on Apple GPUs"):
        assert done.err.count(words) + done.out.count(words) == 1


@pytest.mark.parametrize("use", [trainer_host.val, trainer_host.predict])
def test_a_model_of_another_task_is_refused(place: Path, use: Any) -> None:
    given = {"data": str(place / "points/data.yaml")} if use is trainer_host.val else {"source": str(place / "points")}
    with pytest.raises(SettingsError, match=r"the task is pose, but .* for detect\. Fix: remove --task"):
        use(place / "boxes.pt", task="pose", project=str(place / "runs"), **given)


def test_images_with_other_channels_than_the_models_are_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"0\.png"):
        trainer_host.predict(place / "bands.pt", place / "points/images/val")
    dataset(tmp_path / "cutouts", pixels=lambda: noise(4))
    images = sorted((tmp_path / "cutouts/images/val").iterdir())
    found = trainer_host.predict(place / "bands.pt", images[0].parent, pictures=True, project=str(tmp_path))
    assert [Path(p["image"]) for p in found.predictions] == images
    assert len(found.files) == len(images)
    gray = trainer_host.predict(place / "gray.pt", images[0], pictures=True, project=str(tmp_path))
    assert len(gray.files) == 1


def test_the_drop_in_class_compares_too_and_knows_the_faults_of_a_device(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_warnings: list[str]
) -> None:
    from trainer_pose import PoseTrainer

    monkeypatch.chdir(tmp_path)
    data = str(place / "points/data.yaml")
    PoseTrainer(overrides={"model": str(place / "many.pt"), "data": data, "device": "mps", "imgsz": 64})
    assert [w for w in engine_warnings if "kpt_shape is [4, 3] in the dataset and [17, 3]" in w]
    assert [w for w in engine_warnings if "pose models are known to predict wrong keypoints on Apple GPUs" in w]


def test_a_faulty_device_is_reported_in_validation_and_prediction(place: Path, tmp_path: Path) -> None:
    words, where = "pose models are known to predict wrong keypoints on Apple GPUs", str(tmp_path)
    heard = RecordingReporter()
    data = str(place / "points/data.yaml")
    trainer_host.val(place / "four.pt", data=data, device="mps", plots=False, project=where, reporter=heard)
    assert [words in w for w in heard.warnings].count(True) == 1
    heard = RecordingReporter()
    trainer_host.predict(place / "four.pt", place / "points/images/val", device="mps", reporter=heard)
    assert [words in w for w in heard.warnings].count(True) == 1
    heard = RecordingReporter()
    trainer_host.val(place / "four.pt", data=data, device="cpu", plots=False, project=where, reporter=heard)
    assert heard.warnings == []


def test_the_device_that_computes_counts_not_only_what_was_asked() -> None:
    ctx = make_context(DATA, {}, "pose")
    checked = TASK.hooks.check_dataset(replace(ctx, device=torch.device("mps")))
    assert "device-faults" in [f.code for f in checked]
    assert "device-faults" not in [f.code for f in TASK.hooks.check_dataset(replace(ctx, device=torch.device("cpu")))]


@pytest.mark.train
def test_a_run_adapts_the_model_and_draws_images_of_four_channels(place: Path, tmp_path: Path) -> None:
    data = dataset(tmp_path / "cutouts", pixels=lambda: noise(4), channels=4)
    words = ["task=pose", f"model={place / 'many.pt'}", f"data={data}", "epochs=1", "imgsz=64", "batch=2"]
    done = command("run", "--task", "pose", *words[1:], cwd=tmp_path)
    assert done.code == 0, done.err
    for text in ("kpt_shape is [4, 3] in the dataset and [17, 3] in the", "channels is 4 in the dataset and 3 in the"):
        assert done.err.count(text) == 1
    assert (tmp_path / "runs/pose/train/predictions.jpg").is_file()


@pytest.mark.train
def test_gray_images_are_drawn(tmp_path: Path) -> None:
    data = dataset(tmp_path / "gray", pixels=lambda: noise(1), channels=1)
    heard = RecordingReporter()
    result = trainer_host.run(
        "pose",
        model="yolo26n-pose.yaml",
        data=str(data),
        epochs=1,
        imgsz=64,
        batch=2,
        project=str(tmp_path),
        reporter=heard,
    )
    assert result.predictions is not None
    assert result.predictions.is_file()
    assert [w for w in heard.warnings if "picture" in w or "channels" in w] == []
    names = {"train_batch0.jpg", "labels.jpg", "val_batch0_labels.jpg", "val_batch0_pred.jpg"}
    assert names <= {f.name for f in result.save_dir.iterdir()}

"""A task that is not made of the engine's parts: its own network, dataset, loss, metric and final evaluation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
import yaml

from tests.contract.conftest import rows
from trainer_host import ExitCode

if TYPE_CHECKING:
    from tests.contract.conftest import Trained, Trainer

pytestmark = pytest.mark.wheel

PLAIN_ENGINE = """
import sys
from ultralytics import YOLO
try:
    YOLO(sys.argv[1]).predict(sys.argv[2])
except NotImplementedError as error:
    print(error)
"""


def test_it_is_listed_without_being_imported(trainer: Trainer) -> None:
    records = {r["name"]: r for r in trainer("plugins", "--json").json["plugins"]}
    assert records["heatmap"] == {
        "name": "heatmap",
        "kind": "task",
        "distribution": "trainer-heatmap",
        "version": "1.0",
        "state": "available",
        "reason": "",
        "target": "trainer_heatmap.task:TASK",
        "always": False,
    }
    assert ["heatmap", "task", "available", "trainer-heatmap", "1.0"] in [
        line.split() for line in trainer("plugins").out.splitlines()
    ]


def test_it_shows_its_hooks_and_options(trainer: Trainer) -> None:
    described = trainer("plugins", "show", "heatmap", "--json").json
    assert described["chain"] == ["heatmap"]
    assert {"build_model", "build_sample", "evaluate_best", "read_dataset"} <= set(described["hooks"])
    options = {name: (about["type"], about["default"]) for name, about in described["options"].items()}
    assert options == {"channels": ("int", 16), "temperature": ("float", 0.5)}


@pytest.mark.train
def test_it_trains_on_its_sample_and_learns_it(heatmap: Trained) -> None:
    result = heatmap.done.json
    assert (result["status"], result["task"], result["epochs"]) == ("done", "heatmap", 6)
    assert result["metrics"]["metrics/PCK"] > 0.9
    assert "fitness" not in result["metrics"]
    assert (heatmap.run / "predictions.jpg").is_file()
    epochs = rows(heatmap.run / "results.csv")
    assert float(epochs[-1]["train/heat_loss"]) < float(epochs[0]["train/heat_loss"])
    assert {"metrics/PCK", "metrics/error", "metrics/error_red"} <= epochs[0].keys()


@pytest.mark.train
def test_its_final_evaluation_is_asked(heatmap: Trained) -> None:
    errors = {row["point"]: float(row["error"]) for row in rows(heatmap.run / "points.csv")}
    metrics = heatmap.done.json["metrics"]
    assert list(errors) == ["red", "green", "blue"]
    for name, error in errors.items():
        assert error == pytest.approx(metrics[f"metrics/error_{name}"], abs=1e-5)


@pytest.mark.train
def test_its_options_are_stored_with_the_run(heatmap: Trained) -> None:
    record = yaml.safe_load((heatmap.run / "run.yaml").read_text(encoding="utf-8"))
    assert record["plugins"]["heatmap"] == {"channels": 12, "temperature": 0.5}
    assert "heatmap (trainer-heatmap 1.0)" in record["record"]["plugins"]


@pytest.mark.train
def test_its_checkpoint_names_no_class_of_the_package(heatmap: Trained) -> None:
    names = torch.serialization.get_unsafe_globals_in_checkpoint(heatmap.best)
    assert {n.partition(".")[0] for n in names} <= {"torch", "numpy"}
    content = torch.load(heatmap.best, weights_only=False)
    assert content["trainer_host"]["needs"] == ["trainer-heatmap"]
    assert (content["epoch"], content["optimizer"]) == (-1, None), "a finished checkpoint carries no training state"


@pytest.mark.train
def test_validation_restores_the_task_from_the_file(heatmap: Trained, trainer: Trainer) -> None:
    measured = trainer("val", f"model={heatmap.best}", "--json")
    assert f"Task: heatmap (inferred from {heatmap.best})" in measured.said
    metrics = measured.json["metrics"]
    trained = heatmap.done.json["metrics"]
    assert {k: metrics[k] for k in trained} == {k: pytest.approx(v, abs=1e-4) for k, v in trained.items()}


@pytest.mark.train
def test_prediction_finds_the_points(heatmap: Trained, trainer: Trainer) -> None:
    done = trainer(
        *("predict", f"model={heatmap.best}", f"source={heatmap.sample}", "--json"),
        *("--output", "found.json", "--output", "found.csv"),
    )
    truth = {}
    for split in ("train", "val"):
        for line in (heatmap.sample / f"{split}.csv").read_text(encoding="utf-8").splitlines():
            image, *numbers = line.split(",")
            truth[image] = list(map(float, numbers))
    found = {p["image"].rpartition("/")[2]: p["objects"] for p in done.json["predictions"]}
    assert found.keys() == truth.keys()
    assert [point["name"] for point in found["val00.png"]] == ["red", "green", "blue"]
    places = {image: [v for p in points for v in (p["x"], p["y"])] for image, points in found.items()}
    off = [abs(a - b) for image in truth for a, b in zip(places[image], truth[image], strict=True)]
    assert sum(off) / len(off) < 3, "in pixels of 64"
    assert json.loads((trainer.folder / "found.json").read_text(encoding="utf-8")) == done.json["predictions"]
    assert len(rows(trainer.folder / "found.csv")) == 3 * len(truth)
    assert (trainer.folder / "runs" / "heatmap" / "predict" / "val00.jpg").is_file()


@pytest.mark.train
def test_a_training_starts_from_its_checkpoint(heatmap: Trained, trainer: Trainer) -> None:
    words = [f"model={heatmap.best}", f"data={heatmap.sample / 'points.yaml'}", "imgsz=64", "epochs=1", "lr0=0.0001"]
    again = trainer("run", *words, "optimizer=AdamW", "warmup_epochs=0", "--json")
    assert again.json["task"] == "heatmap"
    assert again.json["metrics"]["metrics/PCK"] > 0.9, "one small step keeps what was learned"


@pytest.mark.train
def test_plain_ultralytics_says_what_its_checkpoint_needs(heatmap: Trained, bare: Trainer) -> None:
    said = bare.python("-c", PLAIN_ENGINE, heatmap.best, heatmap.sample / "val00.png").out
    assert "pip install trainer-host trainer-heatmap" in said


@pytest.mark.train
def test_without_its_package_the_file_says_what_it_needs(heatmap: Trained, bare: Trainer) -> None:
    done = bare("predict", f"model={heatmap.best}", f"source={heatmap.sample}", code=ExitCode.PLUGIN)
    assert "unknown task 'heatmap'" in done.err
    assert "pip install trainer-heatmap" in done.err


def test_wrong_options_are_reported_together(trainer: Trainer) -> None:
    words = ["heatmap.chanels=8", "epochz=3", "--plugin", "layer-rates", "layer-rates.factor=much"]
    done = trainer("run", "--task", "heatmap", *words, code=ExitCode.SETTINGS)
    assert done.said == [
        "trainer: unknown setting 'epochz'. Did you mean 'epochs'?",
        "trainer: unknown option of plugin 'heatmap': 'chanels'. Did you mean 'channels'?",
        "trainer: layer-rates.factor='much': input should be a valid number, unable to parse string as a number.",
    ]


def test_a_model_of_the_engine_is_refused(trainer: Trainer) -> None:
    done = trainer("run", "--task", "heatmap", "model=yolo26n.yaml", code=ExitCode.SETTINGS)
    assert "heatmap has its own network" in done.err


def test_its_dataset_tells_the_task_and_is_checked(trainer: Trainer) -> None:
    (trainer.folder / "points.yaml").write_text("points: [tip, heel]\ntrain: all.csv\nval: all.csv\n", encoding="utf-8")
    (trainer.folder / "all.csv").write_text("gone.png,1,2,3,4\npoints.yaml,1,2\n", encoding="utf-8")
    done = trainer("run", "data=points.yaml", code=ExitCode.DATASET)
    assert done.said == [
        "Task: heatmap (inferred from the dataset points.yaml)",
        "trainer: all.csv:1: image gone.png not found. Fix: correct its name",
        "trainer: all.csv:2: 2 numbers. Fix: write 4: x and y of each point",
    ]

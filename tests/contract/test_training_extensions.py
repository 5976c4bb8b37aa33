"""Packages that change how a model is trained, measured and used, all switched on together in one training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from tests.contract.conftest import PACKAGES, Done, Trainer, rows
from tests.support.sample_datasets import pose_dataset
from trainer_host import ExitCode

pytestmark = [pytest.mark.wheel, pytest.mark.train]

NAMES = ("focal-loss", "json-log", "oks-sigmas", "plateau", "pck", "balanced", "every-keypoint", "layer-rates")
SMALL = ("model=yolo11n-pose.yaml", "imgsz=64", "batch=2", "epochs=3", "plots=False", "warmup_epochs=0", "workers=0")
SIGMAS = [0.05] * 8 + [0.2]


IMPORT_ALL = """
import json
from trainer_host import Registry
from trainer_host.plugin.import_check import main

others = [r for r in Registry.installed().records if r.distribution != "trainer-host"]
print(json.dumps({r.distribution: main(r.kind, f"{r.distribution}:{r.name}") for r in others}))
"""


@dataclass(frozen=True)
class Run:
    command: Trainer
    data: Path
    done: Done

    @property
    def folder(self) -> Path:
        return Path(self.done.json["save_dir"])

    @property
    def best(self) -> Path:
        return self.folder / "weights" / "best.pt"

    @property
    def record(self) -> dict[str, Any]:
        """What the checkpoint says of the run."""
        record: dict[str, Any] = torch.load(self.folder / "weights" / "last.pt", weights_only=False)["trainer_host"]
        return record


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Run:
    folder = tmp_path_factory.mktemp("together")
    command, data = Trainer(folder, (site,)), pose_dataset(folder / "figures", images=4)
    words = [w for name in NAMES for w in ("--plugin", name)]
    options = [f"oks-sigmas.sigmas={SIGMAS}", "plateau.patience=1", "plateau.factor=0.5", "focal-loss.gamma=2"]
    options += ["pck.threshold=0.5"]
    best = ["--best-metric", "val/pose_loss"]
    return Run(command, data, command("run", f"data={data}", *SMALL, *words, *options, *best, "--json"))


def test_all_packages_are_installed_beside_each_other(together: Run) -> None:
    done = together.command.python("-c", IMPORT_ALL)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == dict.fromkeys((folder.name for folder in PACKAGES.iterdir()), 0)


def test_a_logger_gets_the_settings_and_each_epoch_and_the_best(together: Run) -> None:
    lines = (together.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    first, *epochs, last = map(json.loads, lines)
    assert (first["task"], first["settings"]["imgsz"]) == ("pose", "64")
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    for line, row in zip(epochs, rows(together.folder / "results.csv"), strict=True):
        figures = {k: float(v) for k, v in row.items() if k not in {"epoch", "time"}}
        assert line["values"] == pytest.approx(figures, rel=1e-4, abs=1e-6)
    assert last["epoch"] is None
    assert last["values"] == pytest.approx(together.done.json["metrics"])


def test_the_metric_that_was_named_tells_the_best(together: Run) -> None:
    losses = [float(row["val/pose_loss"]) for row in rows(together.folder / "results.csv")]
    best = torch.load(together.folder / "weights" / "best.pt", weights_only=False)["train_metrics"]
    assert best["val/pose_loss"] == pytest.approx(min(losses), rel=1e-4)


def test_learning_rates_fall_where_there_is_no_progress(together: Run) -> None:
    table = rows(together.folder / "results.csv")
    losses = [float(row["val/pose_loss"]) for row in table]
    lowered = [0.5 ** sum(losses[i] >= min(losses[:i]) for i in range(1, n)) for n in range(1, len(losses) + 1)]
    linear = [1 - epoch / len(table) * 0.99 for epoch in range(len(table))]
    rates = [float(row["lr/pg0"]) for row in table]
    factors = [a * b for a, b in zip(linear, [1.0, *lowered], strict=False)]
    assert rates == pytest.approx([rates[0] * f for f in factors], rel=1e-4)
    kept = together.record["plugin_states"]["plateau"]
    assert kept == {"best": pytest.approx(-min(losses), rel=1e-4), "waited": 0, "lowered": lowered[-1]}


def test_sigmas_reach_the_model_and_the_record(together: Run) -> None:
    assert together.record["data"]["kpt_oks_sigmas"] == SIGMAS
    model = torch.load(together.folder / "weights" / "best.pt", weights_only=False)["model"]
    assert list(model.kpt_oks_sigmas) == SIGMAS
    words = [f"data={together.data}", *SMALL, "--plugin", "oks-sigmas"]
    said = together.command("run", *words, code=ExitCode.SETTINGS).err
    assert "oks-sigmas.sigmas has 0 numbers, and the dataset has 9 keypoints. Fix: give one for each keypoint" in said


def test_they_are_stored_with_the_run_and_a_metric_of_a_plugin_is_measured_again(together: Run) -> None:
    assert [p["name"] for p in together.record["plugins"] if p["kind"] == "extension"] == list(NAMES)
    # The model's file says which extensions it was trained with, and how.
    words = (f"model={together.best}", "batch=2", "plots=False")
    again, metrics = together.command("val", *words, "--json").json["metrics"], together.done.json["metrics"]
    assert again.keys() - {"fitness"} == metrics.keys()
    assert again["metrics/PCK"] == pytest.approx(metrics["metrics/PCK"], abs=1e-4)


def test_a_metric_of_a_plugin_is_a_column_and_part_of_the_outcome(together: Run) -> None:
    assert 0 <= together.done.json["metrics"]["metrics/PCK"] <= 1
    epochs = rows(together.folder / "results.csv")
    assert [0 <= float(epoch["metrics/PCK"]) <= 1 for epoch in epochs] == [True] * 3


def test_keypoints_of_low_confidence_are_shown_or_dropped(together: Run) -> None:
    image = next((together.data.parent / "images" / "val").iterdir())
    words = (f"model={together.best}", f"source={image}", "conf=0.0001", "max_det=1", "--output", "found.csv")

    def predicted(*more: str) -> tuple[list[dict[str, Any]], Any]:
        done = together.command("predict", *words, *more, "--json").json
        picture = next(f for f in done["files"] if f.endswith(".jpg"))
        return done["predictions"][0]["objects"][0]["keypoints"], cv2.imread(picture)

    stock, plain = predicted("--no-plugin", "every-keypoint")
    low = sorted(point["confidence"] for point in stock if point["confidence"] < 0.5)
    assert 1 < len(low) < len(stock), "a model that knows nothing"
    least = (low[-2] + low[-1]) / 2

    left, ringed = predicted(f"every-keypoint.least={least}")
    for point, before in zip(left, stock, strict=True):
        gone = {**before, "x": 0.0, "y": 0.0, "confidence": 0.0}
        assert point == (before if before["confidence"] > least else gone)
    assert (ringed != plain).any(), "a ring around the one that the task does not draw"
    table = rows(together.command.folder / "found.csv")[0]
    assert [float(table[f"keypoints.{p['name']}.confidence"]) for p in left] == [p["confidence"] for p in left]


def test_an_unknown_metric_ends_the_run_before_the_first_epoch(together: Run) -> None:
    words = [f"data={together.data}", *SMALL, "--best-metric", "metrics/map50(P)"]
    said = together.command("run", *words, code=ExitCode.SETTINGS).err
    assert "unknown metric 'metrics/map50(P)'. Did you mean 'metrics/mAP50(P)'?" in said

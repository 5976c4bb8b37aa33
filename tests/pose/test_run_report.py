"""What a run reports about itself: its weights, its epochs, why it ended, and whose metrics it shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command import command
from tests.support.sample_datasets import pose_dataset
from trainer_host import RunResult, SettingsError, run
from trainer_host.base.reporting import EpochReport, NullReporter

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"imgsz": 32, "batch": 4, "plots": False, "model": "yolov8n-pose.yaml", "optimizer": "SGD"}
FITNESS = """
from trainer_host import hookimpl

LOGGED = []

@hookimpl(wrapper=True)
def compute_fitness(ctx, metrics):
    yield
    return {}

@hookimpl
def log_metrics(ctx):
    with (ctx.save_dir / "logged.txt").open("a") as file:
        file.write(f"{{ctx.epoch}} {{'metrics/mAP50(P)' in ctx.values}} {{'train/box_loss' in ctx.values}}\\n")
"""


class Listener(NullReporter):
    """A reporter that remembers what it was messages."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.epochs: list[EpochReport] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)

    @property
    def start(self) -> list[str]:
        """The lines about the weights."""
        return [n for n in self.notes if n.startswith(("Weights:", "Not transferred:", "Teacher:"))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(pose_dataset(tmp_path_factory.mktemp("story") / "data", images=4))


def train(data: Path, fitness: str | None = None, **more: Any) -> tuple[RunResult, Listener, dict[str, Any]]:
    """Train, and return the result, what was reported, and the record of the run."""
    listener, folder = Listener(), data.parent.parent
    if fitness is not None:
        file = folder / f"judge{abs(hash(fitness))}.py"
        file.write_text(FITNESS.format(fitness), encoding="utf-8")
        more["plugins"] = [str(file)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = run("pose", data=data, reporter=listener, **{**SETTINGS, **more})
    record = yaml.safe_load((result.save_dir / "run.yaml").read_text(encoding="utf-8"))["record"]
    return result, listener, record


@pytest.fixture(scope="module")
def tied(data: Path) -> tuple[RunResult, Listener, dict[str, Any]]:
    """A training in which every epoch is as good as the others."""
    return train(data, "0.5", epochs=6, patience=2)


def test_the_fitness_selects_the_best_and_is_shown(data: Path) -> None:
    result, listener, _ = train(data, epochs=2)
    shown = [e.metrics["fitness"] for e in listener.epochs]
    with (result.save_dir / "results.csv").open(newline="") as file:
        rows = [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(file)]
    sums = [sum(float(row[f"metrics/mAP50-95({part})"]) for part in "BP") for row in rows]
    assert shown == pytest.approx(sums, abs=2e-5)
    assert result.best_epoch is not None
    assert shown[result.best_epoch - 1] == max(v for v in shown if v is not None)


def test_an_early_stop_is_explained(tied: tuple[RunResult, Listener, dict[str, Any]]) -> None:
    result, listener, record = tied
    assert record["versions"]["engine"] == "tested"
    said = "stopped early after 3 of 6 epochs: no improvement since epoch 1 (patience=2), best at epoch 3"
    messages = result.as_json()
    for source in (messages, record):
        assert (source["stop_reason"], source["stop_message"]) == ("patience", said)
        assert (source["epochs"], source["planned_epochs"], source["best_epoch"]) == (3, 6, 3)
        assert source["metrics_of"] == "best"
    assert [e.best for e in listener.epochs] == [True] * 3, "the file is written again for a tie"


def test_weights_of_an_architecture_are_random(tied: tuple[RunResult, Listener, dict[str, Any]]) -> None:
    result, listener, record = tied
    assert listener.start == ["Weights: random."]
    assert record["weights"] == result.as_json()["weights"]
    assert (record["weights"]["source"], record["weights"]["transferred"]) == (None, 0)


def test_epochs_without_validation_have_no_values(data: Path) -> None:
    result, listener, _ = train(data, "0.5", epochs=2, val=False)
    first, last = listener.epochs
    assert set(first.metrics.values()) == {None}
    assert all(isinstance(v, float) for v in last.metrics.values())
    assert (first.best, last.best) == (False, True)
    expected = "val=False evaluates the last epoch only, so best.pt is the last epoch and patience has no effect."
    assert expected in listener.warnings
    logged = (result.save_dir / "logged.txt").read_text(encoding="utf-8").splitlines()
    assert logged == ["1 False True", "2 True True", "None True False"]


def test_a_run_without_checkpoints_reports_the_last_epoch(data: Path, tied: Any) -> None:
    last = tied[0].last
    result, listener, record = train(data, "-float(ctx.engine.epoch)", epochs=2, save=False, model=str(last))
    assert (result.best, result.best_epoch, result.metrics_of, record["metrics_of"]) == (None, None, "last", "last")
    assert result.last is not None
    assert result.predictions is not None
    assert [e.best for e in listener.epochs] == [False, False]
    assert listener.start == [f"Weights: 397 of 397 tensors from {last}."]
    assert any(w.startswith("save=False writes checkpoints after the last epoch only") for w in listener.warnings)


def test_a_checkpoint_of_an_earlier_run_is_not_reported(data: Path, tied: Any) -> None:
    folder = data.parent.parent / "again"
    weights = folder / "weights"
    weights.mkdir(parents=True)
    for name in ("best.pt", "last.pt"):
        (weights / name).write_bytes(b"of another run")
    result, *_ = train(data, "0.5", epochs=9, patience=1, save=False, save_dir=str(folder))
    assert (result.best, result.last, result.predictions) == (None, None, None)
    assert result.ending.reason == "patience"
    assert (weights / "best.pt").read_bytes() == b"of another run"


def test_the_command_says_so(data: Path, tied: Any, tmp_path: Path) -> None:
    words = [f"{k}={v}" for k, v in {**SETTINGS, "model": tied[0].last, "pretrained": False}.items()]
    done = command("run", "--task", "pose", f"data={data}", *words, "time=0.0001", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert f"Weights: random; of {tied[0].last} only the architecture is used." in done.err
    assert "0.0001 h at 32 px." in done.err
    epochs = done.json["epochs"]
    message = f"time limit of 0.0001 h reached after {epochs} epoch{'s' * (epochs != 1)}"
    assert (done.json["stop_reason"], done.json["stop_message"]) == ("time", message)
    best = done.json["best_epoch"]
    assert f"{message.capitalize()}. The best model on held-out images (epoch {best}):" in done.err


@pytest.mark.parametrize("name", ["map50(P)", "min:x", "train/box_loss"])
def test_an_unknown_metric_lists_all_of_them(data: Path, name: str) -> None:
    before = set((data.parent.parent / "runs" / "pose").glob("*"))
    with pytest.raises(SettingsError) as caught:
        train(data, epochs=2, best_metric=name)
    for known in ("metrics/mAP50-95(P)", "metrics/recall(B)", "val/pose_loss", "val/dfl_loss", "fitness", "min:"):
        assert known in str(caught.value)
    assert set((data.parent.parent / "runs" / "pose").glob("*")) == before, "nothing is left of a refused run"


def test_a_metric_may_be_named_without_its_group(data: Path) -> None:
    result, listener, _ = train(data, epochs=2, best_metric="pose_loss", plots=True)
    losses = [e.metrics["val/pose_loss"] or 0.0 for e in listener.epochs]
    assert result.best_epoch is not None
    assert 0 < losses[result.best_epoch - 1] == min(losses)

"""The end of a run: nothing is evaluated, read or drawn that need not be, and nothing in the epochs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from ultralytics.engine.validator import BaseValidator

import trainer_host
from tests.support.sample_datasets import pose_dataset
from tests.support.training import train
from trainer_host.engine.checkpoint.parsed_files import ParsedFiles
from trainer_host.engine.ultralytics.reimplemented import final_eval, save_model
from trainer_host.engine.ultralytics.reimplemented.training_loop import TrainingLoop

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"imgsz": 64, "batch": 4, "model": "yolo26n-pose.yaml", "optimizer": "AdamW", "lr0": 0.002}
OURS = {"run.yaml", "dataset.yaml", "predictions.jpg"}
LISTENER = """
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    return {"on_val_end": lambda validator: None}
"""
STOP = """
import os, signal
from pathlib import Path
from trainer_host import hookimpl

@hookimpl
def callbacks(ctx):
    done = Path(__file__).with_suffix(".done")

    def stop(trainer):
        if trainer.epoch == 1 and not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    return {"on_train_batch_start": stop}
"""


class Counted:
    """What a run does, counted by part: ``epochs``, ``end`` of the training, and ``after`` it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.part, self.counts = "epochs", Counter[tuple[str, str]]()
        self._patch = monkeypatch
        self._count(FigureCanvasAgg, "draw", "drawn")
        self._count(BaseValidator, "__call__", "evaluated")
        self._count(ParsedFiles, "open", "read")
        for module in (save_model, final_eval):
            self._count(module, "serialise", "serialised")
        finish = TrainingLoop._finish

        def finishing(loop: TrainingLoop) -> None:
            self.part = "end"
            finish(loop)
            self.part = "after"

        monkeypatch.setattr(TrainingLoop, "_finish", finishing)

    def _count(self, owner: Any, name: str, what: str) -> None:
        function = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            self.counts[what, self.part] += 1
            return function(*args, **kwargs)

        self._patch.setattr(owner, name, counting)

    def __getitem__(self, what: str) -> tuple[int, int]:
        return self.counts[what, "epochs"], self.counts[what, "end"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pose_dataset(tmp_path_factory.mktemp("pose"), images=12))


def files(folder: Path) -> set[str]:
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}


def record(result: trainer_host.RunResult) -> dict[str, Any]:
    content = yaml.safe_load((result.save_dir / "run.yaml").read_text(encoding="utf-8"))
    return dict(content["record"])


def test_the_best_checkpoint_is_not_evaluated_again(tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    result = trainer_host.run("pose", data=data, project=str(tmp_path), epochs=2, **SETTINGS)
    assert counted["evaluated"] == (2, 0)
    assert counted["read"] == (0, 0)
    assert counted["drawn"][0] == 0
    assert counted["serialised"] == (2, 1 if result.best_epoch == 2 else 2)
    assert record(result)["kept_evaluation"] == result.best_epoch

    stock = tmp_path / "stock.pt"
    train("stock-pose", stock, {**SETTINGS, "data": data, "epochs": 2, "workers": 0})
    assert files(result.save_dir) - OURS == files(tmp_path / "runs-stock" / "run")

    assert result.best is not None
    again = trainer_host.val(str(result.best), data=data, project=str(tmp_path), batch=8, plots=False)
    assert {k: again.metrics[k] for k in result.metrics} == pytest.approx(result.metrics, abs=0.01)
    saved = torch.load(result.best, weights_only=False)
    assert saved["optimizer"] is None
    assert saved["ema"] is None
    assert {p.dtype for p in saved["model"].parameters()} == {torch.float16}
    assert isinstance(saved["model"].args, dict)


@pytest.mark.parametrize("case", ["exact", "listener"])
def test_it_is_evaluated_again_where_that_could_differ(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    extension = tmp_path / "listener.py"
    extension.write_text(LISTENER)
    more: dict[str, Any] = {"exact": True} if case == "exact" else {"plugins": [str(extension)]}
    counted = Counted(monkeypatch)
    result = trainer_host.run("pose", data=data, project=str(tmp_path), epochs=1, **SETTINGS, **more)
    assert counted["evaluated"] == (1, 1)
    assert counted["read"] == (0, 0)
    assert "kept_evaluation" not in record(result)
    drawn, _ = counted["drawn"]
    assert (drawn > 0) == (case == "exact")  # with the labels first, as in the stock trainers


def test_a_stopped_run_draws_nothing_and_what_was_due_once_it_ends(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = tmp_path / "stop.py"
    extension.write_text(STOP)
    counted = Counted(monkeypatch)
    with pytest.raises(trainer_host.StoppedError):
        trainer_host.run("pose", data=data, project=str(tmp_path), epochs=2, plugins=[str(extension)], **SETTINGS)
    folder = tmp_path / "train"
    assert counted.counts["drawn", "epochs"] == counted.counts["drawn", "end"] == 0
    assert {f for f in files(folder) if f.endswith((".png", ".jpg"))} == {f"train_batch{n}.jpg" for n in range(3)}
    result = trainer_host.resume(str(folder), plugins=[str(extension)])
    assert counted["drawn"][0] == 0
    assert {"labels.jpg", "results.png", "BoxF1_curve.png", "val_batch0_pred.jpg"} <= files(result.save_dir)
    assert ("kept_evaluation" in record(result)) == (result.best_epoch == 2)

"""Extensions: installed ones, and single files for one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import Trained, Trainer
from trainer_host import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.wheel

ONE_FILE = """
from __future__ import annotations
from dataclasses import dataclass
from trainer_host import ExtensionSpec, hookimpl

@dataclass(frozen=True)
class Options:
    word: str = "nothing"

class Hooks:
    @hookimpl
    def callbacks(self, ctx):
        word = ctx.options_for(Options).word
        return {"on_train_start": lambda trainer: (trainer.save_dir / "said.txt").write_text(word)}

    @hookimpl(wrapper=True)
    def draw_prediction(self, ctx, prediction):
        yield
        raise ValueError("no colours left")

PLUGIN = ExtensionSpec(hooks=Hooks(), options=Options)
"""


def test_an_extension_shows_its_hooks_and_options(trainer: Trainer) -> None:
    shown = trainer("plugins", "show", "layer-rates").out.splitlines()
    assert shown[0] == "layer-rates (extension)"
    assert "  package  trainer-layer-rates 1.0" in shown
    assert "  hooks    build_optimizer, callbacks" in shown
    assert "    layer-rates.factor=0.1  (float)" in shown


@pytest.mark.train
def test_an_extension_changes_learning_rates_and_is_called_back(heatmap: Trained) -> None:
    lines = [json.loads(line) for line in (heatmap.run / "layer-rates.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    # The stem has weights and a norm's weight and bias: three groups behind those of the other layers.
    for rates in (line["rates"] for line in lines):
        assert rates[3:] == [pytest.approx(rate / 2) for rate in rates[:3]]
    assert lines[-1]["rates"][0] < lines[0]["rates"][0], "the schedule goes on as before"


@pytest.mark.train
def test_a_model_is_used_without_the_extension_it_was_trained_with(
    heatmap: Trained, heatmap_site: Path, tmp_path: Path
) -> None:
    trainer = Trainer(tmp_path, (heatmap_site,))
    words = [f"model={heatmap.best}", f"source={heatmap.sample / 'val00.png'}", "--no-pictures"]
    done = trainer("predict", *words)
    assert "was trained with the plugin 'layer-rates', which is not installed; continuing without it." in done.err
    assert done.said[-1] == "Found 3 objects in 1 image."


@pytest.mark.train
def test_a_recorded_extension_can_be_switched_off(heatmap: Trained, trainer: Trainer) -> None:
    words = [f"model={heatmap.best}", f"source={heatmap.sample / 'val00.png'}", "--no-pictures"]
    done = trainer("predict", *words, "--no-plugin", "layer-rates")
    assert done.said == [f"Task: heatmap (inferred from {heatmap.best})", "Found 3 objects in 1 image."]


@pytest.mark.train
def test_one_file_is_an_extension_for_one_run(surrounded: Trainer) -> None:
    (surrounded.folder / "words.py").write_text(ONE_FILE, encoding="utf-8")
    words = ["--plugin", "./words.py", "words.word=hello", "epochs=1", "--json"]
    # Among packages that are broken, which nobody asked for.
    result = surrounded("run", "--task", "heatmap", *words)
    run = surrounded.folder / "runs" / "heatmap" / "train"
    assert (run / "said.txt").read_text(encoding="utf-8") == "hello"
    assert result.json["status"] == "done"
    assert "cannot draw the pictures of predictions: extension 'words'" in result.err
    assert "failed in its hook draw_prediction: ValueError: no colours left" in result.err
    refused = surrounded("run", run / "run.yaml", "--dry-run", "--json", code=ExitCode.UNSAFE)
    assert refused.json["problems"][0]["fix"] == "if you trust it, add --plugin ./words.py"
    assert "trainer run run.yaml --plugin" in (run / "run.yaml").read_text(encoding="utf-8").splitlines()[0]
    shown = surrounded("run", run / "run.yaml", "--plugin", "./words.py", "--dry-run", "--json").json
    assert shown["plugins"][str(surrounded.folder / "words.py")] == {"word": "hello"}


def test_a_broken_file_is_reported_with_its_line(trainer: Trainer) -> None:
    (trainer.folder / "bad.py").write_text("import os\n\nx = 1 / 0\n", encoding="utf-8")
    done = trainer("run", "--task", "heatmap", "--plugin", "./bad.py", code=ExitCode.PLUGIN)
    path = trainer.folder / "bad.py"
    assert done.said == [f"trainer: {path}:3: the plugin file is broken: ZeroDivisionError: division by zero."]


def test_an_extension_is_off_until_asked_for(trainer: Trainer) -> None:
    words = ["layer-rates.factor=0.5", "hand-pose.side=middle", "data=hands.yaml"]
    done = trainer("run", "--task", "hand-pose", *words, code=ExitCode.SETTINGS)
    assert done.said[0] == "trainer: hand-pose.side='middle': input should be 'left' or 'right'."
    assert "'layer-rates' has options, but is not part of this run." in done.said[1]
    assert done.said[1].endswith("Fix: add --plugin layer-rates")


def test_a_task_is_not_an_extension(trainer: Trainer) -> None:
    done = trainer("run", "--task", "heatmap", "--plugin", "hand-pose", code=ExitCode.PLUGIN)
    assert done.said == ["trainer: 'hand-pose' is a task, not an extension. Fix: write --task hand-pose"]


def test_plugins_are_switched_off_by_name_or_distribution(trainer: Trainer) -> None:
    off = trainer.having(TRAINER_NO_PLUGIN="heatmap")
    listed = off("plugins", "--no-plugin", "trainer-layer-rates", "--json").json["plugins"]
    assert {r["name"] for r in listed if r["state"] == "disabled"} == {"heatmap", "layer-rates"}
    done = off("plugins", "show", "heatmap", code=ExitCode.PLUGIN)
    assert "switched off. Fix: remove --no-plugin, and unset TRAINER_NO_PLUGIN" in done.err

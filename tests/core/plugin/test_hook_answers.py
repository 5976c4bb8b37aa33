"""What plugins answer while a model is trained: used whatever its kind, or refused in a line that names it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import trainer_host
from tests.support.sample_datasets import detect_dataset
from trainer_host import PluginError

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.train]

WHOLE = """
import torch
from trainer_host import hookimpl

class Wrapped(torch.nn.Module):
    def __init__(self, ctx, loss):
        super().__init__()
        self.ctx, self.loss, self.weight = ctx, loss, torch.nn.Parameter(torch.ones(1))

    def forward(self, preds, batch):
        return self.loss(preds, batch)

@hookimpl(wrapper=True)
def build_loss(ctx):
    return Wrapped(ctx, (yield))

@hookimpl
def state_dict(ctx):
    return {"seen": [1, (2.5, None)], "by": {3: {"name": torch.zeros(2)}}}
"""
SPLITTING = """
import torch
from trainer_host import Layer, hookimpl

class Same(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.gain * x

@hookimpl
def layers(ctx):
    return {"Same": Layer(module=Same)}
"""
ANSWER = """
from trainer_host import hookimpl

@hookimpl
def {hook}(ctx):
    return {answer}
"""
WRAPPER = """
from trainer_host import hookimpl

@hookimpl(wrapper=True)
def {hook}({arguments}):
    yield
    return {answer}
"""
REFUSED = {
    "state": (ANSWER.format(hook="state_dict", answer="{'a': [1, {2}]}"), r"'plugin'.*state\['a'\]\[1\] is a set"),
    "state-list": (
        ANSWER.format(hook="state_dict", answer="[1]"),
        "the hook 'state_dict' of extension 'plugin' returned a list",
    ),
    "metrics": (ANSWER.format(hook="metrics", answer="['a']"), "'plugin' returned a list"),
    "metric": (
        ANSWER.format(hook="metrics", answer="{'metrics/x': 5}"),
        "the metric 'metrics/x' of extension 'plugin' is a int, which lacks reset",
    ),
    "callback": (ANSWER.format(hook="callbacks", answer="{'on_train_end': 3}"), "the callback of on_train_end"),
    "augmentations": (ANSWER.format(hook="augmentations", answer="lambda found: found"), "return a list of functions"),
    "term": (ANSWER.format(hook="loss_terms", answer="{'x': 1}"), "the loss term 'x' that a plugin returned is a int"),
    "loss": (
        WRAPPER.format(hook="build_loss", arguments="ctx", answer=None),
        "the loss that a plugin returned is a None",
    ),
    "kept": (
        WRAPPER.format(hook="postprocess_predictions", arguments="ctx, found", answer=None),
        "the hook 'postprocess_predictions' returned None",
    ),
    "fitness": (
        WRAPPER.format(hook="compute_fitness", arguments="ctx, metrics", answer="float('nan')"),
        "fitness .* is nan",
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("answers"), images=4)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(data: Path, text: str, **more: Any) -> Path:
    Path("plugin.py").write_text(text, encoding="utf-8")
    small = {"model": "yolo11n.yaml", "imgsz": 32, "batch": 2, "epochs": 1, "plots": False, "workers": 0, **more}
    result = trainer_host.run("detect", data=str(data), plugins=["./plugin.py"], **small)
    return Path(result.save_dir)


def test_a_loss_may_be_a_module_and_hold_the_run_and_leaves_the_checkpoint_as_it_is(data: Path) -> None:
    import torch

    best = torch.load(train(data, WHOLE) / "weights" / "best.pt", weights_only=False)
    assert type(best["model"]).__module__.startswith("ultralytics.")
    state = best["trainer_host"]["plugin_states"]["plugin"]
    assert (state["seen"], list(state["by"])) == ([1, (2.5, None)], [3])


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_of_another_kind_is_refused_by_name(data: Path, case: str) -> None:
    text, said = REFUSED[case]
    with pytest.raises(PluginError, match=said):
        train(data, text)


def test_a_file_is_switched_off_by_its_name(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(data, ANSWER.format(hook="metrics", answer="1 / 0 if ctx.args.epochs > 1 else {}"))
    again = {"settings_file": run / "run.yaml", "epochs": 2, "fraction": 0.5}
    trainer_host.run(**again, no_plugins=["plugin"])
    with monkeypatch.context() as environment:
        environment.setenv("TRAINER_NO_PLUGIN", "plugin")
        trainer_host.run(**again)
    with pytest.raises(PluginError, match=r"plugin file .*plugin\.py is switched off"):
        trainer_host.run("detect", data=str(data), plugins=["./plugin.py"], no_plugins=["plugin"])
    with pytest.raises(PluginError, match=r"plugin file .*plugin\.py is switched off"):
        trainer_host.val(run / "weights" / "best.pt", plugins=["./plugin.py"], no_plugins=["plugin"])


def test_a_file_with_the_name_of_the_task_is_refused(data: Path) -> None:
    Path("detect.py").write_text("", encoding="utf-8")
    with pytest.raises(PluginError, match="has the same name as the task 'detect'"):
        trainer_host.run("detect", data=str(data), plugins=["./detect.py"])


def test_a_training_with_layers_of_a_plugin_is_resumed(data: Path, tmp_path: Path) -> None:
    import torch
    import yaml
    from ultralytics.nn.tasks import yaml_model_load

    from trainer_detect import DetectionTrainer

    Path("plugin.py").write_text(SPLITTING, encoding="utf-8")
    cfg = {k: v for k, v in yaml_model_load("yolo11n.yaml").items() if k != "yaml_file"}
    cfg["backbone"][4] = [-1, 1, "Same", []]
    cfg["scale"] = "n"
    Path("own.yaml").write_text(yaml.safe_dump(cfg), encoding="utf-8")
    trainer_class = DetectionTrainer.configured(plugins=["./plugin.py"])
    small = {"imgsz": 32, "batch": 2, "plots": False, "workers": 0, "project": str(tmp_path), "name": "run"}

    def stop(trainer: Any) -> None:
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    first = trainer_class(overrides={"model": "own.yaml", "data": str(data), "epochs": 2, **small})
    first.add_callback("on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    kept = torch.load(first.last, weights_only=False)["trainer_host"]["state_dict"]
    resumed = trainer_class(overrides={"resume": str(first.last)})
    started: dict[str, Any] = {}
    resumed.add_callback(
        "on_train_start", lambda t: started.update(deepcopy(t.ema.ema.state_dict()), epoch=t.start_epoch)
    )
    resumed.train()
    assert started.pop("epoch") == 1
    assert all(torch.equal(started[name], value) for name, value in kept.items())

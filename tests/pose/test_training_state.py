"""The state of a training: restored, it goes on as if it had not been interrupted."""

from __future__ import annotations

import random
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.nested_data import differences
from tests.support.sample_datasets import detect_dataset, pose_dataset
from tests.support.state_of_training import at_batch, copied, set_up, train
from trainer_host import PluginError, SettingsError
from trainer_host.engine.state_files import StateFiles
from trainer_host.engine.ultralytics.device_settings import PROCESSOR_BFLOAT16, processor_features
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.training_state import capture, restore

pytestmark = pytest.mark.train

TINY = {
    "imgsz": 32,
    "batch": 4,
    "nbs": 4,
    "epochs": 3,
    "workers": 0,
    "plots": False,
    "close_mosaic": 1,
    "verbose": False,
}
BFLOAT16 = pytest.mark.skipif(not PROCESSOR_BFLOAT16 & processor_features(), reason="the processor has no bfloat16")
COUNTER = """
from trainer_host import hookimpl

steps = 0

@hookimpl
def state_dict(ctx):
    global steps
    steps += 1
    return {"steps": steps, "table": [1.5, None]}

@hookimpl
def load_state_dict(ctx, state):
    global steps
    steps = state["steps"] + 100
"""


@pytest.fixture(scope="module")
def pose_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(pose_dataset(tmp_path_factory.mktemp("pose"), images=12))


@pytest.fixture(scope="module")
def detect_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(detect_dataset(tmp_path_factory.mktemp("detect"), images=12))


def kind(task: str) -> Any:
    from trainer_detect import DetectionTrainer
    from trainer_pose import PoseTrainer

    return PoseTrainer if task == "pose" else DetectionTrainer


def settings(folder: Path, data: str, model: str, **more: Any) -> dict[str, Any]:
    return {**TINY, "data": data, "model": model, "project": str(folder), "name": "run", **more}


@pytest.mark.parametrize(
    ("task", "model", "more"),
    [
        ("pose", "yolo11n-pose.yaml", {"optimizer": "SGD", "cos_lr": True}),
        ("pose", "yolo26n-pose.yaml", {"optimizer": "AdamW"}),
        ("detect", "yolo26n.yaml", {"optimizer": "MuSGD", "cls_pw": 0.5, "multi_scale": 0.5, "patience": 1}),
        pytest.param("pose", "yolo26n-pose.yaml", {"optimizer": "AdamW", "amp": "bf16"}, marks=BFLOAT16),
    ],
    ids=["SGD", "AdamW", "MuSGD", "bfloat16"],
)
def test_the_rest_of_a_training_is_the_same_to_the_bit(
    tmp_path: Path, request: pytest.FixtureRequest, task: str, model: str, more: dict[str, Any]
) -> None:
    data = request.getfixturevalue(f"{task}_data")
    whole = train(kind(task), settings(tmp_path / "whole", data, model, **more), at=1)
    files = StateFiles(tmp_path)
    entry = files.write(whole["state"], epoch=1, batch=0, phase="batches")
    found = files.newest([entry])
    assert found is not None
    random.seed(7)  # nothing depends on the state of this process
    rest = train(kind(task), settings(tmp_path / "rest", data, model, **more), after=found[1])
    assert differences(whole["learned"], rest["learned"]) == []
    assert len([n for n in whole["learned"] if n.startswith("optimizer.")]) > 100
    assert whole["rows"] == rest["rows"]
    one, other = whole["trainer"], rest["trainer"]
    assert one.best_epoch == other.best_epoch
    assert one.best_fitness == other.best_fitness
    assert vars(one.stopper) == vars(other.stopper)
    assert {k: float(v) for k, v in one.metrics.items()} == {k: float(v) for k, v in other.metrics.items()}


def teacher(folder: Path) -> str:
    from ultralytics import YOLO

    model = YOLO("yolo26n.yaml").model
    model.args = {"task": "detect"}
    torch.save({"model": deepcopy(model).half(), "train_args": {"task": "detect"}}, folder / "teacher.pt")
    return str(folder / "teacher.pt")


@pytest.mark.parametrize(
    ("task", "model", "more"),
    [
        ("pose", "yolo26n-pose.yaml", {"optimizer": "SGD"}),
        ("detect", "yolo26n.yaml", {"optimizer": "AdamW", "distill_model": "teacher"}),
    ],
    ids=["end-to-end", "distillation"],
)
def test_everything_that_was_captured_is_restored(
    tmp_path: Path, request: pytest.FixtureRequest, task: str, model: str, more: dict[str, Any]
) -> None:
    """In the middle of an epoch, with accumulated gradients."""
    if "distill_model" in more:
        more = {**more, "distill_model": teacher(tmp_path)}
    chosen = kind(task)
    overrides = settings(tmp_path, request.getfixturevalue(f"{task}_data"), model, nbs=64, warmup_epochs=0, **more)
    state = at_batch(chosen, overrides, 2)
    assert state["gradients"]
    assert state["loop"] == {**vars(LoopState(0)), "batch": 2, "last_opt_step": 0}
    assert not any(name.startswith("teacher_model.") for name in state["model"])
    assert state["losses"]["model"]["numbers"]["updates"] == 0
    state["losses"]["model"]["numbers"] |= {"updates": 5, "o2m": 0.25, "o2o": 0.75}
    kept = copied(state)

    def again(trainer: Any) -> dict[str, Any]:
        before = {k: v.data_ptr() for k, v in trainer.model.state_dict().items()}
        restore(trainer, state)
        assert before == {k: v.data_ptr() for k, v in trainer.model.state_dict().items()}, "in place"
        loss = trainer.model.criterion
        assert (loss.updates, loss.o2m, loss.o2o) == (5, 0.25, 0.75)
        found = copied(capture(trainer))
        for group in trainer.optimizer.param_groups:
            for p in group["params"]:
                for value in trainer.optimizer.state.get(p, {}).values():
                    torch.as_tensor(value).zero_()
        trainer.model.float().apply(lambda m: [p.data.zero_() for p in m.parameters(recurse=False)])
        trainer.model = torch.compile(trainer.model, backend="eager")
        restore(trainer, kept)  # once more, after the training went on, and through a wrapper
        # Without the order: a pass of a sampler goes on once its loader is iterated.
        assert differences({**found, "order": None}, {**copied(capture(trainer)), "order": None}) == []
        return found

    found = set_up(chosen, overrides, again)
    del found["order"], kept["order"], state["order"]
    assert differences(kept, found) == []
    assert differences(kept, state) == [], "the state itself stays as it is"


def test_refusals_name_what_does_not_fit(tmp_path: Path, pose_data: str) -> None:
    overrides = settings(tmp_path, pose_data, "yolo11n-pose.yaml", optimizer="SGD")

    def refused(trainer: Any) -> dict[str, str]:
        state = copied(capture(trainer))
        names = list(state["model"])
        changes: dict[str, Any] = {
            "form": lambda s: s.update(form=7, host="9.0"),
            "other model": lambda s: s["model"].update(new=s["model"].pop(names[0])),
            "shape": lambda s: s["model"].update({n: torch.ones(2) for n in names}),
            "type": lambda s: s["ema"].update({names[0]: s["ema"][names[0]].half()}),
            "optimizer": lambda s: s["optimizer"].update({"class": "AdamW"}),
            "groups": lambda s: s["optimizer"]["state"]["param_groups"].pop(),
            "plugin gone": lambda s: s["plugins"].update(names=["cbam"]),
            "batches": lambda s: (s.update(batches=50), s["loop"].update(batch=3)),
        }
        said = {}
        for name, change in changes.items():
            changed = copied(state)
            change(changed)
            with pytest.raises(SettingsError) as caught:
                restore(trainer, changed)
            said[name] = str(caught.value)
        state["trainer"]["metrics"]["own"] = object()
        with pytest.raises(PluginError, match=r"state\['trainer'\]\['metrics'\]\['own'\] is a object"):
            copied(state)
        return said

    said = set_up(kind("pose"), overrides, refused)
    assert said["form"].startswith("the training state has form 7; trainer-host ")
    assert said["form"].endswith('reads form 1. Fix: pip install "trainer-host==9.0"')
    first = "model.0.conv.weight"
    same = "Fix: resume with the model, dataset and settings of the run"
    assert said["other model"] == (
        f"the training state does not fit the model: it lacks {first}, the model lacks new. {same}"
    )
    assert f"{first} has the shape (2) instead of (16, 3, 3, 3)" in said["shape"]
    assert re.search(r" and \d+ more\. Fix", said["shape"])
    assert f"the EMA: {first} is torch.float16 instead of torch.float32" in said["type"]
    assert said["optimizer"] == (
        "the training state is of the optimizer AdamW, not SGD. Fix: add optimizer=AdamW lr0=0.01"
    )
    assert "has groups of [" in said["groups"]
    assert said["plugin gone"] == (
        "plugin 'cbam' keeps its data in the training state, but is not active. Fix: add --plugin cbam"
    )
    assert said["batches"].startswith("the training state is of batch 3 of 50, but an epoch has 3 here.")


def test_plugins_keep_their_state(tmp_path: Path, pose_data: str) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    chosen = kind("pose").configured(plugins=[str(tmp_path / "counter.py")])
    overrides = settings(tmp_path, pose_data, "yolo11n-pose.yaml", optimizer="SGD")
    state = set_up(chosen, overrides, lambda t: copied(capture(t)))
    assert list(state["plugins"]["states"].values()) == [{"steps": 1, "table": [1.5, None]}]

    def again(trainer: Any) -> int:
        restore(trainer, state)
        steps: int = next(iter(capture(trainer)["plugins"]["states"].values()))["steps"]
        return steps

    assert set_up(chosen, overrides, again) == 102
    with pytest.raises(SettingsError, match="keeps its data in the training state, but is not active"):
        set_up(kind("pose"), overrides, lambda t: restore(t, state))
    state["plugins"]["names"] = []
    with pytest.raises(SettingsError, match="was not active in the saved training"):
        set_up(chosen, overrides, lambda t: restore(t, state))


def test_rows_batch_size_and_generators_are_the_states(tmp_path: Path, pose_data: str) -> None:
    overrides = settings(tmp_path, pose_data, "yolo11n-pose.yaml", optimizer="SGD")

    def change(trainer: Any) -> None:
        trainer.csv.write_text("epoch,time\n1,2\n")
        trainer.loop = LoopState(1, last_opt_step=1)
        state = copied(capture(trainer))
        trainer.csv.write_text("epoch,time\n1,2\n2,3\n3,")
        state["settings"]["batch"] = 2
        state["batches"] = 3
        random.random(), np.random.random(), torch.rand(1)
        restore(trainer, state)
        assert trainer.csv.read_text() == "epoch,time\n1,2\n"
        assert differences(generator_states(trainer.device), state["generators"]) == []
        assert (trainer.batch_size, trainer.args.batch, trainer.train_loader.batch_size) == (2, 2, 2)
        assert trainer.validator.dataloader is trainer.test_loader
        # One batch was accumulated, of epochs of 3 batches; now there are other ones.
        batches = len(trainer.train_loader)
        assert batches != 3
        assert trainer.loop.last_opt_step == batches - 2
        state["results"] = None
        restore(trainer, state)
        assert not trainer.csv.exists()

    set_up(kind("pose"), overrides, change)


def test_generators_go_on_as_they_were() -> None:
    device = torch.device("cpu")
    kept = copied(generator_states(device))
    drawn = random.gauss(0, 1), np.random.standard_normal(), torch.rand(3)
    set_generator_states(kept, device)
    again = random.gauss(0, 1), np.random.standard_normal(), torch.rand(3)
    assert drawn[:2] == again[:2]
    assert torch.equal(drawn[2], again[2])

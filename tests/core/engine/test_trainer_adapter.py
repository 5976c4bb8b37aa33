"""Trainer classes of the engine as tasks: what is inferred from the class, and whose word comes when."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer

from trainer_host import PluginError, SettingsError, TaskSpec, hookimpl
from trainer_host.engine.factory import default_engine
from trainer_host.engine.live_run import run_of_chain
from trainer_host.engine.ultralytics.adapted_trainer import detached_trainer, new_trainer
from trainer_host.engine.ultralytics.host_trainer import HostTrainer
from trainer_host.engine.ultralytics.trainer_adapter import load_trainer
from trainer_host.plugin.chain import Chain, HookManager, Member, register
from trainer_host.plugin.discovery import PluginRecord
from trainer_host.plugin.import_check import describe
from trainer_host.plugin.plugin_spec import ExtensionSpec
from trainer_host.plugin.registry import Registry
from trainer_host.ultralytics import task_from_trainer

Words = dict[str, Any]
LATE_TASK = """
from trainer_host.ultralytics import task_from_trainer
TASK = task_from_trainer({target!r}, base="pose")
"""


class Mine(PoseTrainer):  # type: ignore[misc, unused-ignore]
    def preprocess_batch(self, batch: Words) -> Words:
        return {"said": [*super().preprocess_batch(batch)["said"], "mine"]}

    def progress_string(self) -> str:
        return f"mine, {super().progress_string()}"


class Own(BaseTrainer):  # type: ignore[misc, unused-ignore]
    pass


@pytest.mark.parametrize(
    ("trainer", "base", "kind"),
    [(Mine, "pose", "pose"), (SegmentationTrainer, "detect", "segment"), (Own, None, None)],
)
def test_base_and_kind_are_inferred_from_the_class(trainer: type[Any], base: str | None, kind: str | None) -> None:
    spec = task_from_trainer(trainer, metrics=("a",))
    assert (spec.base, spec.engine_task, spec.trainer, spec.metrics) == (base, kind, trainer, ("a",))


def test_what_is_imported_late_needs_its_base(installed: Callable[..., Path]) -> None:
    code = f"""
from trainer_host.ultralytics import task_from_trainer
LATE = task_from_trainer("nowhere.trainer:Mine")
FINE = task_from_trainer("{__name__}:Mine", base="pose")
"""
    installed("p", tasks={"late": "late_trainers:LATE", "fine": "late_trainers:FINE"}, modules={"late_trainers": code})
    with pytest.raises(PluginError) as caught:
        Registry.installed().chain("late")
    assert str(caught.value) == (
        "task 'late' from p 1.0 is broken: its trainer is given as text (nowhere.trainer:Mine), but it has no base. "
        "Fix: name the task that 'late' builds on: task_from_trainer(..., base=NAME)"
    )
    assert Registry.installed().chain("fine").attribute("base") == "pose", (
        "another task of the module is not in the way"
    )


def test_the_hooks_that_are_shown_are_those_that_the_class_overrides(installed: Callable[..., Path]) -> None:
    code = LATE_TASK.format(target=f"{__name__}:Mine")
    installed("trainer-mine", tasks={"mine": "shown_trainers:TASK"}, modules={"shown_trainers": code})
    assert describe("mine", Registry.installed())["hooks"] == ["preprocess_batch"]


class Sized(PoseTrainer):  # type: ignore[misc, unused-ignore]
    def __init__(self, cfg: Any, overrides: Words, _callbacks: Words, size: int) -> None:
        super().__init__(cfg, overrides, _callbacks)
        self.size = size


def test_a_class_that_needs_more_arguments_is_named(installed: Callable[..., Path]) -> None:
    code = LATE_TASK.format(target=f"{__name__}:Sized")
    installed("trainer-sized", tasks={"sized": "sized_trainers:TASK"}, modules={"sized_trainers": code})
    with pytest.raises(PluginError) as caught:
        new_trainer(run_of_chain(Registry.installed().chain("sized"), default_engine()), {}, {})
    assert str(caught.value) == (
        "task 'sized': its trainer Sized cannot be instantiated: missing a required argument: 'cfg'. "
        "Fix: give all arguments of its __init__ defaults, overrides=None and _callbacks=None among them"
    )


def test_a_text_that_names_no_class_is_reported() -> None:
    assert load_trainer(f"{__name__}:Mine") is Mine
    with pytest.raises(PluginError, match="is not a trainer class"):
        load_trainer("pathlib")
    with pytest.raises(PluginError, match=r"cannot import the trainer nowhere:Mine: No module named 'nowhere'\. "):
        load_trainer("nowhere:Mine")


def test_a_base_of_another_kind_has_neither_sample_nor_predictor() -> None:
    hooks = task_from_trainer(SegmentationTrainer).hooks
    with pytest.raises(SettingsError, match="a trainer of segment needs another"):
        hooks.build_sample()
    with pytest.raises(PluginError, match="it trains segment, and its base 'detect' does not"):
        hooks.build_predictor(SimpleNamespace(task="mine"))
    same = task_from_trainer(Mine).hooks
    assert (same.build_sample(), same.build_predictor(SimpleNamespace(task="mine"))) == (None, None)


class Base:
    @hookimpl
    def preprocess_batch(self, batch: Words) -> Words:
        return {"said": [*batch["said"], "base"]}


class Extension:
    @hookimpl(wrapper=True)
    def preprocess_batch(self) -> Generator[None, Words, Words]:
        answer = yield
        return {"said": [*answer["said"], "extension"]}


@pytest.fixture
def trainer(tmp_path: Path) -> HostTrainer:
    """A trainer of the task `mine` on `pose`, with an extension, that trains nothing."""

    def member(name: str, kind: Any, spec: Any) -> Member:
        made = Member(PluginRecord(name, kind, f"trainer-{name}", "1", "available", "", f"{name}:X"), spec)
        register(manager, made)
        return made

    manager = HookManager()
    tasks = (member("pose", "task", TaskSpec(hooks=Base())), member("mine", "task", task_from_trainer(Mine)))
    chain = Chain(tasks, (member("also", "extension", ExtensionSpec(hooks=Extension())),), manager)
    made = detached_trainer(run_of_chain(chain, default_engine()), SimpleNamespace(), {}, "cpu", tmp_path)
    assert made is not None
    return made


def test_super_reaches_the_base_and_extensions_wrap_the_class_once(trainer: HostTrainer) -> None:
    assert trainer.preprocess_batch({"said": []}) == {"said": ["base", "mine", "extension"]}
    assert trainer.preprocess_batch({"said": []}) == {"said": ["base", "mine", "extension"]}


def test_what_no_hook_decides_is_the_class_s(trainer: HostTrainer) -> None:
    trainer.loss_names = ("box",)
    words = trainer.progress_string().split()
    assert words == ["mine,", "Epoch", "GPU_mem", "box", "Instances", "Size"]

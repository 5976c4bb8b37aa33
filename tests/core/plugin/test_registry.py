"""One registry per command or call, and plugins that are given as objects: no package, no file."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import trainer_host
from tests.support.command import ROOT
from tests.support.written_package import write_package
from trainer_host import ExtensionSpec, PluginCrashError, PluginError, Registry, SettingsError, TaskSpec, hookimpl
from trainer_host.base.reporting import NullReporter
from trainer_host.engine.error_translation import blamed
from trainer_host.plugin import registry as registry_module
from trainer_host.plugin.import_check import check_all, describe
from trainer_host.ultralytics import task_from_trainer

SMALL = {"epochs": 1, "imgsz": 64, "batch": 8, "plots": False}


class HalfRate:
    """An extension that counts its calls."""

    def __init__(self) -> None:
        self.called = 0

    @hookimpl(wrapper=True)
    def build_optimizer(self) -> Iterator[None]:
        optimizer = yield
        for group in optimizer.param_groups:
            group["lr"] /= 2
        self.called += 1
        return optimizer


class PawHooks:
    @hookimpl
    def set_model_attributes(self, ctx: Any) -> None:
        ctx.model.animal = "mouse"


@dataclass(frozen=True)
class Options:
    gain: float = 1.0


PAWS = TaskSpec(hooks=PawHooks, base="pose", name="paws")


@pytest.fixture
def discovered(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that has an entry for each time that the installed plugins are looked up."""
    times: list[None] = []
    discover = registry_module.discover

    def counted() -> Iterator[Any]:
        times.append(None)
        return discover()

    monkeypatch.setattr(registry_module, "discover", counted)
    return times


# Found once


def test_a_command_looks_plugins_up_once(trainer: Callable[..., Any], discovered: list[None]) -> None:
    done = trainer("run", "--task", "pose", "model=yolo11n-pose.yaml", "--dry-run", "--json")
    assert (done.code, done.json["task"]) == (0, "pose")
    assert len(discovered) == 1


def test_help_and_an_unknown_command_look_plugins_up_once(trainer: Callable[..., Any], discovered: list[None]) -> None:
    assert trainer("--help").code == 0
    assert len(discovered) == 1
    assert trainer("rum").code == 2
    assert len(discovered) == 2


def test_only_the_registry_looks_plugins_up() -> None:
    sources = [f for folder in ("core", "plugins") for f in (ROOT / folder).rglob("*.py")]
    callers = {f.name for f in sources if "discover()" in f.read_text(encoding="utf-8")}
    assert callers == {"discovery.py", "registry.py"}


def test_a_conflict_ends_when_a_registry_is_narrowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        write_package(tmp_path, name, tasks={"hand": f"{name}:T"})
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry.installed()
    assert "hand" not in [r.name for r in registry.available("task")]
    assert [r.distribution for r in registry.without(["second"]).available("task") if r.name == "hand"] == ["first"]


# Objects


def module(name: str, **content: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    vars(made).update(content)
    return made


class HTTPLogHooks:
    @hookimpl
    def callbacks(self) -> dict[str, Any]:
        return {}


InPackage = type("Hooks", (HTTPLogHooks,), {"__module__": "trainer_hand_pose.hooks"})


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        (HalfRate(), "half-rate"),
        (HalfRate, "half-rate"),
        (HTTPLogHooks(), "http-log"),
        (ExtensionSpec(hooks=HalfRate()), "half-rate"),
        (ExtensionSpec(hooks=HalfRate(), name="mine"), "mine"),
        (PAWS, "paws"),
        (TaskSpec(hooks=PawHooks()), "paw"),
        (task_from_trainer("my_code.trainers:FootTrainer", base="pose"), "foot"),
        (InPackage(), "hand-pose"),
        (module("trainer_blur_aware"), "blur-aware"),
        (module("my.rates"), "rates"),
    ],
)
def test_an_object_is_named_after_its_class_or_module(plugin: Any, name: str) -> None:
    registry, names = Registry.of([]).with_plugins([plugin])
    assert names == [name]
    assert [(r.name, r.state) for r in registry.records] == [(name, "available")]
    assert [r.kind for r in registry.records] == ["task" if isinstance(plugin, TaskSpec) else "extension"]


def test_names_files_and_objects_keep_their_order(tmp_path: Path) -> None:
    rate = HalfRate()
    registry, names = Registry.of([]).with_plugins([rate, "cbam", tmp_path / "rates.py", PAWS, rate])
    assert names == ["half-rate", "cbam", os.fspath(tmp_path / "rates.py"), "paws", "half-rate"]
    assert [r.name for r in registry.records] == ["paws", "half-rate"]
    record = registry.select("half-rate", "extension")
    assert registry.load(record).hooks is rate
    assert "given" not in record.as_json()


@pytest.mark.parametrize("plugin", [3, None, print, {"a": 1}, lambda: None, object()])
def test_what_is_not_a_plugin_is_refused_in_one_line(plugin: Any) -> None:
    with pytest.raises(PluginError) as caught:
        trainer_host.check("none.yaml", task="pose", plugins=[plugin])
    assert "is not a plugin (" in str(caught.value)
    assert str(caught.value).endswith("an ExtensionSpec, or an object with @hookimpl methods")


def test_an_object_without_hooks_is_refused() -> None:
    registry, names = Registry.installed().with_plugins([type("Nothing", (), {})])
    with pytest.raises(PluginError, match=r"extension 'nothing' from the object .*Nothing implements no hook"):
        registry.chain("detect", names)


def test_two_plugins_of_one_name_are_refused() -> None:
    with pytest.raises(PluginError, match=r"the object .*HalfRate has the same name as extension 'half-rate' from the"):
        Registry.of([]).with_plugins([HalfRate(), HalfRate()])
    with pytest.raises(PluginError, match=r"the same name as task 'pose' from trainer-host .* Fix: rename the class"):
        Registry.installed().with_plugins([ExtensionSpec(hooks=HalfRate(), name="pose")])


def test_an_object_can_be_switched_off() -> None:
    registry, _ = Registry.installed(["half-rate"]).with_plugins([HalfRate()])
    with pytest.raises(PluginError, match=r"'half-rate' .* \(disabled\)"):
        registry.chain("detect", ["half-rate"])


def test_a_class_gives_each_run_a_new_object_and_options_have_the_name() -> None:
    spec = ExtensionSpec(hooks=HalfRate, options=Options)
    registry, names = Registry.installed().with_plugins([spec])
    chains = [registry.chain("detect", names, {"half-rate": {"gain": "0.5"}}) for _ in range(2)]
    assert chains[0].options["half-rate"] == Options(0.5)
    assert chains[0].extensions[0].spec.hooks is not chains[1].extensions[0].spec.hooks


def test_the_base_of_a_task_may_be_an_object_too() -> None:
    leaf = TaskSpec(hooks=PawHooks, base="paws", name="leaf", engine="my_engine:Engine")
    registry, (name, *_) = Registry.installed().with_plugins([leaf, PAWS])
    chain = registry.chain(name)
    assert [m.record.name for m in chain.tasks] == ["detect", "pose", "paws", "leaf"]
    assert chain.attribute("engine") == "my_engine:Engine"
    assert registry.chain("paws").attribute("engine") is None
    assert describe("leaf", registry)["chain"] == ["detect", "pose", "paws", "leaf"]


def test_objects_are_checked_in_this_process() -> None:
    broken = type("Broken", (), {"no_hook": hookimpl(lambda self: None)})
    registry, _ = Registry.of([]).with_plugins([HalfRate(), broken])
    states = {r.name: (r.state, r.reason) for r in check_all(registry)}
    assert states["half-rate"] == ("available", "")
    assert states["broken"][0] == "broken"
    assert "unknown hook 'no_hook'" in states["broken"][1]


def test_an_error_names_the_object() -> None:
    class Failing:
        @hookimpl
        def log_metrics(self, ctx: Any) -> None:
            ctx.nothing()

    registry, names = Registry.installed().with_plugins([Failing()])
    manager = registry.chain("detect", names).manager
    with pytest.raises(PluginCrashError) as caught, blamed(manager):
        manager.hook.log_metrics(ctx=None)
    said = str(caught.value)
    assert said.startswith(f"extension 'failing' from the object {__name__}:test_an_error_names_the_object.<locals>.")
    assert "failed in its hook log_metrics: AttributeError: " in said
    assert said.endswith("Fix: correct its code")


# In a notebook


class Lines(NullReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.train
def test_objects_train_validate_and_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, discovered: list[None]
) -> None:
    monkeypatch.chdir(tmp_path)
    rate = HalfRate()
    (tmp_path / "rates.py").write_text("from trainer_host import hookimpl\n@hookimpl\ndef log_metrics(ctx): ...\n")
    run = trainer_host.run(PAWS, plugins=[rate, "./rates.py"], model="yolo11n-pose.yaml", **SMALL)
    assert (run.task, run.epochs, rate.called) == ("paws", 1, 1)
    assert len(discovered) == 1
    record = (run.save_dir / "run.yaml").read_text()
    assert record.startswith(
        "# A run of trainer-host. It cannot be run again from this file alone, which cannot store "
        "tests.core.plugin.test_registry.PawHooks, "
    )

    plugins = [PAWS, rate]
    found = trainer_host.val(run.best, plugins=[*plugins, "./rates.py"], plots=False).metrics
    assert run.metrics.items() <= found.items()
    images = run.save_dir.parents[1] / "samples" / "paws" / "images" / "val"
    assert trainer_host.predict(run.best, images, plugins=plugins).images == len(list(images.iterdir()))
    assert trainer_host.check("runs/samples/paws/data.yaml", task=PAWS, plugins=[rate]).findings == []

    lines = Lines()
    trainer_host.val(run.best, plugins=[PAWS], plots=False, reporter=lines)
    given = f"{run.best} was trained with the plugin 'half-rate', given as an object; continuing without it."
    assert f"{given} Fix: give it again: plugins=[...]" in lines.warnings
    with pytest.raises(PluginError) as caught:
        trainer_host.predict(run.best, images)
    assert str(caught.value) == (
        f"{run.best} was trained for the task 'paws', which was given as an object. "
        "Fix: give it again from Python: plugins=[TASK]"
    )
    with pytest.raises(SettingsError, match="'paws' was given to the run as an object of the class"):
        trainer_host.run(settings_file=run.save_dir / "run.yaml", plugins=["./rates.py"])
    again = trainer_host.run(settings_file=run.save_dir / "run.yaml", plugins=[*plugins, "./rates.py"])
    assert again.metrics == run.metrics

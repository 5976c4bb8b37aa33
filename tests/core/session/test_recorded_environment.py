"""A run that is made again: compared with its record, and made with the defaults that it had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import trainer_host
from tests.support.command import Done
from trainer_host.base.reporting import NullReporter
from trainer_host.base.request import Request
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.engine import engine_state
from trainer_host.engine.engine_state import EngineState
from trainer_host.engine.live_run import LiveRun
from trainer_host.plugin.registry import Registry
from trainer_host.session import training
from trainer_host.session.recorded_environment import Difference, differences, report
from trainer_host.session.resolution import load_run
from trainer_host.session.restored_plugins import restored_plugins
from trainer_host.session.run_record import RunRecord

Trainer = Callable[..., Done]
Edit = Callable[..., None]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[LiveRun]:
    """Return the runs that would be trained."""
    found: list[LiveRun] = []
    monkeypatch.setattr(training, "begin", lambda run, *_: found.append(run))
    return found


@pytest.fixture
def edit(engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[LiveRun]) -> Edit:
    """Write ``run.yaml``, and return a function that writes it again with other values in its record."""
    monkeypatch.chdir(tmp_path)
    Path("data.yaml").write_text("train: train\nval: val\nnames: {0: a}\n")
    trainer_host.run("detect", data="data.yaml", model="yolo26n.yaml", epochs=2)
    record = RunRecord(tmp_path, runs.pop().resolved)
    record.end("done")
    written = yaml.safe_load(record.path.read_text())

    def write(settings: dict[str, Any] | None = None, **parts: Any) -> None:
        content = {**written, **(settings or {}), "record": dict(written["record"])}
        for name, part in parts.items():
            before = content["record"].get(name)
            content["record"][name] = {**before, **part} if isinstance(before, dict) else part
        record.path.write_text(yaml.safe_dump(content, sort_keys=False))

    return write


def test_nothing_differs_where_it_was_made(edit: Edit, trainer: Trainer) -> None:
    done = trainer("run", "run.yaml", "--dry-run")
    assert (done.code, done.said) == (0, [])
    assert trainer("run", "run.yaml", "--dry-run", "--exact").said == []


def test_one_warning_lists_what_differs(edit: Edit, trainer: Trainer) -> None:
    here = {**trainer_host.doctor(quick=True).versions, "torch": str(torch.__version__)}
    edit(
        versions={"torch": "1.0", "python": "3.1", "ultralytics": "8.4.1", "trainer-host": "0.0.1"},
        plugins=["detect (trainer-host 0.0.1)", "gone (trainer-gone 1.0)"],
        defaults={"old_loss": 1.5},
    )
    listed = (
        f"torch 1.0 (now {here['torch']}), trainer-host 0.0.1 (now {here['trainer-host']}), "
        f"ultralytics 8.4.1 (now {here['ultralytics']}), plugin gone trainer-gone 1.0 (now none), "
        "setting old_loss 1.5 (now absent)"
    )
    (warning,) = trainer("run", "run.yaml", "--dry-run").said
    assert warning == (
        f"Warning: run.yaml: the run was recorded with {listed}, so results may differ. "
        "Fix: restore what differs to repeat its results"
    )
    refused = (
        f"run.yaml: --exact is refused: the run was recorded with {listed}. "
        "Fix: restore what differs, or accept other results with --no-exact (from Python: exact=False)"
    )
    done = trainer("run", "run.yaml", "--dry-run", "--exact")
    assert (done.code, done.problems) == (3, [refused])
    edit({"exact": True}, versions={"torch": "1.0"})
    assert trainer("run", "run.yaml", "--dry-run").code == 3
    assert trainer("run", "run.yaml", "--dry-run", "--no-exact").code == 0
    assert trainer("run", "run.yaml", "--dry-run", "--task", "pose", "model=yolo26n-pose.yaml").said == []


def test_the_same_source_gives_the_same_results(edit: Edit, runs: list[LiveRun], trainer: Trainer) -> None:
    here = str(trainer_host.doctor(quick=True).versions["ultralytics"])
    edit(versions={"ultralytics": "8.4.1", "engine": f"same source as {here}", "python": "3.1"})
    trainer_host.run(settings_file="run.yaml")
    python, engine = differences(runs.pop())
    assert (python.name, python.recorded, python.changes_result) == ("python", "3.1", False)
    assert engine == Difference("ultralytics", "8.4.1", here, changes_result=False)
    assert trainer("run", "run.yaml", "--dry-run", "--exact").said == []
    edit(versions={"ultralytics": here, "engine": {"changed": ["build_optimizer"]}})
    (warning,) = trainer("run", "run.yaml", "--dry-run").said
    assert f"ultralytics {here} with changed build_optimizer (now {here})" in warning


def test_the_state_of_an_engine_says_its_source() -> None:
    def state(release: str, *changed: str) -> EngineState:
        return EngineState("engine", release, ("1", "2"), "2", changed)

    for one, source in ((state("2"), "2"), (state("3"), "2"), (state("3", "f"), None)):
        assert engine_state.tested_source(one.release, one.as_data()) == source


def test_a_run_has_the_defaults_that_it_had(edit: Edit, runs: list[LiveRun], trainer: Trainer) -> None:
    """Also on an engine with others; settings that were given stay the only ones that can be warned about."""
    edit(defaults={"optimizer": "AdamW", "lr0": 0.5, "save_period": 7})
    trainer_host.run(settings_file="run.yaml", reporter=(heard := Heard()))
    resolved = runs.pop().resolved
    assert {k: resolved.defaults[k] for k in ("optimizer", "lr0", "save_period")} == {
        "optimizer": "AdamW",
        "lr0": 0.5,
        "save_period": 7,
    }
    assert heard.warnings == []
    assert resolved.origins == {"data": "file", "model": "file", "epochs": "file"}
    assert not resolved.defaults.keys() & (resolved.settings.keys() | {"mode", "task"})
    trainer_host.run(settings_file="run.yaml", lr0=0.25)
    again = runs.pop()
    assert differences(again) == []
    given = again.resolved
    assert (given.settings["lr0"], "lr0" in given.defaults) == (0.25, False)
    edit(defaults={"epochs_of_old": 3, "lr0": -1})
    assert trainer("run", "run.yaml", "--dry-run").problems == [
        "run.yaml: lr0=-1 is not valid. Fix: write a number from 0 to 1, such as lr0=0.01"
    ]


class Heard(NullReporter):
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(message)


def test_a_record_asks_for_no_more_than_a_settings_file_may(edit: Edit, trainer: Trainer, tmp_path: Path) -> None:
    for key, value in (("pretrained", "https://somewhere/x.pt"), ("save_dir", str(tmp_path.parent))):
        edit(defaults={key: value})
        assert trainer("run", "run.yaml", "--dry-run").code == 6
    for part in ({"defaults": 3}, {"versions": [1]}, {"plugins": 5}, {"origins": None}):
        content = yaml.safe_load(Path("run.yaml").read_text())
        content["record"] = {**content["record"], "defaults": {}, **part}
        Path("edited.yaml").write_text(yaml.safe_dump(content))
        assert trainer("run", "edited.yaml", "--dry-run").code == 0


def test_another_process_compares_it_too(edit: Edit, trainer: Trainer) -> None:
    edit(versions={"torch": "1.0"}, defaults={"old_loss": 1.5, "save_period": 7})
    run = load_run(ResolvedRun.read(Path("run.yaml")), Registry.installed())
    assert [one.name for one in differences(run)] == ["torch", "setting old_loss"]
    assert run.resolved.versions["torch"] != "1.0"
    assert ("old_loss" in run.resolved.defaults, run.resolved.defaults["save_period"]) == (False, 7)


def test_a_dataset_is_compared_unless_another_one_is_asked_for(edit: Edit, runs: list[LiveRun]) -> None:
    edit(dataset={"fingerprint": "a" * 64})
    for given, count in (({}, 1), ({"data": "data.yaml"}, 0), ({"bad": "skip"}, 0), ({"classes": [0]}, 0)):
        settings: dict[str, Any] = given
        trainer_host.run(settings_file="run.yaml", **settings)
        run = runs.pop()
        found = differences(run, {"fingerprint": "b" * 64})
        assert len(found) == count
        assert differences(run, {"fingerprint": "a" * 64}) == []
        report(found, run, heard := Heard())
        assert [w.partition(", so")[0] for w in heard.warnings] == [
            (
                "run.yaml: the run was recorded with a dataset that has changed since "
                "(fingerprint aaaaaaaaaaaa, now bbbbbbbbbbbb)"
            )
        ] * count


def test_a_plugin_is_recorded_as_it_was_chosen(edit: Edit, installed: Any, trainer: Trainer) -> None:
    module = "from trainer_host import hookimpl\n\n@hookimpl\ndef finish_setup(ctx): pass\n"
    for name in ("one", "two"):
        installed(f"trainer-{name}", extensions={"same": f"same_{name}"}, modules={f"same_{name}": module})
    done = trainer("run", "run.yaml", "--plugin", "trainer-one:same", "--dry-run")
    assert yaml.safe_load(done.out)["plugins"] == {"trainer-one:same": {}}
    Path("again.yaml").write_text(done.out)
    assert trainer("run", "again.yaml", "--dry-run").out == done.out
    both = trainer("run", "again.yaml", "--plugin", "trainer-two:same", "--dry-run")
    assert yaml.safe_load(both.out)["plugins"] == {"trainer-two:same": {}}

    plugin = {"name": "same", "kind": "extension", "distribution": "trainer-two", "version": "1.0"}
    trained: Any = SimpleNamespace(task="detect", path=Path("best.pt"), record={"task": "detect", "plugins": [plugin]})
    for given, package in ((), "trainer-two"), (("trainer-one:same",), "trainer-one"):
        heard = Heard()
        chain, _ = restored_plugins(trained, Request.of("val", plugins=given), Registry.installed(), heard)
        assert [m.record.distribution for m in chain.extensions] == [package]
        assert heard.warnings == []


def test_a_wrong_plugin_hides_no_wrong_setting(trainer: Trainer, engine: None) -> None:
    done = trainer("run", "--task", "detect", "--plugin", "no-such", "epochs=-1", "lr=3", "--dry-run", "--json")
    assert (done.code, len(done.problems)) == (3, 3)
    assert [p["message"] for p in done.json["problems"]] == [
        "unknown setting 'lr'.",
        "epochs=-1 is not valid.",
        "unknown extension 'no-such'.",
    ]
    assert trainer("run", "--task", "detect", "--plugin", "no-such", "--dry-run").code == 5


def test_an_unknown_layer_is_refused_before_the_build(trainer: Trainer, engine: None) -> None:
    Path("data.yaml").write_text("train: train\nval: val\nnames: {0: a}\n")
    rows = "backbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Spd, [8]]\nhead:\n  - [[1], 1, Detect, [nc]]\n"
    Path("spd.yaml").write_text(f"nc: 1\n{rows}")
    words = ("run", "--task", "detect", "data=data.yaml", "model=spd.yaml", "--dry-run")
    (problem,) = trainer(*words).problems
    assert problem.startswith("spd.yaml: unknown layer 'Spd'.") and problem.endswith("switch it on: --plugin NAME")
    Path("layers.py").write_text(
        "import torch\nfrom trainer_host import Layer, hookimpl\n\n"
        "@hookimpl\ndef layers(ctx):\n    return {'Spd': Layer(module=torch.nn.Identity)}\n"
    )
    assert trainer(*words, "--plugin", "./layers.py").code == 0
    Path("other.py").write_text(Path("layers.py").read_text().replace("Spd", "Other"))
    assert len(trainer(*words, "--plugin", "./other.py").problems) == 1
    Path("later.py").write_text(Path("layers.py").read_text().replace("return {", "return {ctx.data['names'][0]: 1, "))
    assert trainer(*words, "--plugin", "./later.py").code == 0

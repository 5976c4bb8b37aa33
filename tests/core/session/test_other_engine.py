"""A task of another engine goes through every command by that engine alone; the host's own is not even imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command import ROOT, Done, command, python
from tests.support.written_package import write_package

ALL_CALLS = """
import json, sys
import trainer_host
from tests.support import plain_engine
from trainer_host import NullReporter

class Listener(NullReporter):
    def __init__(self):
        self.heard = []
    def warn(self, message):
        self.heard.append(message)

listener, made = Listener(), []
def call(function, *words, **settings):
    before = plain_engine.PlainHooks.made
    result = function(*words, reporter=listener, **settings)
    made.append(plain_engine.PlainHooks.made - before)
    assert "ultralytics" not in sys.modules, function
    assert not plain_engine.STATE["busy"], function
    return result

given = json.loads(sys.argv[1])
checked = call(trainer_host.check, "data.yaml", **given)
done = call(trainer_host.run, data="data.yaml", mean=0.25, **given)
best = str(done.best)
metrics = call(trainer_host.val, best, **given).metrics
found = call(trainer_host.predict, best, "white.png", **given).predictions
model = call(trainer_host.load, best, **given)
again = [list(p) for p in model.predict("white.png")]
assert model.validate().metrics == metrics
assert "ultralytics" not in sys.modules
print(json.dumps([checked.task, metrics, found[0]["objects"], again, made, listener.heard]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(tmp_path / "site", "trainer-plain", tasks={"plain": "tests.support.plain_engine:TASK"})
    (tmp_path / "data.yaml").write_text("gray_values: true\nnames: [thing]\ntrain: .\nval: .\n")
    Image.new("RGB", (8, 8), "white").save(tmp_path / "white.png")
    return tmp_path


@pytest.mark.parametrize("given", [{"task": "plain"}, {}], ids=["named", "inferred"])
def test_calls(folder: Path, given: dict[str, str]) -> None:
    out = python(ALL_CALLS, folder / "site", ROOT, words=[json.dumps(given)], cwd=folder)
    task, metrics, found, again, made, heard = json.loads(out)
    assert (task, metrics, found, again) == ("plain", {"mean": 0.25}, [{"bright": True}], [[{"bright": True}]])
    assert made == [1] * 5  # a class of hooks gives each run one object
    assert heard == [f"plain engine: {what}" for what in ("train", "val", "predict", "predict", "val")]


def test_commands(folder: Path) -> None:
    def trainer(*words: object, code: int = 0) -> Done:
        done = command(*words, cwd=folder, path=(folder / "site", ROOT))
        assert done.code == code, done.err
        return done

    assert trainer("check", "data.yaml", "--json").json["task"] == "plain"
    assert "the plain engine has no setting conf" in trainer("check", "data.yaml", "conf=0.5", code=3).err
    assert "the plain engine has no setting conf" in trainer("convert", "data.yaml", "to", "conf=0.5", code=3).err
    assert "task: plain" in trainer("run", "data=data.yaml", "--dry-run").out
    done = trainer("run", "data=data.yaml", "mean=0.75", "--json")
    assert done.json["metrics"] == {"mean": 0.75}
    assert "plain engine: train" in done.err
    best = f"model={done.json['best']}"
    assert trainer("val", best, "--json").json["metrics"] == {"mean": 0.75}
    found = trainer("predict", best, "source=white.png", "--json").json["predictions"]
    assert found[0]["objects"] == [{"bright": True}]


@pytest.fixture
def refused(folder: Path) -> Callable[..., str]:
    def call(target: str) -> str:
        site = folder / "wrong"
        code = f"from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object(), engine={target!r})\n"
        write_package(site, "trainer-wrong", tasks={"wrong": "wrong_task:TASK"}, modules={"wrong_task": code})
        done = command("run", "--task", "wrong", "data=data.yaml", cwd=folder, path=(site,))
        assert done.code == 5, done.err
        return "\n".join(done.problems)

    return call


def test_an_engine_that_cannot_be_made_is_an_error_of_the_plugin(refused: Callable[..., str]) -> None:
    assert refused("no_module:Engine") == (
        "cannot make the engine 'no_module:Engine': ModuleNotFoundError: No module named 'no_module'. "
        "Fix: correct TaskSpec.engine, as module:Class"
    )


IMPORTED_BY_A_PLUGIN = """
import os, sys
from functools import partial
import cv2, numpy, torch
from trainer_host import Registry
from trainer_host.base.request import Request
from trainer_host.engine.process_state import preserved_state
from trainer_host.session.working_engine import engine_of_request

def state():
    return [cv2.getNumThreads(), numpy.get_printoptions()["linewidth"], torch.get_num_threads(), sorted(os.environ)]

request = Request.of("run", {}, task="early")
before, inside = state(), []
for _ in range(2):
    with preserved_state(partial(engine_of_request, request, Registry.installed())) as engine:
        assert engine.name == "ultralytics" and "early_task" in sys.modules
        inside.append(state())
    assert state() == before, (before, state())
assert inside[0] == inside[1] != before, inside
"""


def test_a_plugin_may_import_the_engine_before_it_is_chosen(tmp_path: Path) -> None:
    code = (
        "import ultralytics.utils\nfrom trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object(), base='detect')\n"
    )
    write_package(tmp_path, "trainer-early", tasks={"early": "early_task:TASK"}, modules={"early_task": code})
    python(IMPORTED_BY_A_PLUGIN, tmp_path, cwd=tmp_path)

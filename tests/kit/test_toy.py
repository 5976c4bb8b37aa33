"""The kit on a task and an extension that keep to everything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from torch import nn

from tests.kit.toy import TASK, draw_sample
from trainer_host import ExtensionSpec, Layer, hookimpl
from trainer_host.testing import CHECKS, VerificationError, check_plugin
from trainer_host.testing.bench import anchored

pytestmark = pytest.mark.train
NOT_INSTALLED = {"host-version", "listing-imports-nothing"}


class Halving:
    @hookimpl(wrapper=True)
    def build_optimizer(self, ctx):
        optimizer = yield
        for group in optimizer.param_groups:
            group["lr"] /= 2
        return optimizer


EXTENSION = ExtensionSpec(hooks=Halving())


def test_a_sound_task_passes() -> None:
    outcomes = check_plugin(TASK)
    assert {o.check for o in outcomes} == {c.name for c in CHECKS.values() if "task" in c.kinds}
    assert {o.check for o in outcomes if o.state != "ok"} == NOT_INSTALLED


@dataclass(frozen=True)
class Undefined:
    gain: Nowhere = 1.0  # type: ignore[name-defined]  # noqa: F821


def test_an_error_that_nobody_looks_for_is_that_of_the_check() -> None:
    with pytest.raises(VerificationError, match=r"options: Pydantic.* is not fully defined"):
        check_plugin(replace(TASK, options=Undefined), checks=["options"])


def test_a_sound_extension_passes() -> None:
    outcomes = check_plugin(EXTENSION, task=TASK)
    assert {o.check for o in outcomes} == set(CHECKS)
    assert {o.check for o in outcomes if o.state != "ok"} == NOT_INSTALLED


@dataclass(frozen=True)
class Brings:
    layer: type[nn.Module]

    @hookimpl
    def layers(self):
        return {"Mine": Layer(module=self.layer)}


@pytest.mark.parametrize(("layer", "state"), [(nn.Linear, "ok"), (nn.Bilinear, "skipped")])
def test_a_layer_that_is_in_no_model_is_not_checked(layer: type[nn.Module], state: str) -> None:
    extension = ExtensionSpec(hooks=Brings(layer))
    outcomes = check_plugin(extension, task=TASK, checks=["trains", "learns"])
    assert [o.state for o in outcomes] == [state, state]
    if state == "skipped":
        reported = "no layer of the plugin (Mine) is in the model; give a model whose YAML names it: model=FILE.yaml"
        assert {o.found for o in outcomes} == {reported}


def test_paths_start_where_the_call_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_sample(tmp_path)
    settings = {"data": "toy.yaml", "imgsz": 32, "optimizer": "SGD", "lr0": 0.004}
    assert [o.state for o in check_plugin(TASK, settings=settings, checks=["trains"])] == ["ok"]
    (tmp_path / "my11.yaml").touch()
    assert anchored("my11n.yaml") == str(tmp_path / "my11n.yaml"), "its scale n is in the name"
    assert anchored("yolo11n.yaml") == "yolo11n.yaml", "the engine has it"

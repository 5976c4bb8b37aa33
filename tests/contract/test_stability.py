"""What was published keeps working: a plugin of the first release, and hooks that are deprecated before they go."""

from __future__ import annotations

import inspect
import json
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import PACKAGES, Trainer
from tests.docs.test_hooks import PUBLISHED
from trainer_host import ExtensionSpec, PluginRecord, hookimpl
from trainer_host.plugin.chain import HookManager, Member, register
from trainer_host.plugin.markers import hookspec

FIRST = PACKAGES / "trainer-first-hooks"


def first_hooks() -> dict[str, list[str]]:
    """Return the hooks that the kept plugin implements, with the arguments that it takes."""
    hooks = runpy.run_path(str(FIRST / "trainer_first_hooks" / "__init__.py"))["Hooks"]
    named = {name: f for name, f in vars(hooks).items() if hasattr(f, "trainer_host_impl")}
    return {name: list(inspect.signature(f).parameters)[1:] for name, f in named.items()}


def test_the_kept_plugin_has_every_hook_of_the_first_release() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))["0.1"]
    assert first_hooks() == {name: about["arguments"] for name, about in published.items()}


@pytest.mark.wheel
@pytest.mark.train
def test_a_plugin_of_the_first_release_still_runs(tmp_path: Path, site: Path) -> None:
    trainer = Trainer(tmp_path, (site,))
    small = ["model=yolo11n.yaml", "epochs=1", "imgsz=32", "fraction=0.1", "--json"]
    done = trainer("run", "--task", "first-hooks", *small)
    run = Path(done.json["save_dir"])
    called = set(json.loads((run / "hooks.json").read_text(encoding="utf-8")))
    found = trainer("predict", f"model={run / 'weights/best.pt'}", f"source={run / 'train_batch0.jpg'}", "--json")
    assert found.json["status"] == "done"
    assert not any("deprecated" in line for line in done.said + found.said)
    outside = {
        "launchers",
        "sniff_dataset",
        "suggest_keys",
        "annotate_image",
        "histograms",
        "build_autobatch_hints",
        "load_state_dict",
        "share_loss",
    }
    assert first_hooks().keys() - called == outside | {"build_predictor", "draw_prediction"}


class Later:
    """Hooks of a release that is to come."""

    @hookspec(firstresult=True, warn_on_impl=DeprecationWarning("build_plan is deprecated since 0.4: write plan."))
    def build_plan(self, ctx: Any) -> Any: ...

    @hookspec(warn_on_impl_args={"rate": DeprecationWarning("tune's rate is deprecated since 0.4: use ctx.rate.")})
    def tune(self, ctx: Any, rate: float) -> None: ...


class Old:
    @hookimpl(wrapper=True)
    def build_plan(self, ctx: Any) -> Any:
        return (yield)

    @hookimpl
    def tune(self, ctx: Any, rate: float) -> None: ...


class New:
    @hookimpl
    def tune(self, ctx: Any) -> None: ...


def registered(hooks: object) -> HookManager:
    manager = HookManager()
    manager.add_hookspecs(Later)
    record = PluginRecord("tuner", "extension", "trainer-tuner", "1.2", "available", "", "trainer_tuner:EXTENSION")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register(manager, Member(record, ExtensionSpec(hooks=hooks)))
    return manager


def test_what_is_deprecated_is_reported_in_a_line_that_names_the_plugin() -> None:
    manager = registered(Old())
    who, do = "extension 'tuner' from trainer-tuner 1.2", "Fix: upgrade trainer-tuner, or ask its author to"
    assert sorted(str(p).partition(": docs")[0] for p in manager.deprecated) == [
        f"{who}: build_plan is deprecated since 0.4: write plan. {do}",
        f"{who}: tune's rate is deprecated since 0.4: use ctx.rate. {do}",
    ]


def test_a_deprecated_hook_still_works_and_a_new_plugin_is_not_warned_of() -> None:
    assert registered(Old()).hook.build_plan(ctx=None) is None
    assert registered(New()).deprecated == []


def test_warnings_that_are_no_deprecations_pass() -> None:
    from trainer_host.plugin.deprecation import deprecations_noted

    record = PluginRecord("tuner", "extension", "trainer-tuner", "1.2", "available", "", "trainer_tuner:EXTENSION")
    with pytest.warns(UserWarning, match="something else"), deprecations_noted(record, noted := []):
        warnings.warn("something else", stacklevel=1)
    assert noted == []

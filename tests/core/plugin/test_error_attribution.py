"""An error that a plugin's code raises names the plugin and its hook, and its traceback starts in that code."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from tests.support.sample_datasets import pose_dataset
from trainer_host import PluginCrashError, SettingsError, StoppedError, StorageError
from trainer_host.engine.error_translation import blamed, translated
from trainer_host.plugin.chain import HookManager, Member, register
from trainer_host.plugin.plugin_commands import crash_of_command
from trainer_host.plugin.plugin_loading import load_file
from trainer_host.plugin.registry import Registry

Install = Callable[..., Path]
HEAD = "from trainer_host import hookimpl\n"
CTX = SimpleNamespace(batch=-1)


@pytest.fixture
def managed(tmp_path: Path) -> Callable[..., HookManager]:
    """Return a function that registers plugin files, written on the spot, in the order in which they are named."""

    def make(**files: str) -> HookManager:
        manager = Registry.installed().chain("detect").manager
        for name, code in files.items():
            path = tmp_path / f"{name}.py"
            path.write_text(HEAD + code)
            register(manager, Member(*load_file(path)))
        return manager

    return make


@contextmanager
def crash(manager: HookManager) -> Iterator[Any]:
    """Expect a plugin to fail; say which, in what, and the functions of its traceback."""
    reported = SimpleNamespace()
    with pytest.raises(PluginCrashError) as caught, blamed(manager):
        yield reported
    error = caught.value
    assert error.__cause__ is not None
    step, functions = error.__cause__.__traceback__, []
    while step is not None:
        functions.append(step.tb_frame.f_code.co_name)
        step = step.tb_next
    reported.plugin, reported.hook, reported.functions, reported.text = error.plugin, error.hook, functions, str(error)
    assert error.trace.startswith("Traceback (most recent call last):\n")
    assert error.trace.rpartition("Traceback (most recent call last):\n")[2].count("  File ") == len(functions)


ORDINARY = """
def deep():
    raise KeyError("nothing")

@hookimpl
def log_metrics(ctx):
    deep()
"""


def test_a_hook_is_named_with_its_plugin(managed: Callable[..., HookManager], tmp_path: Path) -> None:
    manager = managed(ordinary=ORDINARY)
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.hook, reported.functions) == ("ordinary", "log_metrics", ["log_metrics", "deep"])
    where = f"extension 'ordinary' from {tmp_path / 'ordinary.py'} failed in its hook log_metrics"
    assert reported.text == f"{where}: KeyError: 'nothing'. Fix: correct the file"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("    1 / 0\n    yield", "ZeroDivisionError: division by zero"),
        ("    answer = yield\n    raise LookupError('gone')", "LookupError: gone"),
        ("    try:\n        yield\n    except KeyError as error:\n        raise LookupError('new') from error", "new"),
        ("    yield\n    yield", "has a second yield"),
        ("    if ctx is None:\n        yield", "did not yield"),
        ("    yield\n    raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_wrapper_is_named_for_what_it_raises_itself(
    managed: Callable[..., HookManager], body: str, cause: str
) -> None:
    manager = managed(
        **({"fails": ORDINARY} if "except" in body else {}),
        wraps=f"@hookimpl(wrapper=True)\ndef log_metrics(ctx):\n{body}\n",
    )
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.hook) == ("wraps", "log_metrics")
    assert cause in reported.text


OLD_STYLE = """
@hookimpl(hookwrapper=True)
def log_metrics(ctx):
    outcome = yield
    outcome.force_result(outcome.get_result() + [ctx.nothing])
"""


@pytest.mark.filterwarnings("ignore::pluggy.PluggyTeardownRaisedWarning")
def test_a_wrapper_of_the_old_style_is_named(managed: Callable[..., HookManager]) -> None:
    manager = managed(old=OLD_STYLE)
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.hook, reported.functions) == ("old", "log_metrics", ["log_metrics"])
    manager = managed(old=OLD_STYLE.replace("ctx.nothing", "ctx.batch"))
    assert manager.hook.log_metrics(ctx=CTX) == [-1]


def test_guards_keep_what_implementations_declare(managed: Callable[..., HookManager]) -> None:
    code = "@hookimpl\ndef log_metrics(ctx=None):\n    return ctx is None or ctx.batch\n"
    code += "@hookimpl(wrapper=True, tryfirst=True)\ndef compute_fitness(metrics):\n    yield\n"
    manager = managed(declares=code)
    declared = {c.name: i for c, i in manager.implementations("extension:declares")}
    assert (declared["log_metrics"].argnames, declared["compute_fitness"].argnames) == ((), ("metrics",))
    assert (
        declared["log_metrics"].wrapper,
        declared["compute_fitness"].wrapper,
        declared["compute_fitness"].tryfirst,
    ) == (False, True, True)
    unguarded = pluggy.PluginManager("trainer_host")
    unguarded.register(manager.get_plugin("extension:declares").hooks)
    assert manager.hook.log_metrics(ctx=CTX) == unguarded.hook.log_metrics(ctx=CTX)


def test_an_error_that_cannot_be_written_to_is_noted_all_the_same(managed: Callable[..., HookManager]) -> None:
    code = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Frozen(Exception):\n    code: int\n"
    manager = managed(freezes=code + "@hookimpl\ndef log_metrics(ctx):\n    raise Frozen(3)\n")
    said = r"extension 'freezes' .* failed in its hook log_metrics: Frozen"
    with pytest.raises(PluginCrashError, match=said), blamed(manager):
        manager.hook.log_metrics(ctx=CTX)


PASSES = "@hookimpl(wrapper=True)\ndef log_metrics(ctx):\n    return (yield)\n"
CATCHES = """
@hookimpl(wrapper=True)
def log_metrics(ctx):
    try:
        return (yield)
    except KeyError:
        raise
"""


@pytest.mark.parametrize("wrapper", [PASSES, CATCHES])
def test_a_wrapper_that_lets_an_error_pass_is_not_blamed(managed: Callable[..., HookManager], wrapper: str) -> None:
    manager = managed(outer=wrapper, ordinary=ORDINARY, inner=wrapper)
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.functions) == ("ordinary", ["log_metrics", "deep"])


def test_wrappers_of_a_built_in_tasks_error_are_not_blamed(managed: Callable[..., HookManager]) -> None:
    manager = managed(wraps="@hookimpl(wrapper=True)\ndef preprocess_batch(ctx, batch):\n    return (yield)\n")
    with pytest.raises(AttributeError), blamed(manager):
        manager.hook.preprocess_batch(ctx=CTX, batch={"img": None})


def test_what_a_plugin_calls_of_a_built_in_task_is_its_own_mistake(managed: Callable[..., HookManager]) -> None:
    code = (
        "@hookimpl\ndef log_metrics(ctx):\n    from trainer_detect.rows import keypoint_shape\n    keypoint_shape(3)\n"
    )
    manager = managed(calls=code)
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.functions) == ("calls", ["log_metrics", "keypoint_shape"])


def test_what_only_called_the_host_is_not_blamed_for_what_is_below(managed: Callable[..., HookManager]) -> None:
    manager = managed(
        above="@hookimpl\ndef load_state_dict(ctx, state):\n    ctx.hook.log_metrics(ctx=ctx)\n", ordinary=ORDINARY
    )
    with crash(manager) as reported:
        manager.hook.load_state_dict(ctx=manager, state={})
    assert reported.plugin == "ordinary"


def test_a_callback_is_named_by_its_function(managed: Callable[..., HookManager]) -> None:
    code = "class Rates:\n    def write(self, trainer):\n        trainer['x']\n"
    code += "@hookimpl\ndef callbacks(ctx):\n    return {'on_train_end': Rates().write}\n"
    manager = managed(calls=code)
    (events,) = manager.hook.callbacks(ctx=CTX)
    with crash(manager) as reported:
        events["on_train_end"](None)
    assert (reported.plugin, reported.hook, reported.functions) == ("calls", None, ["write"])
    assert "failed in its function " in reported.text


def test_a_generator_fails_after_its_hook_was_called(managed: Callable[..., HookManager]) -> None:
    manager = managed(checks="@hookimpl\ndef check_dataset(ctx):\n    yield ctx.batch\n    yield ctx.nothing\n")
    with crash(manager) as reported:
        list(*manager.subset_hook_caller("check_dataset", [manager.get_plugin("task:detect")])(ctx=CTX))
    assert (reported.plugin, reported.hook, reported.functions) == ("checks", "check_dataset", ["check_dataset"])


def test_decorators_do_not_hide_a_hook(managed: Callable[..., HookManager]) -> None:
    code = "import torch\n@hookimpl\n@torch.no_grad()\ndef log_metrics(ctx):\n    ctx.nothing\n"
    manager = managed(decorated=code)
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert (reported.plugin, reported.hook, reported.functions) == ("decorated", "log_metrics", ["log_metrics"])


def test_objects_of_one_class_are_distinguished(managed: Callable[..., HookManager]) -> None:
    code = "class Hooks:\n    def __init__(self, fails):\n        self.fails = fails\n"
    code += "    @hookimpl\n    def log_metrics(self, ctx):\n        assert not self.fails\nFIRST = Hooks(False)\n"
    manager = managed(one=code + "from trainer_host import ExtensionSpec\nE = ExtensionSpec(hooks=FIRST)\n")
    member = Member(*load_file(Path(manager.records["extension:one"].distribution)))
    hooks: Any = member.spec.hooks
    manager.unregister(name="extension:one")
    for name, fails in (("good", False), ("bad", True)):
        each = replace(member.record, name=name)
        register(manager, Member(each, replace(member.spec, hooks=type(hooks)(fails))))
    with crash(manager) as reported:
        manager.hook.log_metrics(ctx=CTX)
    assert reported.plugin == "bad"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("KeyboardInterrupt()", KeyboardInterrupt),
        ("__import__('trainer_host').StoppedError('stopped.')", StoppedError),
        ("__import__('trainer_host').SettingsError('no.')", SettingsError),
        ("OSError(28, 'no space left')", StorageError),
    ],
)
def test_what_has_another_cause_names_no_plugin(
    managed: Callable[..., HookManager], raised: str, expected: type[BaseException]
) -> None:
    manager = managed(raises=f"@hookimpl\ndef log_metrics(ctx):\n    raise {raised}\n")
    with pytest.raises(expected), translated(), blamed(manager):
        manager.hook.log_metrics(ctx=CTX)


WORKER = """
class Numbers:
    def __len__(self):
        return 2
    def __getitem__(self, i):
        return [][i]

@hookimpl
def log_metrics(ctx):
    ctx.append(Numbers())
"""


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="a plugin file is no module of new processes")
def test_an_error_of_a_loaders_process_names_the_plugin(managed: Callable[..., HookManager]) -> None:
    from torch.utils.data import DataLoader

    manager, found = managed(worker=WORKER), []
    manager.hook.log_metrics(ctx=found)
    with pytest.raises(PluginCrashError) as caught, blamed(manager):
        list(DataLoader(found[0], num_workers=1))
    error = caught.value
    assert (error.plugin, error.hook) == ("worker", None)
    assert "failed in its function __getitem__: IndexError: list index out of range." in str(error)
    assert error.trace.splitlines()[1].endswith(", in __getitem__")


# In the host's own commands


def test_a_check_of_a_dataset_names_the_plugin(trainer: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: train\nval: train\n")
    (tmp_path / "train").mkdir()
    (tmp_path / "bad.py").write_text(HEAD + "@hookimpl\ndef check_dataset(ctx):\n    yield ctx.data['nothing']\n")
    done = trainer("check", "data.yaml", "--task", "detect", "--plugin", "./bad.py", "--json")
    assert done.code == 5
    assert done.json["hook"] == "check_dataset"
    assert "failed in its hook check_dataset: KeyError: 'nothing'." in done.problems[0]


@pytest.mark.train
def test_a_drop_in_trainer_names_the_plugin(engine: None, tmp_path: Path) -> None:
    from trainer_pose import PoseTrainer

    (tmp_path / "bad.py").write_text(HEAD + "@hookimpl\ndef set_model_attributes(ctx):\n    ctx.model['nothing']\n")
    given = {"data": str(pose_dataset(tmp_path / "figures", images=2)), "model": "yolo11n-pose.yaml", "imgsz": 32}
    made = PoseTrainer.configured(plugins=[str(tmp_path / "bad.py")])(
        overrides={**given, "epochs": 1, "batch": 2, "plots": False, "project": str(tmp_path / "runs")}
    )
    with pytest.raises(PluginCrashError, match="failed in its hook set_model_attributes: TypeError") as caught:
        made.train()
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_command_is_named_by_the_module_that_it_is_in(installed: Install) -> None:
    code = "import click\n@click.command()\ndef greet():\n    1 / 0\n"
    points = "[trainer_host.commands]\ngreet = greetings:greet\n"
    installed("trainer-greetings", entry_points=points, modules={"greetings": code})
    from greetings import greet  # type: ignore[import-not-found]

    try:
        greet.callback()
    except ZeroDivisionError as error:
        reported = crash_of_command(error, Registry.installed())
    assert reported is not None
    assert str(reported).startswith("command 'greet' from trainer-greetings 1.0 failed in its function greet: ")

"""The chain of a task: which plugin answers a hook, in which order, and with which options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pydantic
import pytest

from trainer_host import (
    DONE,
    ExtensionSpec,
    PluginError,
    PluginRecord,
    RunContext,
    SettingsError,
    TaskSpec,
    hookimpl,
)
from trainer_host.plugin.chain import READERS, Chain, HookManager, Member, register
from trainer_host.plugin.hookspecs import BASE_FIRST, HOOKS
from trainer_host.plugin.registry import Registry

Install = Callable[..., Path]

FIRST = sorted(n for n, f in HOOKS.items() if f.trainer_host_spec["firstresult"])
ALL = sorted(HOOKS.keys() - set(FIRST))
LEVELS = ("base", "middle", "leaf")


def arguments(hook: str) -> list[str]:
    return list(inspect.signature(HOOKS[hook]).parameters)[1:]


def implementing(hook: str, body: Callable[[], Any], **marks: Any) -> object:
    """Return an object that implements one hook, with the arguments that its specification has."""
    names = ", ".join(arguments(hook))
    scope: dict[str, Any] = {"body": body}
    if marks.get("wrapper"):
        exec(f"def {hook}(self, {names}):\n    result = yield\n    return body(result)", scope)
    else:
        exec(f"def {hook}(self, {names}):\n    return body()", scope)
    return type("Hooks", (), {hook: hookimpl(**marks)(scope[hook])})()


def member(name: str, hooks: object, kind: Literal["task", "extension"] = "task") -> Member:
    record = PluginRecord(name, kind, f"trainer-{name}", "1.0", "available", "", f"trainer_{name}:X")
    return Member(record, TaskSpec(hooks=hooks) if kind == "task" else ExtensionSpec(hooks=hooks))


def managed(*members: Member) -> HookManager:
    manager = HookManager()
    for each in members:
        register(manager, each)
    return manager


def call(manager: HookManager, hook: str) -> Any:
    return getattr(manager.hook, hook)(**dict.fromkeys(arguments(hook)))


def chain_of_three(hook: str, answers: dict[str, Any], asked: list[str]) -> HookManager:
    def body(level: str) -> Callable[[], Any]:
        def run() -> Any:
            asked.append(level)
            return answers[level]

        return run

    return managed(*(member(level, implementing(hook, body(level))) for level in LEVELS if level in answers))


# Order


@pytest.mark.parametrize("hook", sorted(BASE_FIRST))
def test_base_first_hooks_run_from_the_base_to_the_leaf(hook: str) -> None:
    asked: list[str] = []
    manager = chain_of_three(hook, {"base": 1, "middle": 2, "leaf": 3}, asked)
    assert call(manager, hook) == [1, 2, 3]
    assert asked == ["base", "middle", "leaf"]


@pytest.mark.parametrize("hook", sorted(BASE_FIRST))
@pytest.mark.parametrize("marks", [{}, {"tryfirst": True}, {"trylast": True}])
def test_base_first_hooks_heed_no_marks_of_their_authors(hook: str, marks: dict[str, bool]) -> None:
    asked: list[str] = []
    hooks = {level: implementing(hook, lambda level=level: asked.append(level)) for level in ("base", "leaf")}
    hooks["middle"] = implementing(hook, lambda: asked.append("middle"), **marks)
    extension = implementing(hook, lambda: asked.append("extension"), **marks)
    members = [member(level, hooks[level]) for level in LEVELS]
    call(managed(*members, member("extension", extension, "extension")), hook)
    assert asked == ["base", "middle", "leaf", "extension"]


def test_a_base_first_hook_under_another_name_runs_in_order_too() -> None:
    asked: list[str] = []

    class Renamed:
        @hookimpl(specname="finish_setup")
        def look(self) -> None:
            asked.append("middle")

    base, leaf = (implementing("finish_setup", lambda n=n: asked.append(n)) for n in ("base", "leaf"))
    call(managed(member("base", base), member("middle", Renamed()), member("leaf", leaf)), "finish_setup")
    assert asked == ["base", "middle", "leaf"]


def test_only_hooks_that_everybody_answers_run_base_first() -> None:
    assert BASE_FIRST.issubset(ALL)
    assert len(FIRST) + len(ALL) == len(HOOKS)


@pytest.mark.parametrize("hook", ALL)
def test_everybody_answers_the_other_hooks(hook: str) -> None:
    asked: list[str] = []
    answers = call(chain_of_three(hook, {"base": 1, "middle": 2, "leaf": 3}, asked), hook)
    assert sorted(answers) == [1, 2, 3]


@pytest.mark.parametrize("hook", FIRST)
def test_the_leaf_answers_first_and_alone(hook: str) -> None:
    asked: list[str] = []
    assert call(chain_of_three(hook, {"base": "b", "middle": "m", "leaf": "l"}, asked), hook) == "l"
    assert asked == ["leaf"]


@pytest.mark.parametrize("hook", FIRST)
def test_none_asks_the_base(hook: str) -> None:
    asked: list[str] = []
    assert call(chain_of_three(hook, {"base": "b", "middle": None, "leaf": None}, asked), hook) == "b"
    assert asked == ["leaf", "middle", "base"]
    assert call(chain_of_three(hook, {"base": None, "leaf": None}, []), hook) is None


@pytest.mark.parametrize("hook", FIRST)
def test_what_a_task_does_not_implement_its_base_answers(hook: str) -> None:
    asked: list[str] = []
    assert call(chain_of_three(hook, {"base": "b"}, asked), hook) == "b"
    assert call(HookManager(), hook) is None


@pytest.mark.parametrize("answer", [DONE, False, 0, "", {}], ids=repr)
def test_done_stops_and_so_does_every_other_value(answer: Any) -> None:
    asked: list[str] = []
    assert (
        call(chain_of_three("evaluate_best", {"base": "b", "middle": answer, "leaf": None}, asked), "evaluate_best")
        == answer
    )
    assert asked == ["leaf", "middle"]


# Extensions


@pytest.mark.parametrize("hook", FIRST)
def test_an_extension_wraps_the_answer(hook: str) -> None:
    tasks = [member(level, implementing(hook, lambda level=level: level)) for level in LEVELS]
    inner = member("inner", implementing(hook, lambda result: f"inner({result})", wrapper=True), "extension")
    outer = member("outer", implementing(hook, lambda result: f"outer({result})", wrapper=True), "extension")
    assert call(managed(*tasks, inner, outer), hook) == "outer(inner(leaf))"


def test_a_task_may_wrap_its_base() -> None:
    base = member("base", implementing("build_model", lambda: "base"))
    leaf = member("leaf", implementing("build_model", lambda result: f"leaf({result})", wrapper=True))
    assert call(managed(base, leaf), "build_model") == "leaf(base)"


def test_a_wrapper_sees_every_answer_of_a_hook_that_everybody_answers() -> None:
    tasks = [member(level, implementing("callbacks", lambda level=level: {level: print})) for level in LEVELS]
    counted = member("count", implementing("callbacks", len, wrapper=True), "extension")
    assert call(managed(*tasks, counted), "callbacks") == 3


@pytest.mark.parametrize("hook", sorted(set(FIRST) - READERS))
def test_an_extension_that_answers_itself_is_refused(hook: str) -> None:
    own = member("cbam", implementing(hook, lambda: "mine"), "extension")
    with pytest.raises(PluginError) as caught:
        managed(member("base", implementing(hook, lambda: "base")), own)
    assert str(caught.value).startswith(
        f"extension 'cbam' from trainer-cbam 1.0 implements the first-result hook {hook!r} without"
    )
    assert "wrapper=True" in str(caught.value)


@pytest.mark.parametrize("hook", sorted(READERS & set(FIRST)))
def test_an_extension_may_read_datasets_and_is_asked_before_the_tasks(hook: str) -> None:
    tasks = [member(level, implementing(hook, lambda level=level: level)) for level in LEVELS]
    passes = member("passes", implementing(hook, lambda: None), "extension")
    reads = member("reads", implementing(hook, lambda: "read"), "extension")
    wraps = member("wraps", implementing(hook, lambda result: f"task({result})", wrapper=True))
    assert call(managed(*tasks, passes), hook) == "leaf"
    assert call(managed(*tasks, reads, passes), hook) == "read"
    assert call(managed(*tasks, wraps, reads), hook) == "task(read)", "a task completes what any format has read"


def test_an_extension_that_answers_under_another_name_is_refused_too() -> None:
    class Sly:
        @hookimpl(specname="build_model")
        def look_elsewhere(self) -> str:
            return "mine"

    with pytest.raises(PluginError, match="implements the first-result hook 'build_model'"):
        managed(member("cbam", Sly(), "extension"))


# The contract of hooks


def refused(hooks: object, kind: Literal["task", "extension"] = "task") -> str:
    with pytest.raises(PluginError) as caught:
        managed(member("odd", hooks, kind))
    assert str(caught.value).startswith(f"{kind} 'odd' from trainer-odd 1.0 ")
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_an_unknown_hook_is_refused_with_the_nearest_one() -> None:
    class Odd:
        @hookimpl
        def build_modell(self, ctx: Any) -> None: ...

    said = refused(Odd())
    assert "'build_modell'" in said
    assert "'build_model'" in said


def test_a_hook_of_a_later_host_may_be_optional() -> None:
    class Later:
        @hookimpl(optionalhook=True)
        def build_something_new(self, ctx: Any) -> None: ...

    managed(member("odd", Later()))


@pytest.mark.parametrize("kind", ["task", "extension"])
def test_a_wrong_argument_is_named(kind: Literal["task", "extension"]) -> None:
    class Odd:
        @hookimpl
        def finish_setup(self, context: Any) -> None: ...

    said = refused(Odd(), kind)
    assert "'context'" in said
    assert "docs/reference/hooks.md" in said


def test_hooks_may_take_fewer_arguments() -> None:
    class Short:
        @hookimpl
        def build_dataloader(self) -> str:
            return "loader"

    assert call(managed(member("short", Short())), "build_dataloader") == "loader"


def test_one_object_is_given_once() -> None:
    hooks = implementing("finish_setup", lambda: None)
    with pytest.raises(PluginError, match=r"extension 'b' from trainer-b 1\.0 is registered twice"):
        managed(member("a", hooks, "extension"), member("b", hooks, "extension"))


# Loading

THREE = {
    name: f"from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object(), {arguments})\n"
    for name, arguments in {
        "one": "engine_task='detect', best_metric='m'",
        "two": "base='one'",
        "three": "base='two', best_metric='n'",
    }.items()
}


def test_a_chain_of_three_is_loaded_base_first(installed: Install) -> None:
    installed("p", tasks={n: f"{n}:TASK" for n in THREE}, modules=THREE)
    chain = Registry.installed().chain("three")
    assert [m.record.name for m in chain.tasks] == ["one", "two", "three"]
    assert (chain.name, chain.engine_task, chain.extensions) == ("three", "detect", ())
    assert chain.attribute("best_metric") == "n"
    assert Registry.installed().chain("two").attribute("best_metric") == "m"
    assert Registry.installed().chain("p:two").name == "two"


def test_a_task_without_a_kind_is_known_by_its_own_name(installed: Install) -> None:
    code = "from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object())\n"
    installed("p", tasks={"alone": "alone:TASK"}, modules={"alone": code})
    assert Registry.installed().chain("alone").engine_task == "alone"


def test_a_run_holds_its_chain_and_nothing_else(installed: Install) -> None:
    bomb = "raise AssertionError('imported')\n"
    installed(
        "p",
        tasks={"one": "one:TASK", "bomb": "bomb:TASK"},
        extensions={"log": "bomb:LOG"},
        modules=THREE | {"bomb": bomb},
    )
    always = [f"extension:{r.name}" for r in Registry.installed().records if r.always]
    assert [name for name, _ in Registry.installed().chain("one").manager.list_name_plugin()] == ["task:one", *always]
    off = [r.name for r in Registry.installed().records if r.always]
    assert [name for name, _ in Registry.installed(off).chain("one").manager.list_name_plugin()] == ["task:one"]


def test_bases_in_a_circle_are_refused(installed: Install) -> None:
    code = "from trainer_host import TaskSpec\nTASK = TaskSpec(hooks=object(), base={base!r})\n"
    bases = {"round": "about", "about": "round", "own": "own"}
    installed("p", tasks={n: f"{n}:TASK" for n in bases}, modules={n: code.format(base=b) for n, b in bases.items()})
    with pytest.raises(PluginError, match=r"circular base chain: round -> about -> round \(p 1\.0\)"):
        Registry.installed().chain("round")
    with pytest.raises(PluginError, match="own -> own"):
        Registry.installed().chain("own")


def test_a_missing_base_is_reported_with_who_needs_it(installed: Install) -> None:
    installed("p", tasks={"two": "two:TASK", "three": "three:TASK"}, modules=THREE)
    with pytest.raises(PluginError) as caught:
        Registry.installed().chain("three")
    assert "'two' from p 1.0" in str(caught.value)
    assert "'one'" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("odd:TASK", "odd:TASK is not a TaskSpec"),
        ("odd:NONE", "AttributeError"),
        ("odd", "odd is not a TaskSpec"),
        ("nowhere:TASK", "ModuleNotFoundError: No module named 'nowhere'"),
        ("fails:TASK", "ValueError: first line."),
        ("leaves:TASK", "SystemExit: 3"),
        ("odd:", "odd: is not a TaskSpec"),
        (":", "ValueError"),
        ("not a target", "is broken"),
    ],
)
def test_a_target_that_is_no_task_is_refused(installed: Install, target: str, said: str) -> None:
    modules = {
        "odd": "TASK = 3\n",
        "fails": "raise ValueError('first line\\nsecond')\n",
        "leaves": "raise SystemExit(3)\n",
    }
    installed("p", "2.0", tasks={"odd": target}, modules=modules)
    with pytest.raises(PluginError) as caught:
        Registry.installed().chain("odd")
    assert str(caught.value).startswith("task 'odd' from p 2.0 is broken: ")
    assert said in str(caught.value)


# Extensions that are part of every run

ALWAYS = """
from dataclasses import dataclass
from trainer_host import ExtensionSpec, hookimpl

@dataclass(frozen=True)
class Options:
    gain: float = 1.0

class Hooks:
    def __init__(self, name):
        self.name = name

    @hookimpl
    def callbacks(self, ctx):
        return {self.name: print}

FIRST = ExtensionSpec(hooks=Hooks("first"), options=Options)
SECOND = ExtensionSpec(hooks=Hooks("second"))
ASKED = ExtensionSpec(hooks=Hooks("asked"))
"""


@pytest.fixture
def always(installed: Install) -> Install:
    def install(lines: str, **modules: str) -> Path:
        entry_points = f"[trainer_host.tasks]\none = one:TASK\n{lines}"
        return installed("p", entry_points=entry_points, modules=THREE | {"usual": ALWAYS} | modules)

    return install


def test_what_is_part_of_every_run_comes_between_the_tasks_and_what_was_asked_for(always: Install) -> None:
    always("[trainer_host.always]\nb = usual:SECOND\na = usual:FIRST\n[trainer_host.plugins]\nc = usual:ASKED\n")
    chain = Registry.installed().chain("one", ["c"])
    own = [m.record.name for m in chain.always if m.record.distribution == "p"]
    assert own == ["a", "b"]
    assert [m.record.name for m in chain.extensions] == ["c"]
    assert chain.members == chain.tasks + chain.extensions, "a record of the run names what was asked for"
    assert chain.options["a"].gain == 1.0
    assert chain.notices == ()
    changed = Registry.installed().chain("one", ["c"], {"a": {"gain": 2}})
    assert changed.options["a"].gain == 2.0
    again = Registry.installed().chain("one", [m.record.name for m in changed.to_repeat], {"a": {"gain": 2}})
    orders = [[n for n, _ in c.manager.list_name_plugin() if n[-2:] in {":a", ":c"}] for c in (changed, again)]
    assert orders == [["extension:a", "extension:c"]] * 2
    with pytest.raises(SettingsError, match=r"a\.gain='much'"):
        Registry.installed().chain("one", options={"a": {"gain": "much"}})


def test_what_is_part_of_every_run_can_be_switched_off_or_asked_for(always: Install) -> None:
    always("[trainer_host.always]\na = usual:FIRST\n")
    assert "a" not in [m.record.name for m in Registry.installed(["a"]).chain("one").always]
    chain = Registry.installed().chain("one", ["p:a"])
    assert [m.record.name for m in chain.extensions] == ["a"]
    assert "a" not in [m.record.name for m in chain.always]


def test_hooks_need_not_be_hashable() -> None:
    @dataclass
    class Hooks:
        seen: int = 0

        @hookimpl
        def finish_setup(self) -> None:
            self.seen += 1

    hooks = Hooks()
    call(managed(member("counts", hooks, "extension")), "finish_setup")
    assert hooks.seen == 1


def test_a_class_gives_each_run_an_object_of_its_own(always: Install) -> None:
    code = "from trainer_host import hookimpl\nclass Hooks:\n  @hookimpl\n  def finish_setup(self): ...\n"
    always("[trainer_host.always]\na = usual:FIRST\nown = own:Hooks\n", own=code)
    first, second = (
        next(m for m in Registry.installed().chain("one").always if m.record.name == "own") for _ in range(2)
    )
    assert type(first.spec.hooks) is type(second.spec.hooks)
    assert first.spec.hooks is not second.spec.hooks


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0\n", "ZeroDivisionError"),
        ("", "AttributeError"),
        ("class BAD:\n  def __init__(self, options): ...\n", "make BAD callable without arguments"),
        ("from trainer_host import hookimpl\nclass B:\n  @hookimpl\n  def no_hook(self): ...\nBAD = B()\n", "no_hook"),
        (
            (
                "import dataclasses\nfrom trainer_host import ExtensionSpec\n"
                "@dataclasses.dataclass\nclass O:\n  needed: int\nBAD = ExtensionSpec(hooks=object(), options=O)\n"
            ),
            "needed",
        ),
        ("from trainer_host import ExtensionSpec\nBAD = ExtensionSpec(hooks=object(), options=3)\n", "broken"),
    ],
)
def test_a_broken_one_is_skipped_and_told(always: Install, code: str, said: str) -> None:
    always("[trainer_host.always]\na = usual:FIRST\nbad = bad:BAD\n", bad=code)
    chain = Registry.installed().chain("one")
    assert "a" in [m.record.name for m in chain.always]
    assert "bad" not in [m.record.name for m in chain.always]
    (problem,) = chain.notices
    assert said in str(problem)
    assert "bad" in str(problem)


def test_one_that_is_in_conflict_is_skipped_and_told(always: Install, installed: Install) -> None:
    always("[trainer_host.always]\na = usual:FIRST\n")
    installed("q", entry_points="[trainer_host.always]\na = usual:SECOND\n")
    chain = Registry.installed().chain("one")
    assert "a" not in [m.record.name for m in chain.always]
    assert ["p and q both provide" in str(p) for p in chain.notices] == [True]


def test_a_broken_one_that_was_asked_for_stops_the_run(always: Install) -> None:
    always("[trainer_host.always]\nbad = bad:BAD\n", bad="1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        Registry.installed().chain("one", ["bad"])


# Files

CODE = """
from dataclasses import dataclass
from trainer_host import ExtensionSpec, hookimpl

@dataclass(frozen=True)
class Options:
    gain: float = 1.0

class Hooks:
    @hookimpl
    def callbacks(self, ctx):
        return {"on_train_end": print}

EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)
"""


@pytest.fixture
def file(tmp_path: Path, installed: Install) -> Path:
    installed("p", tasks={"one": "one:TASK"}, modules=THREE)
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_a_file_is_an_extension_for_one_run(file: Path) -> None:
    chain = Registry.installed().chain("one", [str(file)], {"mine": {"gain": "0.5"}})
    assert [m.record.name for m in chain.extensions] == ["mine"]
    assert chain.options["mine"].gain == 0.5
    assert call(chain.manager, "callbacks") == [{"on_train_end": print}]
    assert [m.record.name for m in Registry.installed().chain("one").members] == ["one"]


def test_a_file_may_be_its_own_hooks(file: Path) -> None:
    file.write_text("from trainer_host import hookimpl\n@hookimpl\ndef callbacks(ctx):\n    return {}\n")
    assert call(Registry.installed().chain("one", [str(file)]).manager, "callbacks") == [{}]


@pytest.mark.parametrize(
    ("code", "said"),
    [("x = 1\n1 / 0\n", ":2: .*ZeroDivisionError"), ("x = (\n", "SyntaxError"), ("exit(3)", "SystemExit")],
)
def test_a_broken_file_is_reported_with_its_line(file: Path, code: str, said: str) -> None:
    file.write_text(code)
    with pytest.raises(PluginError, match=rf"mine\.py.*{said}|mine\.py{said}"):
        Registry.installed().chain("one", [str(file)])


def test_a_file_that_is_missing_or_no_code(file: Path) -> None:
    with pytest.raises(PluginError, match=r"plugin file .*none.py not found"):
        Registry.installed().chain("one", [str(file.with_name("none.py"))])
    text = file.with_suffix(".txt")
    text.write_text("x")
    with pytest.raises(PluginError, match="not a Python file"):
        Registry.installed().chain("one", [str(text)])


# Options

OPTIONS = """
from dataclasses import dataclass, field
from typing import Literal
from pydantic import BaseModel, Field
from trainer_host import ExtensionSpec, TaskSpec, hookimpl

class Hooks:
    @hookimpl
    def log_metrics(self, ctx): ...

@dataclass(frozen=True)
class TaskOptions:
    rate: float = 0.1
    steps: int = 3
    names: list[str] = field(default_factory=list)
    kind: Literal["Mean", "Sum"] = "Mean"

class ModelOptions(BaseModel):
    gain: float = Field(1.0, ge=0)
    on: bool = True

TASK = TaskSpec(hooks=object(), options=TaskOptions)
LEAF = TaskSpec(hooks=object(), base="opt")
CBAM = ExtensionSpec(hooks=Hooks(), options=ModelOptions)
BARE = ExtensionSpec(hooks=Hooks())
"""


@pytest.fixture
def optional(installed: Install) -> Any:
    folder = installed(
        "p",
        tasks={"opt": "opt:TASK", "leaf": "opt:LEAF"},
        extensions={"cbam": "opt:CBAM", "bare": "opt:BARE"},
        modules={"opt": OPTIONS},
    )
    assert folder.is_dir()
    import opt

    return opt


def problems(given: dict[str, dict[str, Any]], extensions: tuple[str, ...] = ("cbam",)) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Registry.installed().chain("opt", extensions, given)
    return [str(p) for p in caught.value.problems]


def test_options_have_defaults_and_types(optional: Any) -> None:
    chain = Registry.installed().chain("opt", ["cbam", "bare"])
    always = {m.record.name: m.options for m in chain.always}
    assert chain.options == {"opt": optional.TaskOptions(), "cbam": optional.ModelOptions(), **always}
    given = {
        "opt": {"rate": 1, "steps": "4", "names": ("a", "b"), "kind": "Sum"},
        "cbam": {"gain": "2e-1", "on": False},
    }
    chain = Registry.installed().chain("opt", ["cbam"], given)
    assert chain.options["opt"] == optional.TaskOptions(1.0, 4, ["a", "b"], "Sum")
    assert chain.options["cbam"] == optional.ModelOptions(gain=0.2, on=False)


def test_options_of_a_base_are_given_by_its_name(optional: Any) -> None:
    assert Registry.installed().chain("leaf", options={"opt": {"rate": 2}}).options["opt"] == optional.TaskOptions(2.0)


@pytest.mark.usefixtures("optional")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"opt": {"rat": 1}}, "unknown option of plugin 'opt': 'rat'. Did you mean 'rate'?"),
        ({"opt": {"steps": 1.5}}, "opt.steps=1.5: input should be a valid integer"),
        ({"opt": {"kind": "mean"}}, "opt.kind='mean': input should be 'Mean' or 'Sum'."),
        ({"cbam": {"gain": -1}}, "cbam.gain=-1: input should be greater than or equal to 0."),
        ({"cbam": {"xyz": 1}}, "unknown option of plugin 'cbam': 'xyz'. Known: gain, on."),
        ({"none": {"x": 1}}, "plugin 'none' has options, but is not part of this run. Plugins of this run:"),
    ],
)
def test_one_problem_of_options(given: dict[str, dict[str, Any]], said: str) -> None:
    (problem,) = problems(given)
    assert problem.startswith(said)


@pytest.mark.usefixtures("optional")
def test_all_problems_of_options_are_reported() -> None:
    given = {"opt": {"rat": 1, "steps": "x", "rate": "y"}, "cbam": {"on": 5}, "bare": {"z": 1}, "none": {}}
    found = problems(given, ("cbam", "bare"))
    assert len(found) == 6
    assert [f.split("=")[0].split(". ")[0] for f in found] == [
        "unknown option of plugin 'opt': 'rat'",
        "opt.rate",
        "opt.steps",
        "cbam.on",
        "unknown option of plugin 'bare': 'z'",
        "plugin 'none' has options, but is not part of this run",
    ]


@dataclass(frozen=True)
class Mine:
    x: int = 1
    y: list[int] = field(default_factory=list)


class Yours(pydantic.BaseModel):
    x: int = 2


def test_a_hook_finds_its_options_by_their_type() -> None:
    ctx = RunContext(task="t", engine_task="t", args=None, options={"a": Yours(), "b": Mine(3)})
    assert ctx.options_for(Mine) == Mine(3)
    assert ctx.options_for(Yours).x == 2
    with pytest.raises(PluginError, match="no plugin of this run declares the options TaskSpec"):
        ctx.options_for(TaskSpec)


def test_contexts_and_chains_are_frozen() -> None:
    ctx = RunContext(task="t", engine_task="t", args=None)
    chain = Chain((), (), HookManager())
    for frozen, name in ((ctx, "task"), (chain, "tasks"), (member("a", object()), "spec")):
        with pytest.raises(AttributeError):
            setattr(frozen, name, None)


def test_blame_finds_the_plugin_of_a_module(file: Path) -> None:
    chain = Registry.installed().chain("one", [str(file)])
    assert chain.blame("one.inner.Class").name == "one"
    assert chain.blame("elsewhere") is None

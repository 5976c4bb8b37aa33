"""Extensions that would do nothing are refused, and parts that have no effect are reported, each with what to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainer_host import PluginError
from trainer_host.plugin.registry import Registry

HEAD = "from trainer_host import ExtensionSpec, TaskSpec, hookimpl\n"
CLASS = "class Hooks:\n    @hookimpl\n    def callbacks(self, ctx):\n        return {}\n"


@pytest.fixture
def file(tmp_path: Path, installed: Callable[..., Path]) -> Path:
    installed("p", tasks={"one": "one:TASK"}, modules={"one": f"{HEAD}TASK = TaskSpec(hooks=object())\n"})
    return tmp_path / "mine.py"


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("", "mark its functions with @hookimpl: docs/how-to/write-an-extension.md"),
        (
            "x = 1\ndef helper(a):\n    pass\n",
            "mark its functions with @hookimpl: docs/how-to/write-an-extension.md",
        ),
        ("def callbacks(ctx):\n    return {}\n", "write @hookimpl above the function callbacks"),
        ("def callback(ctx):\n    return {}\n", "write @hookimpl above the function callback, and name it callbacks"),
        (CLASS, "add a line at the end: EXTENSION = ExtensionSpec(hooks=Hooks())"),
        (f"{CLASS}PLUGIN = Hooks()\n", "add a line at the end: EXTENSION = ExtensionSpec(hooks=Hooks())"),
        (
            "class Hooks:\n    def log_metrics(self, ctx):\n        pass\nE = ExtensionSpec(hooks=Hooks())\n",
            "write @hookimpl above the function log_metrics",
        ),
        (f"{CLASS}TASK = TaskSpec(hooks=Hooks())\n", "install the task TASK in a package: docs"),
    ],
)
def test_a_file_without_a_hook_is_refused(file: Path, code: str, fix: str) -> None:
    file.write_text(HEAD + code, encoding="utf-8")
    with pytest.raises(PluginError) as caught:
        Registry.installed().chain("one", [str(file)])
    (problem,) = caught.value.problems
    assert problem.message == f"extension 'mine' from {file} implements no hooks."
    assert problem.fix is not None
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    ("code", "fixes"),
    [
        (f"{CLASS}E = ExtensionSpec(hooks=Hooks())\ndef helper(ctx):\n    pass\n", []),
        ("@hookimpl\ndef log_metrics(ctx):\n    pass\ndef plot_data(ax, values):\n    pass\n", []),
        (
            "@hookimpl\ndef log_metrics(ctx):\n    pass\ndef plot_data(ctx):\n    pass\n",
            ["write @hookimpl above the function plot_data"],
        ),
        (
            f"{CLASS}@hookimpl\ndef log_metrics(ctx):\n    pass\n",
            ["add a line at the end: EXTENSION = ExtensionSpec(hooks=Hooks())"],
        ),
        (
            f"{CLASS}E = ExtensionSpec(hooks=Hooks())\n@hookimpl\ndef log_metrics(ctx):\n    pass\n",
            ["move the function log_metrics into the class of the ExtensionSpec; only that is used"],
        ),
        (
            (
                f"{CLASS}class More(Hooks):\n    def callbacks(self, ctx):\n        return {{}}\n"
                "    @hookimpl\n    def log_metrics(self, ctx):\n        pass\n"
                "E = ExtensionSpec(hooks=More)\n"
            ),
            ["write @hookimpl above the function callbacks"],
        ),
        (
            f"{CLASS}A = ExtensionSpec(hooks=Hooks())\nB = ExtensionSpec(hooks=Hooks())\n",
            ["move the hooks of B into a separate file: only the first ExtensionSpec of a file is used"],
        ),
    ],
)
def test_a_part_that_has_no_effect_is_reported(file: Path, code: str, fixes: list[str]) -> None:
    file.write_text(HEAD + code, encoding="utf-8")
    chain = Registry.installed().chain("one", [str(file)])
    assert [p.fix for p in chain.notices] == fixes
    assert {p.message for p in chain.notices} <= {f"a part of extension 'mine' from {file} has no effect."}


def test_an_installed_extension_without_a_hook_is_refused(installed: Callable[..., Path], file: Path) -> None:
    installed("q", extensions={"idle": "idle:HOOKS"}, modules={"idle": "class Hooks:\n    pass\nHOOKS = Hooks()\n"})
    with pytest.raises(PluginError, match=r"extension 'idle' from q 1\.0 implements no hook"):
        Registry.installed().chain("one", ["idle"])

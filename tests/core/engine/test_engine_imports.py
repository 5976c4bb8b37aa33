"""What the host imports, names and assigns to: its borders, checked by reading and by running it."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tests.support.command import ROOT, process, python
from trainer_host.base.errors import ExitCode
from trainer_host.plugin.hookspecs import HOOKS
from trainer_host.version import ENGINE_WINDOW

CORE = ROOT / "core" / "trainer_host"
SOURCES = sorted(p for folder in ("core", "plugins") for p in (ROOT / folder).rglob("*.py"))
HEAVY = ("torch", "ultralytics", "numpy", "cv2", "matplotlib", "torchvision")
SHOW = "import sys; print(*sorted({n.partition('.')[0] for n in sys.modules}))"


def modules_after(code: str, tmp_path: Path) -> set[str]:
    return set(python(f"{code}\n{SHOW}", cwd=tmp_path).splitlines()[-1].split())


def calling(*words: str) -> str:
    return f"from trainer_host.cli.main import guarded\nassert guarded({list(words)!r}) == 0"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["plugins"], ["plugins", "--json"]])
def test_light_commands_import_no_engine_and_no_plugin(tmp_path: Path, words: list[str]) -> None:
    found = modules_after(calling(*words), tmp_path)
    assert "trainer_host" in found
    assert found.isdisjoint({*HEAVY, "trainer_pose", "trainer_detect", "rich", "pydantic"})


@pytest.mark.parametrize("name", ["trainer_host", "trainer_pose", "trainer_detect", "trainer_pose.task"])
def test_light_imports_import_no_engine(tmp_path: Path, name: str) -> None:
    assert modules_after(f"import {name}", tmp_path).isdisjoint({*HEAVY, "pydantic", "rich"})


def test_showing_a_plugin_imports_its_chain_alone(tmp_path: Path) -> None:
    found = modules_after(calling("plugins", "show", "detect"), tmp_path)
    assert "trainer_detect" in found
    assert found.isdisjoint({*HEAVY, "trainer_pose"})


def test_a_run_that_is_refused_does_not_load_the_compiler(tmp_path: Path) -> None:
    code = "from trainer_host.cli.main import guarded\nassert guarded(['run', '--task', 'none-such']) == 5"
    assert python(f"{code}\nimport sys\nprint('torch._dynamo' in sys.modules)", cwd=tmp_path).strip() == "False"


def test_importing_the_host_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, warnings, logging\n"
        "def state(): return (dict(os.environ), os.getcwd(), sys.stdout, sys.path[:], signal.getsignal(2),\n"
        "    warnings.filters[:], logging.root.handlers[:], logging.root.level)\n"
        "before = state()\nimport trainer_host, trainer_pose.task\nprint(before == state())"
    )
    assert python(code, cwd=tmp_path).strip() == "True"


# Names

FORBIDDEN = {"pose", "poses", "kpt", "kpts", "keypoint", "keypoints"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the words of all names, strings and comments, split at capitals and at whatever is no letter."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        for word in WORD.findall(token.string):
            yield token.start[0], word.lower()


def test_words_are_found_wherever_they_stand() -> None:
    source = (
        'class KptShape:\n    """A pose."""\n\n    keypoints = f"my_pose {poseidon}"  # kpt\n    purpose = suppose\n'
    )
    assert [(line, word) for line, word in words_of(source) if word in FORBIDDEN] == [
        (1, "kpt"),
        (2, "pose"),
        (4, "keypoints"),
        (4, "pose"),
        (4, "kpt"),
    ]


def test_the_host_names_no_task() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in CORE.rglob("*.py")
        for line, word in words_of(path.read_text(encoding="utf-8"))
        if word in FORBIDDEN
    ]
    assert found == []


# Assignments

ALLOWED = {
    # Put back what a run changed.
    ("trainer_host/engine/process_state.py", "fill_uninitialized_memory"),
    ("trainer_host/engine/process_state.py", "deterministic"),
    ("trainer_host/engine/process_state.py", "benchmark"),
    ("trainer_host/engine/ultralytics/engine_globals.py", "default_act"),
    # The engine's log speaks to the reporter for the time of a run.
    ("trainer_host/engine/ultralytics/engine_log.py", "handlers"),
}
"""Attributes of torch and of the engine that may be assigned to: by file, the attribute's name."""

ENGINE = ("torch", "ultralytics", "torchvision")


class Patches(ast.NodeVisitor):
    """Finds assignments to attributes of whatever was imported from torch or the engine."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.found: list[tuple[int, str]] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.partition(".")[0] in ENGINE:
                self.names.add(alias.asname or alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").partition(".")[0] in ENGINE and not node.level:
            self.names |= {alias.asname or alias.name for alias in node.names}

    def foreign(self, node: ast.expr) -> bool:
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self.names

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.assigned(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.assigned(node.target, node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.assigned(node.target, None)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self.assigned(target, None)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self.assigned(node.optional_vars, None)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.assigned(node.target, None)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in {"setattr", "delattr", "__setattr__", "patch", "setitem"} and any(map(self.foreign, node.args[:1])):
            second = node.args[1] if len(node.args) > 1 else None
            self.found.append((node.lineno, str(second.value) if isinstance(second, ast.Constant) else "?"))
        self.generic_visit(node)

    def assigned(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self.assigned(each, None)
        elif isinstance(target, ast.Starred):
            self.assigned(target.value, None)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            if self.foreign(target):
                inner = target
                while isinstance(inner, ast.Subscript) and isinstance(inner.value, (ast.Attribute, ast.Subscript)):
                    inner = inner.value
                self.found.append((target.lineno, inner.attr if isinstance(inner, ast.Attribute) else "[]"))
        elif isinstance(target, ast.Name) and isinstance(value, (ast.Name, ast.Attribute)) and self.foreign(value):
            self.names.add(target.id)  # another name for the same object


def patches(source: str) -> list[tuple[int, str]]:
    finder = Patches()
    finder.visit(ast.parse(source))
    return finder.found


def test_every_way_to_patch_is_found() -> None:
    source = (
        "import torch, ultralytics.utils as u\nfrom ultralytics.nn import tasks as t\n"
        "torch.load = 1\nu.checks.check_x = 2\nt.Model.forward, x = 3, 4\nsetattr(torch.nn, 'Linear', 5)\n"
        "y = torch.backends\ny.cudnn.benchmark = True\ndel t.parse\nu.D['k'] = 6\nu.H[:] += [7]\n"
        "with open('f') as t.file: pass\nfor u.i in (): pass\n"
    )
    assert [name for _, name in patches(source)] == [
        *["load", "check_x", "forward", "Linear", "benchmark", "parse", "D", "H", "file", "i"]
    ]
    assert patches("import numpy\nnumpy.x = 1\nself.torch = 2\nz = torch_like()\nz.x = 3\n") == []


def test_nothing_of_torch_or_the_engine_is_assigned_to() -> None:
    found = set()
    for path in SOURCES:
        for line, name in patches(path.read_text(encoding="utf-8")):
            where = path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()
            if (where, name) not in ALLOWED:
                found.add(f"{where}:{line}: {name}")
    assert found == set()


def test_what_may_be_assigned_to_still_is() -> None:
    used = {
        (path.relative_to(ROOT / "core").as_posix(), name)
        for path in CORE.rglob("*.py")
        for _, name in patches(path.read_text(encoding="utf-8"))
    }
    assert used >= ALLOWED


# Layers, versions, documents


def test_the_layers_hold(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = process(tool, "--no-cache", "--config", ROOT / "pyproject.toml", cwd=ROOT)
    assert done.code == 0, done.out + done.err


def test_the_documents_name_every_hook_and_every_exit_code() -> None:
    reference = ROOT / "docs" / "reference"
    assert HOOKS.keys() - set(re.findall(r"\w+", (reference / "hooks.md").read_text(encoding="utf-8"))) == set()
    codes = (reference / "exit-codes.md").read_text(encoding="utf-8")
    missing = [
        c.name for c in ExitCode if not re.search(rf"\b{c.value}\b.*\b{c.name}\b|\b{c.name}\b.*\b{c.value}\b", codes)
    ]
    assert missing == []


def test_the_engines_bounds_are_the_same_in_both_places() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bounds = re.findall(r'^\s*"ultralytics\b([^"]*)",?$', project, re.MULTILINE)
    assert [SpecifierSet(b) for b in bounds] == [SpecifierSet(ENGINE_WINDOW)]

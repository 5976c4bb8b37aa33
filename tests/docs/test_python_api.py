"""The documented modules are all that others need: every type in a public signature is in one of them."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import dataclasses
import inspect
import string
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trainer_host.typing
from tests.docs.python_api import MODULES, PAGE, names, page
from trainer_host.cli.plugins_new import TEMPLATES
from trainer_host.plugin.hookspecs import HOOKS

PACKAGES = Path(__file__).parents[1] / "contract" / "packages"
KNOWN = {
    *vars(builtins),
    *typing.__all__,
    *collections.abc.__all__,
    "Path",
    "NDArray",
    "np",
    "torch",
    "pytest",
    "defaultdict",
}
"""Names of types that everybody has: of Python, numpy and torch."""
PRIVATE_TYPES = {
    *("T", "V", "D", "Bench", "Kind", "Chain", "HookManager", "Engine", "EngineModel", "ProcessGroup", "RunOptions"),
}
"""Type variables, a `Literal` that says itself, the workbench that the checks of the kit share, and what only the host
itself passes to or takes from the members of a public class."""


def public_callables() -> Iterator[tuple[str, Any]]:
    """Yield every function, method and class whose annotations others see, with its name."""
    yield from HOOKS.items()
    for name, value in names().items():
        if inspect.isroutine(value):
            yield name, value
        elif inspect.isclass(value):
            yield name, value
            members = {k: getattr(m, "__func__", getattr(m, "fget", m)) for k, m in vars(value).items()}
            for member, function in members.items():
                if inspect.isfunction(function) and (member == "__init__" or member[0] != "_"):
                    yield f"{name}.{member}", function


def identifiers(annotation: str) -> set[str]:
    """Return the first part of each name in an annotation, also of those in quotation marks."""
    nodes = list(ast.walk(ast.parse(annotation, mode="eval")))
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = {n.id for n in nodes if isinstance(n, ast.Name)}
    return found.union(*map(identifiers, texts)) if "Literal" not in found else found


def is_alias(name: str, value: Any) -> bool:
    """Return whether a name in an annotation stands for plain values, as a `Literal` does."""
    meaning = getattr(sys.modules[value.__module__], name, None)
    return typing.get_origin(meaning) is typing.Literal


def test_the_page_of_modules_is_that_of_the_sources() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs.python_api"


def test_each_public_name_is_there() -> None:
    assert all(value is not None for value in names().values())


@pytest.mark.parametrize("module", MODULES)
def test_a_name_that_is_not_public_is_an_attribute_error(module: str) -> None:
    found = sys.modules.get(module) or __import__(module, fromlist=["_"])
    assert not hasattr(found, "no_such_name")


def test_every_type_in_a_public_signature_can_be_imported_from_a_documented_module() -> None:
    documented = {name.rpartition(".")[2] for name in names()}
    unknown: dict[str, set[str]] = {}
    for name, value in public_callables():
        annotations = [str(a) for a in getattr(value, "__annotations__", {}).values() if isinstance(a, str)]
        if dataclasses.is_dataclass(value):
            annotations = [str(f.type) for f in dataclasses.fields(value) if not f.name.startswith("_")]
        used = set().union(*map(identifiers, annotations))
        missing = {n for n in used - documented - KNOWN - PRIVATE_TYPES if not is_alias(n, value) and n[0] != "_"}
        if missing:
            unknown[name] = missing
    assert unknown == {}


def imports_of(code: str) -> set[str]:
    """Return the modules of the host and its tasks that a source imports."""
    nodes = list(ast.walk(ast.parse(code)))
    found = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    found |= {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {m for m in found if m.partition(".")[0] in {"trainer_host", "trainer_detect", "trainer_pose"}}


def test_packages_and_templates_import_documented_modules_only() -> None:
    values = dict.fromkeys(("name", "base", "kind", "distribution", "module", "attribute"), "x")
    templates = {f: string.Template(f.read_text(encoding="utf-8")) for f in TEMPLATES.rglob("*.py.template")}
    sources = {f: t.safe_substitute(values) for f, t in templates.items()}
    sources |= {f: f.read_text(encoding="utf-8") for f in PACKAGES.rglob("*.py")}
    assert len(templates) >= 3
    allowed = {*MODULES, "trainer_host.testing.pytest_plugin"}
    assert {str(f): imports_of(code) - allowed for f, code in sources.items() if imports_of(code) - allowed} == {}


def test_what_packages_import_of_documented_modules_is_public() -> None:
    for file in PACKAGES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in MODULES:
                assert {a.name for a in node.names} <= set(sys.modules[node.module].__all__), file


def test_documented_modules_are_imported_without_torch_and_numpy() -> None:
    light = [m for m in MODULES if m != "trainer_host.testing"]  # its checks make datasets
    code = (
        f"import sys, {', '.join(light)}\nprint(sorted({{'torch', 'numpy', 'ultralytics', 'cv2'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_aliases_stand_for_types_of_torch_and_numpy() -> None:
    import numpy as np
    import torch

    assert eval(trainer_host.typing.Module) is torch.nn.Module
    assert eval(trainer_host.typing.Device) is torch.device
    assert eval(trainer_host.typing.Tensor) is torch.Tensor
    assert "np.uint8" in trainer_host.typing.Image and np.uint8


def test_the_types_of_the_example_packages_are_right() -> None:
    # One has no types on purpose, and one is a trainer class as people write them.
    untyped = {"trainer-first-hooks", "trainer-careful-pose", "trainer-albumentations"}
    packages = sorted(p for p in PACKAGES.iterdir() if p.name not in untyped)
    modules = [str(m) for p in packages for m in p.glob("trainer_*")]
    root = PAGE.parents[2]
    paths = [root / "core", root / "plugins/detect", root / "plugins/pose", *packages]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--allow-subclassing-any", "--explicit-package-bases", *modules]
    environment = {"MYPYPATH": ":".join(map(str, paths))}
    import os

    done = subprocess.run(mypy, capture_output=True, text=True, cwd=root, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout


ACTIONS = (
    *("build", "check", "compute", "draw", "evaluate", "finish", "load", "log", "plot", "postprocess", "preprocess"),
    *("annotate", "read", "set", "share", "sniff", "suggest"),
)
"""The verbs that names of hooks begin with."""
CONTRIBUTIONS = {
    *("augmentations", "callbacks", "histograms", "launchers", "layers", "loss_terms", "metrics", "state_dict"),
}


def test_names_of_hooks_follow_one_pattern() -> None:
    for name, spec in HOOKS.items():
        if name in CONTRIBUTIONS:
            assert not spec.trainer_host_spec["firstresult"], f"{name}: a noun is a hook that everybody answers"
        else:
            verb, _, noun = name.partition("_")
            assert verb in ACTIONS and noun, f"{name}: write a verb and its object, such as build_model"

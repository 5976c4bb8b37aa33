"""docs/reference/python-api.md below its mark: every documented module with its names.

Write it again with ``python -m tests.docs.python_api``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.hooks import cell
from tests.docs.hooks import places as described

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "python-api.md"
MARK = "<!-- Below: written by `python -m tests.docs.python_api` from the sources. -->\n"
MODULES = (
    *("trainer_host", "trainer_host.typing", "trainer_host.data", "trainer_host.ultralytics", "trainer_host.testing"),
    *("trainer_detect", "trainer_pose"),
)
"""The documented modules."""


def names() -> dict[str, Any]:
    """Return every documented name as ``module.name`` with its value."""
    modules = {name: importlib.import_module(name) for name in MODULES}
    return {
        f"{name}.{public}": getattr(module, public) for name, module in modules.items() for public in module.__all__
    }


def origin_of(module: ModuleType, name: str) -> tuple[ModuleType, str]:
    """Return the module that defines a name which another one re-exports, and its name there."""
    body = ast.parse(inspect.getsource(module))
    imports = [(n.module, a) for n in ast.walk(body) if isinstance(n, ast.ImportFrom) and n.module for a in n.names]
    origin, original = next(((m, a.name) for m, a in imports if name == (a.asname or a.name)), ("", name))
    return origin_of(importlib.import_module(origin), original) if origin else (module, original)


def constant(module: ModuleType, name: str) -> str:
    """Return the text below the assignment of a name, or else its value."""
    for node, text in pairwise(ast.parse(inspect.getsource(module)).body):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        found = {getattr(n, "id", None) for t in targets for n in ast.walk(t)}
        if name in found and isinstance(text, ast.Expr):
            return str(ast.literal_eval(text.value))
    value = getattr(module, name, None)
    return f"``{value!r}``" if isinstance(value, (int, str, tuple)) and len(repr(value)) < 60 else ""


def summary(module: ModuleType, name: str) -> str:
    """Return what a name is, in one sentence or two."""
    value = getattr(module, name)
    if inspect.isroutine(value) or (inspect.isclass(value) and value is not Any):
        return (inspect.getdoc(value) or "").split("\n\n")[0]
    return constant(*origin_of(module, name))


def kind(value: Any) -> str:
    """Return the kind of a public name."""
    if inspect.isclass(value) and value is not Any:
        ending = "error" if issubclass(value, Exception) else "class"
        return "protocol" if getattr(value, "_is_protocol", False) else ending
    return "function" if inspect.isroutine(value) else "value"


def rows(name: str) -> Iterator[str]:
    """Yield the section of a module."""
    module = importlib.import_module(name)
    anchors = described()
    yield f"## {name}\n"
    yield " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split()).replace("``", "`") + "\n"
    yield "| Name | Kind | Content |\n| --- | --- | --- |"
    for public in module.__all__:
        value = getattr(module, public)
        of = "type" if name == "trainer_host.typing" and kind(value) == "value" else kind(value)
        linked = public in anchors and name.startswith("trainer_host")
        shown = f"[`{public}`](hooks.md#{anchors[public]})" if linked else f"`{public}`"
        text = cell(summary(module, public)).replace("](#", "](hooks.md#")
        yield f"| {shown} | {of} | {text} |"
    yield ""


def page() -> str:
    """Return the page: the part written by hand, and the generated one."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return f"{head}{MARK}\n" + "\n".join(line for name in MODULES for line in rows(name)).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

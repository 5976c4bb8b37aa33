"""No modules of the host import each other in a circle, not even for types."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import trainer_host
from tests.support.command import ROOT

CORE = ROOT / "core"
TRAINER = "trainer_host.engine.ultralytics.host_trainer"
"""Its methods that re-implement the engine's are functions in modules of their own, which name its type."""


def modules() -> dict[str, Path]:
    """Return the files of the host's modules by their names."""
    found = {}
    for path in (CORE / trainer_host.__name__).rglob("*.py"):
        parts = path.relative_to(CORE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the host that a file imports, at any depth and under any condition."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (member if member in known else str(node.module) for member in members)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that are part of a circle, or lie between two; none if there is no circle."""
    left = dict(graph)
    while ends := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ends:
            del left[name]
    while starts := [name for name in left if not any(name in needs for needs in left.values())]:
        for name in starts:
            del left[name]
    return sorted(left)


def test_circles_are_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"start": {"a"}, "a": {"b"}, "b": {"a", "end"}, "end": set()}) == ["a", "b"]


def test_no_modules_import_each_other() -> None:
    known = modules()
    graph = {name: set(imported(path, known)) - {name} for name, path in known.items()}
    assert len(graph) > 100
    assert graph[TRAINER]
    graph = {name: needs - {TRAINER} for name, needs in graph.items()}
    assert circle(graph) == []

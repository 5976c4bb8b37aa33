"""What the watched definitions of the engine use of it in turn: one step, found by reading."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.engines.watch_list import WATCHED
from trainer_host.engine.ultralytics.engine_settings import engine_folder

Place = tuple[str, str]
"""A file of the engine, and a name that it defines."""


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((engine_folder() / file).read_text(encoding="utf-8"))


@cache
def _defined(file: str) -> dict[str, ast.stmt]:
    """Return the definitions of a module by name: functions, classes and constants."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(file).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            found |= {n.id: node for n in names if isinstance(n.ctx, ast.Store)}
    return found


@cache
def _imported(file: str) -> dict[str, str]:
    """Return the dotted names that a module imports from the engine, by the names that it gives them."""
    package = ["ultralytics", *Path(file).parent.parts]
    found: dict[str, str] = {}
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            if module.startswith("ultralytics"):
                found |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
    return found


def _file_of(module: str) -> str | None:
    parts = Path(*module.split(".")[1:])
    for file in (parts.with_suffix(".py") if parts.name else None, parts / "__init__.py"):
        if file is not None and (engine_folder() / file).is_file():
            return file.as_posix()
    return None


def _place(file: str, name: str) -> Place | None:
    """Return where the engine defines what a module calls ``name``; None for what is not the engine's."""
    if name in _defined(file):
        return file, name
    module, _, last = _imported(file).get(name, "").rpartition(".")
    source = _file_of(module) if module else None
    return _place(source, last) if source is not None and source != file else None


def used_by_watched() -> dict[Place, set[str]]:
    """Return the definitions that watched ones use, each with the names of those that use it."""
    watched = {(file, name) for file, names in WATCHED.items() for name in names.split()}
    found: dict[Place, set[str]] = {}
    for file, name in watched:
        for node in ast.walk(_defined(file)[name]):
            place = None
            if isinstance(node, ast.Name):
                place = _place(file, node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = _file_of(_imported(file).get(node.value.id, ""))
                place = _place(module, node.attr) if module else None
            if place is not None and place not in watched:
                found.setdefault(place, set()).add(name)
    return found

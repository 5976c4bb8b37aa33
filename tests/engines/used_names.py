"""The names that our sources take from the engine, found by walking their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ENGINE = "ultralytics"
BY_NAME = frozenset({"getattr", "own_or_engine"})
"""Functions that take the name of an attribute as their second argument."""


class Uses(ast.NodeVisitor):
    """Collects dotted names of the engine that a module uses.

    Attributes:
        found: The names, such as ``ultralytics.engine.trainer.BaseTrainer.validate``.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.found: set[str] = set()
        self.engine_bases: list[list[str]] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.partition(".")[0] == ENGINE:
                self.known[alias.asname or ENGINE] = alias.name if alias.asname else ENGINE
                self.found.add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if module.partition(".")[0] == ENGINE and not node.level:
            for alias in node.names:
                self.known[alias.asname or alias.name] = name = f"{module}.{alias.name}"
                self.found.add(name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.engine_bases.append([name for base in node.bases if (name := self._dotted(base))])
        self.generic_visit(node)
        self.engine_bases.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if name := self._dotted(node):
            self.found.add(name)
        elif _is_super(node.value) and self.engine_bases and len(self.engine_bases[-1]) == 1:
            self.found.add(f"{self.engine_bases[-1][0]}.{node.attr}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        first, *others = [*node.args, None]
        if called == "import_module" and isinstance(first, ast.Constant) and str(first.value).startswith(ENGINE):
            self.found.add(str(first.value))
        if called in BY_NAME and isinstance(others[0], ast.Constant):
            # The classes of a task's trainer are the only ones whose methods are looked up by a function of ours.
            base = self.known.get("Engine") if called == "own_or_engine" else self._dotted(first) if first else None
            if base:
                self.found.add(f"{base}.{others[0].value}")
        self.generic_visit(node)

    def _dotted(self, node: ast.expr | None) -> str | None:
        """Return the engine's name that an expression such as ``Engine.validate`` stands for."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute) and (base := self._dotted(node.value)):
            return f"{base}.{node.attr}"
        return None


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def names_of(source: str) -> set[str]:
    """Return the engine's names that a module uses."""
    uses = Uses()
    uses.visit(ast.parse(source))
    return uses.found


def used_names(folders: Iterable[Path]) -> list[str]:
    """Return the engine's names that the sources in folders use."""
    found: set[str] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            found |= names_of(path.read_text(encoding="utf-8"))
    return sorted(found)


def by_file(names: Iterable[str], root: Path) -> dict[str, list[str]]:
    """Return the names that each file of the engine has to have: modules alone, and the first name below each."""
    found: dict[str, set[str]] = {}
    for name in names:
        file, rest = _split(name, root)
        found.setdefault(file, set()).update(rest[:1])
    return {file: sorted(wanted) for file, wanted in sorted(found.items())}


def _split(name: str, root: Path) -> tuple[str, list[str]]:
    """Return the file of the module that a dotted name begins with, and the rest of the name."""
    folder, parts = Path(), name.split(".")[1:]
    while parts and (root / folder / parts[0] / "__init__.py").is_file():
        folder /= parts.pop(0)
    if parts and (root / folder / f"{parts[0]}.py").is_file():
        return (folder / f"{parts[0]}.py").as_posix(), parts[1:]
    return (folder / "__init__.py").as_posix(), parts


def missing_names(names: Iterable[str]) -> Iterator[str]:
    """Yield the names that the engine which can be imported here does not have."""
    import importlib

    for name in names:
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found: object = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                found = getattr(found, part, missing_names)
            if found is missing_names:
                yield name
            break
        else:
            yield name

"""Hashes of source code by its syntax tree: comments, layout and docstrings do not count."""

from __future__ import annotations

import ast
import hashlib
import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

LENGTH = 12
"""Hexadecimal digits of a hash: far more than a few thousand functions need to differ."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)
IGNORED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields of a syntax tree that mean nothing at run time."""


def digest(data: bytes) -> str:
    """Return the hash of bytes."""
    return hashlib.sha256(data).hexdigest()[:LENGTH]


def definitions(source: str, wanted: Iterable[str]) -> dict[str, str]:
    """Return the hashes of top-level names of a module.

    A class has an entry for each method, ``Class.method``, and one under its own name for everything else: its bases,
    its attributes and the names of its methods, since a new method of a subclass may override something.

    Args:
        source: The source code.
        wanted: Functions, classes and constants. Missing ones are skipped.
    """
    names, found = set(wanted), {}
    for node in ast.parse(source).body:
        for name in names.intersection(_bound_by(node)):
            if not isinstance(node, ast.ClassDef):
                found[name] = _hash(node)
                continue
            methods = [m for m in node.body if isinstance(m, FUNCTIONS)]
            found |= {f"{name}.{m.name}": _hash(m) for m in methods}
            node.body = [m for m in node.body if not isinstance(m, FUNCTIONS)]
            found[name] = digest(f"{_hash(node)} {[m.name for m in methods]}".encode())
    return found


def settings(source: str) -> dict[str, str]:
    """Return the hashes of the top-level keys of a YAML file."""
    return {str(key): digest(json.dumps(value).encode()) for key, value in (yaml.safe_load(source) or {}).items()}


def bound_names(source: str) -> set[str]:
    """Return the names that a module binds, also within ``if`` and ``try``."""
    found: set[str] = set()
    pending: list[ast.AST] = list(ast.parse(source).body)
    while pending:
        node = pending.pop()
        found |= _bound_by(node)
        if isinstance(node, COMPOUND):
            pending += ast.iter_child_nodes(node)
    return found


def _bound_by(node: ast.AST) -> set[str]:
    """Return the names that one statement binds."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _hash(node: ast.AST) -> str:
    pieces: list[str] = []
    _write(node, pieces)
    return digest("".join(pieces).encode())


def _write(node: Any, pieces: list[str]) -> None:
    """Write a syntax tree as text.

    Not `ast.dump`, whose form depends on the release of Python. Empty fields are skipped for the same reason: later
    releases have more of them.
    """
    if isinstance(node, list):
        for item in node:
            _write(item, pieces)
        pieces.append(";")
    elif isinstance(node, ast.AST):
        pieces.append(f"({type(node).__name__}")
        for field in node._fields:
            value = getattr(node, field, None)
            if field == "body" and isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                value = _without_docstring(node.body)
            if field not in IGNORED and value is not None and value != []:
                pieces.append(f" {field}=")
                _write(value, pieces)
        pieces.append(")")
    else:
        pieces.append(repr(node))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if documented and isinstance(first.value.value, str) else body  # type: ignore[union-attr]

"""Packages as an installer leaves them, written without one."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def write_package(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tasks: Mapping[str, str] | None = None,
    extensions: Mapping[str, str] | None = None,
    requires: Iterable[str] = (),
    metadata: str | None = None,
    entry_points: str | bytes | None = None,
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Write what an installer leaves of a package: metadata, entry points, and its modules. Return ``folder``."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(metadata)
    if entry_points is None:
        groups = {"trainer_host.tasks": tasks or {}, "trainer_host.plugins": extensions or {}}
        entry_points = "".join(
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()
        )
    (info / "entry_points.txt").write_bytes(entry_points if isinstance(entry_points, bytes) else entry_points.encode())
    for module, code in (modules or {}).items():
        (folder / f"{module}.py").write_text(code)
    importlib.invalidate_caches()
    return folder


def project_of(source: Path) -> dict[str, Any]:
    """Return what the source of a package says of itself."""
    found: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def copy_package(source: Path, folder: Path) -> Path:
    """Write what an installer leaves of the source of a package, next to others. Return ``folder``."""
    project = project_of(source)
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    requires = project["dependencies"]
    write_package(folder, project["name"], project["version"], requires=requires, entry_points="".join(groups))
    for module in source.glob("trainer_*"):
        shutil.copytree(module, folder / module.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder

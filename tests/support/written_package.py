"""Packages as an installer leaves them, written without one."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path


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

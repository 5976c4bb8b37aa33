"""The data that `release_window` compares an engine with: hashes of the tested releases, and the names in use."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.engines.used_names import by_file, used_names
from tests.engines.watch_list import WATCHED, YAMLS
from tests.support.command import ROOT
from trainer_host.engine.ultralytics import reimplemented
from trainer_host.engine.ultralytics.reimplemented import REIMPLEMENTED, Reimplementation
from trainer_host.engine.ultralytics.release_window import KNOWN_SOURCES, hashes
from trainer_host.engine.ultralytics.source_hashes import digest

OUR_FOLDERS = (ROOT / "core", ROOT / "plugins")


def reimplementations() -> list[Reimplementation]:
    """Return the functions of the engine that the host re-implements."""
    for path in sorted(Path(reimplemented.__file__).parent.glob("[!_]*.py")):
        importlib.import_module(f"{reimplemented.__name__}.{path.stem}")
    return REIMPLEMENTED


def known_sources(roots: Mapping[str, Path]) -> dict[str, Any]:
    """Return the data for releases of the engine, given the folders of their packages, oldest first."""
    newest = [*roots.values()][-1]
    names = by_file(used_names(OUR_FOLDERS), newest)
    files = sorted({*WATCHED, *YAMLS, *names})
    return {
        "releases": [*roots],
        "reimplemented": sorted(r.name for r in reimplementations() if not r.partly),
        "names": {file: found for file, found in names.items() if found},
        "files": {file: _columns([_digest(root / file) for root in roots.values()]) for file in files},
        "watched": {file: _watched(file, roots) for file in (*WATCHED, *YAMLS)},
    }


def _watched(file: str, roots: Mapping[str, Path]) -> dict[str, Any]:
    wanted = dict.fromkeys(WATCHED.get(file, "").split())
    found = [hashes(root / file, wanted) for root in roots.values()]
    names = sorted({name for of_release in found for name in of_release})
    return {name: _columns([of_release.get(name) for of_release in found]) for name in names}


def _digest(path: Path) -> str | None:
    return digest(path.read_bytes()) if path.is_file() else None


def _columns(values: list[str | None]) -> Any:
    """Return one value for each release, or a single one that stands for all."""
    return values[0] if len(set(values)) == 1 and values[0] else values


def write(roots: Mapping[str, Path]) -> None:
    """Write the data into the package."""
    KNOWN_SOURCES.write_text(_text(known_sources(roots)), encoding="utf-8")


def _text(data: dict[str, Any]) -> str:
    """Return the data as JSON with one line for each name, so that a difference can be reviewed."""
    indented = json.dumps(data, indent=1)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), indented) + "\n"

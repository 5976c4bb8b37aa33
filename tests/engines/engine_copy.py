"""Copies of the installed engine with a few files changed; all others are links."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainer_host.engine.ultralytics.engine_settings import engine_folder

Edit = tuple[str, str]


def engine_copy(folder: Path, edits: Mapping[str, Edit], release: str = "8.4.191") -> Path:
    """Write an engine that calls itself ``release`` into a folder to import from, and return its package's folder.

    Args:
        folder: The folder that the package is written into.
        edits: Texts to replace by file: the old and the new one.
        release: The version that it says it has.
    """
    source, package = engine_folder(), folder / "ultralytics"
    changed = {Path(file): edit for file, edit in edits.items()}
    version = next(line for line in (source / "__init__.py").read_text().splitlines() if line.startswith("__version__"))
    changed[Path("__init__.py")] = (version, f'__version__ = "{release}"')
    _link(source, package, changed)
    return package


def _link(source: Path, target: Path, changed: Mapping[Path, Edit]) -> None:
    target.mkdir(parents=True)
    inner = {path.parts[0] for path in changed if len(path.parts) > 1}
    for entry in source.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.name in inner:
            below = {Path(*p.parts[1:]): edit for p, edit in changed.items() if p.parts[0] == entry.name}
            _link(entry, target / entry.name, below)
        elif edit := changed.get(Path(entry.name)):
            text = entry.read_text(encoding="utf-8")
            assert edit[0] in text, (entry, edit[0])
            (target / entry.name).write_text(text.replace(*edit, 1), encoding="utf-8")
        else:
            (target / entry.name).symlink_to(entry)

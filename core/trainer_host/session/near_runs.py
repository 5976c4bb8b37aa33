"""Runs whose paths resemble one that does not exist."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem
from trainer_host.session.run_record import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.engine.protocol import Engine

MOST = 1000
"""Runs that are compared."""
SHOWN = 3
_DEPTHS = ("", "*/", "*/*/")


def near_runs(path: str) -> list[str]:
    """Return the paths of existing runs that resemble one that does not exist, the nearest first.

    A checkpoint or a record resembles the files of the same name, a folder the folders of runs. A name without a
    folder, such as ``best.pt``, resembles that file of any run, the newest first.

    Args:
        path: The path as it was given.
    """
    wanted = Path(path).expanduser()
    tail = Path(FILE) if wanted.name == FILE else Path("weights", wanted.name) if wanted.suffix == ".pt" else Path()
    try:
        found = {display_path(run / tail): run for run in _runs(wanted) if (run / tail).exists()}
        if wanted.parent == Path():
            named = [shown for shown, run in found.items() if tail != Path() or wanted.name in run.parts]
            return sorted(named, key=lambda shown: -found[shown].stat().st_mtime)[:SHOWN]
    except (OSError, ValueError):  # such as a folder that may not be read, or a name that is too long
        return []
    return get_close_matches(display_path(wanted.absolute()), found, n=SHOWN, cutoff=0.7)


def _runs(wanted: Path) -> Iterator[Path]:
    """Yield the folders of runs below ``runs``, and below the part of a path that exists."""
    there = next((folder for folder in wanted.absolute().parents if folder.is_dir()), Path.cwd())
    roots = dict.fromkeys([Path.cwd() / "runs", *([there] if there not in Path.cwd().parents else [])])
    seen: dict[Path, None] = {}
    for root in roots:
        for depth in _DEPTHS:
            for file in (*root.glob(depth + FILE), *root.glob(depth + "weights")):
                if file.parent not in seen and len(seen) < MOST:
                    seen[file.parent] = None
                    yield file.parent


def model_of_a_run(name: str, engine: Engine, key: str = "model") -> Problem | None:
    """Return the problem of a checkpoint that does not exist, if one of a run resembles it.

    Args:
        name: The checkpoint as it was given.
        engine: The engine.
        key: The setting that names it.
    """
    if not name.lower().endswith(".pt") or (problem := engine.missing_model(name)) is None or Path(name).exists():
        return None
    near = near_runs(name)
    return Problem(problem.message, f"write {key}={near[0]}") if near else None


def word_of_a_run(word: str, command: str) -> str | None:
    """Return what to write for a word of a command that is the folder of a run, or resembles one."""
    folder = Path(word)
    near = [word.rstrip("/")] if (folder / FILE).is_file() else [] if folder.exists() else near_runs(word)
    if not near:
        return None
    if near[0].endswith(".pt"):
        return f"write model={near[0]}"
    if command == "run":
        return f"to train it again, write trainer run {near[0]}/{FILE}; to go on with it, trainer resume {near[0]}"
    return f"write model={near[0]}/weights/best.pt" if command in {"val", "predict"} else None

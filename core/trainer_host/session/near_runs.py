"""Runs whose path resembles one that does not exist."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from trainer_host.base.atomic_io import display_path
from trainer_host.session.run_record import FILE


def near_runs(path: Path, limit: int = 3) -> list[str]:
    """Return existing runs whose names resemble a wrong path, as one types them here, the most similar first.

    They lie next to the path, or below ``runs``.

    Args:
        path: The path that was given: of a run, of its record, or of a checkpoint in it.
        limit: How many to return at most.
    """
    wanted = path.absolute()
    if wanted.parent.name == "weights":
        wanted = wanted.parent.parent
    elif wanted.name == FILE:
        wanted = wanted.parent
    runs = [one.parent for one in (*wanted.parent.glob(f"*/{FILE}"), *Path.cwd().glob(f"runs/*/*/{FILE}"))]
    close = get_close_matches(wanted.name, {run.name for run in runs}, limit)
    return list(dict.fromkeys(display_path(run) for name in close for run in runs if run.name == name))[:limit]

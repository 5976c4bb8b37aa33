"""Runs whose path resembles one that does not exist."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from trainer_host.base.atomic_io import display_path
from trainer_host.session.run_record import FILE


def near_runs(path: Path, limit: int = 3) -> list[str]:
    """Return the paths of existing runs that resemble a wrong path, as one types them here, the most similar first.

    Args:
        path: The path that was given.
        limit: How many to return at most.
    """
    runs = {display_path(record.parent.absolute()) for base in _around(path) for record in base}
    wanted = display_path(path.absolute())
    close = get_close_matches(wanted, sorted(runs), limit, cutoff=0.7)
    named = [run for run in sorted(runs) if Path(run).name == path.name]  # in another project, or of another task
    return list(dict.fromkeys([*close, *named]))[:limit]


def _around(path: Path) -> list[list[Path]]:
    """Return the records of the runs next to a path, and of those below the working folder."""
    return [list(path.absolute().parent.glob(f"*/{FILE}")), list(Path.cwd().glob(f"runs/*/*/{FILE}"))]

"""Runs found by what a user gives: a path of one, or nothing but the wish to go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.request import part_of
from trainer_host.base.wording import counted
from trainer_host.session.near_runs import near_runs
from trainer_host.session.run_folders import project_folder
from trainer_host.session.run_record import DONE, FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request

MOST_NAMED = 3
"""Runs that a message names."""


def folder_of_run(run: str) -> Path:
    """Return the folder of a run that is named by it, by its record, or by a checkpoint in it.

    Raises:
        SettingsError: If no run is found.
    """
    path = Path(run).expanduser()
    if not path.exists():
        raise SettingsError(Problem(f"run {run} not found.", _give(near_runs(run)[:1] or ["runs/TASK/train"])))
    candidates = [path] if path.is_dir() else [path.parent, path.parent.parent]
    for folder in candidates:
        if (folder / FILE).is_file():
            return folder.resolve()
    raise _not_a_run(run, path)


def _not_a_run(run: str, path: Path) -> SettingsError:
    folder = path if path.is_dir() else path.parent
    what = f"{run} is not part of a run that can be resumed: {FILE} not found in {display_path(folder.resolve())}."
    if path.suffix == ".pt":
        return SettingsError(Problem(what, f"to train from its weights, trainer run model={run}"))
    inside = [display_path(one.parent.resolve()) for one in _newest_first(folder.glob(f"*/{FILE}"))]
    return SettingsError(Problem(what, _give(inside[:MOST_NAMED] or near_runs(run)[:1])))


def _give(runs: Sequence[str]) -> str:
    return f"give the folder of a run{', such as ' if runs else ''}{', '.join(runs)}"


def latest_run(request: Request, reporter: Reporter) -> Path:
    """Return the folder of the latest run of a project and a task that is not finished, and say which it is.

    If all runs are finished, it is the latest of them.

    Raises:
        SettingsError: If no run is found.
    """
    values, runs = request.values, Path.cwd() / "runs"
    task = (request.options.task or "").rpartition(":")[2]
    tasks = [task] if task else [folder.name for folder in runs.glob("*")]
    bases = {project_folder(each, str(values.get("project") or "")) for each in tasks or ["*"]}
    found = _newest_first(path for base in bases for path in base.glob(f"{values.get('name') or '*'}/{FILE}"))
    where = display_path(bases.pop() if len(bases) == 1 else runs)
    if not found:
        raise SettingsError(Problem(f"no run to resume in {where}.", "give the run's folder: resume=DIR"))
    chosen = next(_unfinished(found), None)
    if chosen is None:
        reporter.note(f"resume=True: {_all_of(len(found))} in {where} {'is' if len(found) == 1 else 'are'} finished.")
    else:
        reporter.note(f"resume=True: {display_path(chosen)} is the latest run that is not finished.")
    return chosen or found[0].parent.resolve()


def _all_of(count: int) -> str:
    return "the only run" if count == 1 else f"all {counted(count, 'run')}"


def unfinished_runs(limit: int = MOST_NAMED) -> list[str]:
    """Return the runs below ``runs`` that can be resumed, as one types them here, the latest first.

    Args:
        limit: How many to return at most.
    """
    found = _unfinished(_newest_first(Path.cwd().glob(f"runs/*/*/{FILE}")))
    return [display_path(folder) for folder, _ in zip(found, range(limit), strict=False)]


def _newest_first(records: Iterable[Path]) -> list[Path]:
    return sorted(records, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _unfinished(records: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders of the runs that were begun and are not done."""
    for path in records:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        status = part_of(content, "record").get("status") if isinstance(content, dict) else None
        if status is not None and status != DONE:
            yield path.parent.resolve()

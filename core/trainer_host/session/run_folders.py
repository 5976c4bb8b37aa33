"""The folders of runs: claimed by making them, and held while a run lasts, so that two runs never share one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.base.folder_lock import FolderLock, clear_dead_lock
from trainer_host.base.temporaries import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter

MOST_RUNS = 100_000
MOST_SWEPT = 1000
"""Folders of earlier runs that are looked into."""


def claim_folder(task: str, settings: Mapping[str, Any], name: str = "train", made: list[Path] | None = None) -> Path:
    """Make the folder of a run, ``runs/TASK/NAME``, with a number behind it if the name is taken.

    A project that is a path, such as ``./here``, ``~/runs`` or ``/data/runs``, takes the place of ``runs/TASK``.

    Args:
        task: The task's name.
        settings: ``project``, ``name``, ``exist_ok`` and ``save_dir`` as the engine knows them.
        name: The default name.
        made: Takes the folders that were made, the innermost first.

    Raises:
        SettingsError: If the name leads out of the project's folder, or the project is that of an unknown user.
        StorageError: If the folder cannot be made.
    """
    if settings.get("save_dir"):
        return _make(Path(os.path.expanduser(str(settings["save_dir"]))).resolve(), True, made)  # noqa: PTH111
    base, wanted = _named(task, settings, name)
    _sweep_runs(base)
    if settings.get("exist_ok"):
        return _make((base / wanted).resolve(), True, made)
    for number in range(1, MOST_RUNS):
        folder = base / (wanted if number == 1 else f"{wanted}{number}")
        if not folder.exists():
            try:
                return _make(folder.resolve(), False, made)
            except FileExistsError:
                continue  # another run took it this moment
    raise SettingsError(Problem(f"there are {MOST_RUNS} runs named {wanted}.", "give another name=NAME"))


def wanted_folder(task: str, settings: Mapping[str, Any], if_exists: str | None = None) -> Path:
    """Return the folder that a run would have, without making it.

    Args:
        task: The task's name.
        settings: As for `claim_folder`.
        if_exists: How to handle a folder that exists; None or ``new`` for a number behind the name.

    Raises:
        SettingsError: If the name leads out of the project's folder, or the project is that of an unknown user.
    """
    if settings.get("save_dir"):
        return Path(os.path.expanduser(str(settings["save_dir"]))).resolve()  # noqa: PTH111
    base, wanted = _named(task, settings, "train")
    names = (wanted if number == 1 else f"{wanted}{number}" for number in range(1, MOST_RUNS))
    numbered = not settings.get("exist_ok") and if_exists in {None, "new"}
    folder = next((base / name for name in names if not (base / name).exists()), base) if numbered else base / wanted
    return folder.resolve()


def _named(task: str, settings: Mapping[str, Any], name: str) -> tuple[Path, str]:
    """Return the folder of the project, and the name in it."""
    base = project_folder(task, str(settings.get("project") or ""))
    wanted = str(settings.get("name") or name)
    if Path(wanted).name != wanted or wanted in {".", ".."}:
        raise SettingsError(Problem(f"name={wanted} is not a valid folder name.", _split(wanted)))
    return base, wanted


def claim_named_folder(task: str, settings: Mapping[str, Any], if_exists: str) -> tuple[Path, bool]:
    """Make the folder of a run under just the name that was given; return it, and whether it was made.

    Args:
        task: The task's name.
        settings: ``project``, ``name`` and ``save_dir`` as the engine knows them.
        if_exists: How to handle a folder that exists: ``resume`` or ``fail``.

    Raises:
        SettingsError: If there is no name, or if the folder exists and that is refused.
        StorageError: If the folder cannot be made.
    """
    if settings.get("save_dir"):
        folder = Path(os.path.expanduser(str(settings["save_dir"]))).resolve()  # noqa: PTH111
    elif settings.get("name"):
        base, wanted = _named(task, settings, "")
        _sweep_runs(base)
        folder = (base / wanted).resolve()
    else:
        raise SettingsError(Problem(f"--if-exists={if_exists} needs the name of a run.", "add name=NAME"))
    try:
        return _make(folder, False, None), True
    except FileExistsError:
        if if_exists == "resume" and folder.is_dir():
            return folder, False
    what = "the run's folder exists."
    raise SettingsError(Problem(what, "give another name=NAME, or add --if-exists=resume", str(folder)))


def project_folder(task: str, project: str) -> Path:
    """Return the folder of a project: a plain name is below ``runs/TASK``, a path is what it says."""
    path = Path(os.path.expanduser(project))  # noqa: PTH111 (which raises nothing for a user that does not exist)
    if str(path).startswith("~"):
        what = f"project={project}: unknown user {path.parts[0][1:]!r}."
        raise SettingsError(Problem(what, f"write project=~/runs, or project=./{project} for a folder of this name"))
    return Path.cwd() / path if is_path(project) else Path.cwd() / "runs" / task / path


def is_path(project: str) -> bool:
    """Return whether a project is given as a path: with a separator, ``.``, ``..``, or ``~``."""
    return project in {".", ".."} or project.startswith("~") or any(s in project for s in (os.sep, os.altsep) if s)


def _split(name: str) -> str:
    """Return how to write a path that was given as a name."""
    folder, last = os.path.split(name)
    if not last and folder and folder not in {".", ".."}:  # as completion in a shell leaves it
        return f"write name={folder}" if os.sep not in folder else _split(folder)
    if not folder or last in {"", ".", ".."}:
        return "write project=DIR with the folder of your runs"
    return f"write project={folder if is_path(folder) else f'./{folder}'} name={last}"


def hold_folder(folder: Path, reporter: Reporter) -> FolderLock:
    """Keep other runs out of a folder until the lock is released or the process ends.

    Raises:
        StorageError: If another run holds it.
    """
    return FolderLock(folder, reporter.warn)


def _sweep_runs(base: Path) -> None:
    """Remove what killed runs have left in the folders of a project: half a checkpoint may have a hundred megabytes."""
    try:
        runs = [entry for entry in os.scandir(base) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in runs[:MOST_SWEPT]:
        for folder in (Path(entry.path), Path(entry.path, "weights")):
            sweep(folder)
        clear_dead_lock(Path(entry.path))


def _make(folder: Path, exist_ok: bool, made: list[Path] | None) -> Path:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if exist_ok:
            raise StorageError(Problem("the run folder is a file.", "give another one", str(folder))) from None
        raise
    except OSError as error:
        fix = "give another folder with project=DIR"
        raise StorageError(Problem(f"cannot create the run folder: {error.strerror}.", fix, str(folder))) from error
    if made is not None:
        made += missing
    return folder

"""The limits of a settings file, which may come from somebody else, as a dataset does.

A file may set whatever a training needs. Running a Python file, fetching from an address, and writing over folders
elsewhere have to be asked for on the command line, or by the arguments of a call.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, UnsafeError
from trainer_host.base.request import part_of
from trainer_host.base.settings import is_file, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.base.request import Request

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""Beginning of an address; the engine takes one with a single slash too. One letter is a drive of Windows."""
FETCHED = (".ndjson",)
"""Datasets that are lists of addresses."""
OF_LAUNCHERS = {"slurm": ("setup", "sbatch"), "ray": ("address", "storage_path")}
"""Options of launchers with commands of a shell, files to write, and addresses to send the run to."""


def vetted(file_request: Request, asked: Request) -> Request:
    """Return the request of a settings file, with plugin files as the command writes them.

    Args:
        file_request: The request of the settings file.
        asked: The request of the command line or the call.

    Raises:
        UnsafeError: If the file asks for what only the user may ask for; all problems are reported.
    """
    file = file_request.file or Path()
    asked_plugins = [p for p in asked.options.plugins if isinstance(p, str)]
    named = {_real(p): p for p in asked_plugins if is_file(p)}
    switched_off = asked.off - {name_of(p) for p in asked_plugins}
    before = file_request.options.plugins
    plugins = [named.get(_real(p), p) if is_file(p) else p for p in before]
    foreign = [p for p in plugins if is_file(p) and p not in named.values() and name_of(p) not in switched_off]
    every = {**part_of(file_request.record, "defaults"), **file_request.values}
    own = {key: value for key, value in every.items() if key not in asked.settings}
    problems = [_plugin_file(p, file) for p in foreign]
    problems += _addresses(own, file)
    problems += _folders(own, {**own, **asked.values}, file)
    problems += _launching(file_request, asked, file)
    if problems:
        raise UnsafeError(*problems)
    options = dict(file_request.plugin_options)
    for one, after in zip(before, plugins, strict=True):
        if name_of(one) != name_of(after):  # the file names the same Python file by a link
            options[name_of(after)] = options.pop(name_of(one))
    renamed = replace(file_request, plugin_options=options)
    return renamed.with_options(plugins=tuple(plugins)) if plugins else renamed


def _real(path: str) -> str:
    """Return where a path leads to, from the working folder; one that cannot be a path stays as it is."""
    try:
        return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for unknown users
    except ValueError:
        return path


def _shown(path: str) -> str:
    """Return a path as a word of the command line."""
    here, real = os.path.realpath(Path.cwd()), _real(path)
    short = f"./{os.path.relpath(real, here)}" if real.startswith(os.path.join(here, "")) else real  # noqa: PTH118
    return shlex.quote(short)


def _plugin_file(plugin: str, file: Path) -> Problem:
    what = f"the settings file names the Python file {plugin}, which would be run."
    return Problem(what, f"if you trust it, add --plugin {_shown(plugin)}", str(file))


def _addresses(settings: dict[str, Any], file: Path) -> Iterator[Problem]:
    for key, value in settings.items():
        texts = list(_texts(value))
        remote = any(ADDRESS.search(t) for t in texts)
        if remote or (key == "data" and any(t.lower().endswith(FETCHED) for t in texts)):
            what = f"{key}: {value} would be fetched from a network, and only the settings file asks for it."
            yield Problem(what, f"if you trust it, add {shlex.quote(f'{key}={value}')}", str(file))


def _launching(file_request: Request, asked: Request, file: Path) -> Iterator[Problem]:
    """Yield the options of the launcher that the user has to name: the file may be somebody else's."""
    launcher = asked.options.launcher or ""
    values, named = (one.plugin_options.get(launcher, {}) for one in (file_request, asked))
    for key in OF_LAUNCHERS.get(launcher, ()):
        if values.get(key) and key not in named:
            word = f"{launcher}.{key}={_word(values[key])}"
            what = f"{word} is asked for by the settings file alone, and may run commands or send the run elsewhere."
            yield Problem(what, f"if you trust it, add {shlex.quote(word)}", str(file))


def _word(value: Any) -> str:
    """Return the value of an option as the command takes it."""
    one = isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], str)
    return str(value[0] if one else list(value) if isinstance(value, tuple) else value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(list(pair))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _folders(own: dict[str, Any], settings: dict[str, Any], file: Path) -> Iterator[Problem]:
    """Yield what the file wants to be written over outside of the working folder; a new folder may be anywhere."""
    keys = ["save_dir"] if settings.get("save_dir") else ["project"] if settings.get("exist_ok") else []
    keys += ["resume"] if isinstance(settings.get("resume"), str) else []
    here = os.path.join(os.path.realpath(Path.cwd()), "")  # noqa: PTH118
    for key in keys:
        value = own.get(key)
        if value and not f"{_real(str(value))}{os.sep}".startswith(here):
            what = f"{key}: {value} is outside of the working folder, and files there would be replaced."
            yield Problem(what, f"if you mean it, add {shlex.quote(f'{key}={value}')}", str(file))
        elif value and key == "save_dir" and _holds_files(Path(value)):
            what = f"save_dir: {value} is not empty, and its files would be replaced."
            fix = f"remove save_dir from the file; if you mean it, add {shlex.quote(f'save_dir={value}')}"
            yield Problem(what, fix, str(file))

"""The complete request of a command or call, and the plugins that it can use."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.request import from_environment, from_file
from trainer_host.base.settings import name_of
from trainer_host.plugin.discovery import OBJECT
from trainer_host.plugin.registry import Registry
from trainer_host.session.near_runs import near_runs
from trainer_host.session.settings_file_safety import vetted

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host.base.option_declaration import Origin
    from trainer_host.base.request import Request

OF_DATASET = frozenset({"data", "images", "bad", "split", "classes", "single_cls", "fraction"})
"""Settings and options on which it depends what is read of a dataset."""


def open_request(
    given: Request, door: Origin, task: Any = None, registry: Registry | None = None
) -> tuple[Request, Registry]:
    """Return what was given together with the environment and the settings file, and the registry of its plugins.

    Args:
        given: What the command line or the call gave.
        door: ``command`` or ``call``.
        task: A task that was given as an object.
        registry: The plugins to choose from; by default the installed ones.

    Raises:
        SettingsError: If the settings file cannot be read.
        UnsafeError: If the settings file asks for what only the user may ask for.
        PluginError: If an object is not a plugin.
    """
    request = given.over(from_environment(given.command, door))
    if request.options.settings_file is not None:
        _refuse_other_run(request.options.settings_file)
        file = from_file(request.options.settings_file, request.command)
        trusted = file if is_run_of_launcher(file) else vetted(file, request)
        request = _with_recorded_threads(request.over(replace(trusted, record=_repeated(file, request))))
    own = [*([] if task is None else [task]), *given.options.plugins]
    found = registry.without(request.off) if registry is not None else Registry.installed(request.off)
    registry, names = found.with_plugins(own)
    if task is not None:
        request = request.with_options(task=names[0])
    if own:
        named = {id(plugin): name for plugin, name in zip(own, names, strict=True)}
        plugins = dict.fromkeys(named.get(id(plugin), plugin) for plugin in request.options.plugins)
        request = request.with_options(plugins=tuple(plugins))
    refuse_absent_objects(request, {*names, given.options.task, *given.settings})
    return request, registry


def _refuse_other_run(path: Path) -> None:
    """Refuse the record of a run that does not exist, if that of another run resembles it.

    Raises:
        SettingsError: If one does.
    """
    if not path.exists() and path.parent != Path() and (near := near_runs(str(path))):
        raise SettingsError(Problem(f"settings file {path} not found.", f"write {near[0]}"))


def is_run_of_launcher(request: Request) -> bool:
    """Return whether a settings file is the run that a session has written for its ranks, and has vetted before."""
    rank = LaunchedRank.of(os.environ)
    return rank is not None and request.file is not None and request.file.absolute() == rank.run_file


def _repeated(file: Request, asked: Request) -> dict[str, Any]:
    """Return the record of a settings file without the parts that do not hold for what a user asks for.

    Args:
        file: The request of the settings file.
        asked: The request of the command line or the call.
    """
    kept = dict(file.record)
    if name_of(asked.options.task or "") not in {"", name_of(file.options.task or "")}:
        return {key: kept[key] for key in ("objects",) if key in kept}
    if asked.settings.keys() & OF_DATASET or asked.given.keys() & OF_DATASET:
        kept.pop("dataset", None)
    return kept


def _with_recorded_threads(request: Request) -> Request:
    """Return a request that uses the number of threads that a run found: sums depend on it."""
    threads, options = request.record.get("threads"), request.options
    fixed = options.threads is not None or options.exact or options.processes > 1  # these follow from the machine
    if fixed or not isinstance(threads, int) or threads < 1:
        return request
    return request.with_options(threads=threads)


def objects_of(registry: Registry) -> list[str]:
    """Return the names of the plugins that were given as objects."""
    return [record.name for record in registry.records if record.version == OBJECT]


def refuse_absent_objects(
    request: Request, present: Collection[str | None], call: str = "run(settings_file={file!r}"
) -> None:
    """Refuse the record of a run that had plugins or settings which no file can hold, unless they are given again.

    Args:
        request: The request that the record is part of.
        present: Names of the plugins and settings that are given as objects.
        call: The beginning of the call that gives them.

    Raises:
        SettingsError: If one is missing.
    """
    absent = {name: kind for name, kind in request.objects.items() if name not in present}
    named = {request.options.task, *request.options.plugins}
    problems = []
    for name, kind in absent.items():
        again = f"plugins=[{kind.rpartition('.')[2]}()]" if name in named else f"{name}=..."
        what = f"{name!r} was given to the run as an object of the class {kind}, which a file cannot store."
        fix = f"call trainer_host.{call.format(file=str(request.file))}, {again})"
        problems.append(Problem(what, fix, str(request.file)))
    if problems:
        raise SettingsError(*problems)

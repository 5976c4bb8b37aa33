"""The request of a run that is resumed: what the user asks for now, over what the run was."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path, plain
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.run_options import declared
from trainer_host.base.settings import VERBATIM, name_of, shown_value
from trainer_host.session.recorded_environment import Difference
from trainer_host.session.recorded_run import FOLDER_KEYS
from trainer_host.session.run_record import FILE
from trainer_host.session.run_search import folder_of_run, latest_run
from trainer_host.session.sample_dataset import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import GivenValue, Request
    from trainer_host.engine.protocol import Engine
    from trainer_host.session.recorded_run import RecordedRun

OPTIONS_OF_DOOR = frozenset({"task", "plugins", "no_plugins"})
"""Options that are compared by the names in them, not by their values."""


def split_resume(request: Request, reporter: Reporter) -> tuple[Request, Path | None]:
    """Return a request without its setting ``resume``, and the folder of the run that it names; None for a new run.

    Raises:
        SettingsError: If there is no such run.
    """
    one = request.settings.get("resume")
    rest = replace(request, settings={key: each for key, each in request.settings.items() if key != "resume"})
    if one is None or not one.value:
        return rest, None
    if one.value is True:
        return in_its_folder(rest), latest_run(rest, reporter)
    return rest, folder_of_run(str(one.value))


def in_its_folder(request: Request) -> Request:
    """Return a request without the settings that have chosen the run's folder."""
    return replace(request, settings={key: one for key, one in request.settings.items() if key not in FOLDER_KEYS})


def joined_request(
    asked: Request, run: RecordedRun, engine: Engine, problems: Sequence[Problem] = ()
) -> tuple[Request, list[Difference]]:
    """Return the request of a run that is resumed, and the settings that the user changes.

    Args:
        asked: What the user asks for now.
        run: The run.
        engine: Its engine.
        problems: Other problems of what the user asks for.

    Raises:
        SettingsError: If there are problems, or if a setting or an option cannot change; all of them are reported.
    """
    known, may_change = engine.settings.keys(), engine.settings.on_resume()
    absent = run.request.objects
    given = {key: one for key, one in asked.settings.items() if key not in {"resume", "exist_ok"}}
    recorded = run.request.values
    changed: list[Difference] = []
    found = list(problems)
    settings: dict[str, GivenValue] = {}
    for key, one in given.items():
        before = recorded.get(key, engine.settings.defaults().get(key))
        if key in absent:
            settings[key] = one
        elif _same(key, one.value, before, run, engine):
            continue
        elif key in may_change:
            settings[key] = one
            exactly = key == "workers" and run.request.options.exact
            changed.append(Difference(key, before, one.value, may_change[key] or exactly))
        elif key in known:
            found.append(_refused_setting(key, one, before, run))
    options, wrong = _options(asked, run)
    found += [*wrong, *_refused_plugin_options(asked, run)]
    if found:
        raise SettingsError(*found)
    return replace(asked, settings=settings, given=options).over(run.request), changed


def _same(key: str, value: Any, before: Any, run: RecordedRun, engine: Engine) -> bool:
    """Return whether a setting that is given again is the recorded one."""
    if plain(value) == plain(before):
        return True
    if not isinstance(value, (str, Path)) or not isinstance(before, str):
        return False
    text = str(value)
    if key == "data" and text.startswith(SAMPLE):
        return run.request.settings["data"].origin == "sample"
    if key in VERBATIM.union(engine.settings.model_keys):  # which the record has as absolute paths
        places = ",".join(str(Path(part).resolve()) for part in text.split(","))
        return places == before or (Path(text).name == text and Path(before).name == text)
    return False


def _refused_setting(key: str, one: GivenValue, before: Any, run: RecordedRun) -> Problem:
    what = f"{key}={shown_value(one.value)} cannot replace {key}={shown_value(before)} in a run that is resumed."
    if key in FOLDER_KEYS:
        return Problem(f"{what} It stays in its folder.", f"remove {key}=", one.where)
    return Problem(what, f"start a new run: {new_run(run, f'{key}={shown_value(one.value)}')}", one.where)


def new_run(run: RecordedRun, *words: str) -> str:
    """Return the command that starts a new run from the weights of a run."""
    weights = [f"model={shlex.quote(display_path(run.weights))}"] if run.weights else []
    if any(word.startswith("model=") for word in words):
        weights = []
    return shlex.join(["trainer", "run", display_path(run.folder / FILE)]) + "".join(
        f" {word}" for word in [*weights, *map(shlex.quote, words)]
    )


def _options(asked: Request, run: RecordedRun) -> tuple[dict[str, GivenValue], list[Problem]]:
    """Return the given options without those that the record has, and those that cannot change."""
    kept: dict[str, GivenValue] = {}
    problems: list[Problem] = []
    resumable = declared("resume")
    before = run.request.options
    for name, one in asked.given.items():
        option = declared()[name]
        if name in OPTIONS_OF_DOOR:
            problems += _other_names(name, one, run)
            kept[name] = one
        elif name in resumable or not option.recorded:
            kept[name] = one
        elif option.as_data(one.value) != option.as_data(getattr(before, name)):
            what = f"{option.written(option.as_data(one.value), one.origin)} cannot change in a run that is resumed"
            recorded = option.as_data(getattr(before, name)) or "not set"
            problems.append(Problem(f"{what} ({recorded} in its record).", f"start a new run: {new_run(run)}"))
    return {name: one for name, one in kept.items() if name != "task"}, problems


def _other_names(name: str, one: GivenValue, run: RecordedRun) -> Iterator[Problem]:
    """Yield a task or a plugin that the run does not have, or one of its plugins that is switched off."""
    options = run.request.options
    if name == "task":
        if name_of(one.value) != name_of(str(options.task)):
            yield Problem(f"the run's task is {options.task}, not {one.value}.", "remove the task", run.shown)
        return
    ours = {name_of(plugin) for plugin in options.plugins if isinstance(plugin, str)} | run.request.objects.keys()
    for plugin in one.value:
        if not isinstance(plugin, str):
            continue
        if name == "plugins" and name_of(plugin) not in ours:
            yield Problem(f"the run does not have the plugin {plugin!r}.", f"remove --plugin {plugin}", run.shown)
        if name == "no_plugins" and name_of(plugin) in ours:
            yield Problem(f"the run has the plugin {plugin!r}.", f"remove --no-plugin {plugin}", run.shown)


def _refused_plugin_options(asked: Request, run: RecordedRun) -> Iterator[Problem]:
    launcher = asked.options.launcher
    for plugin, values in asked.plugin_options.items():
        if launcher is not None and name_of(plugin) == name_of(launcher):
            continue  # how the processes are started is not part of the run
        recorded = run.request.plugin_options.get(plugin, {})
        for key, value in values.items():
            if plain(recorded.get(key)) != plain(value):
                what = f"{plugin}.{key}={shown_value(value)} cannot change in a run that is resumed."
                yield Problem(what, f"start a new run: {new_run(run, f'{plugin}.{key}={shown_value(value)}')}")


def more_epochs(asked: Request, run: RecordedRun, engine: Engine) -> int | None:
    """Return the number of epochs that was asked for if it is more than that of the run, else None.

    Raises:
        SettingsError: If it is less.
    """
    one = asked.settings.get("epochs")
    before = run.request.values.get("epochs", engine.settings.defaults().get("epochs"))
    if one is None or isinstance(one.value, bool) or not isinstance(one.value, int) or not isinstance(before, int):
        return None
    if one.value < before:
        what = f"epochs={one.value} is less than the {before} epochs of the run, which can only have more."
        raise SettingsError(Problem(what, f"remove epochs=, or start a new run: {new_run(run, f'epochs={one.value}')}"))
    return one.value if one.value > before else None

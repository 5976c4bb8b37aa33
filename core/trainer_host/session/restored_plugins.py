"""The plugins of a trained model, restored from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.settings import is_file, name_of
from trainer_host.engine.live_run import load_plugins
from trainer_host.plugin.discovery import FILE, OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


def restored_plugins(
    checkpoint: Checkpoint, request: Request, registry: Registry, reporter: Reporter
) -> tuple[Chain, Engine]:
    """Return the plugins that a model was trained with, and those that the user adds, and their engine.

    Raises:
        SettingsError: If neither the file nor the user names the task.
        PluginError: If a plugin that the model is made of is missing, or one that the user asks for.
    """
    given, path, record = request.options, checkpoint.path, checkpoint.record
    packages = _of_two_packages(record, registry)
    task = given.task or packages.get(checkpoint.task or "", checkpoint.task)
    if task is None:
        raise SettingsError(Problem(f"cannot infer the task from {path}.", "add --task NAME"))
    if given.task is None:
        reporter.note(f"Task: {task} (inferred from {path})")
    options = _options(checkpoint, request, task)
    again = {**packages, **{name_of(name): name for name in given.plugins}}
    installed = _installed_extensions(checkpoint, request, registry, options, reporter)
    extensions = [*(again.get(name, name) for name in installed), *given.plugins]
    try:
        chain, engine = load_plugins(registry, task, extensions, options)
    except PluginError as error:
        if lost := _lost_object(record, registry):
            what = f"{path} was trained for the task {lost!r}, which was given as an object."
            raise PluginError(Problem(what, "give it again from Python: plugins=[TASK]")) from error
        needs = _missing_distributions(record, registry)
        if needs and given.task is None:
            fix = f"The file needs: pip install {' '.join(needs)}"
            what = f"{path} was trained for the task {task!r}."
            raise PluginError(*error.problems, Problem(what, hint=fix)) from error
        raise
    for problem in chain.notices:
        reporter.warn(str(problem))
    return chain, engine


def _options(checkpoint: Checkpoint, request: Request, task: str) -> dict[str, dict[str, Any]]:
    """Return the options of the training, and over them those of the user."""
    from trainer_host.engine.checkpoint.record import options_of

    record = checkpoint.record
    ours = task.rpartition(":")[2] == record.get("task")  # options of another task's run mean something else
    options = {k: v for k, v in options_of(record).items() if k not in request.off} if ours else {}
    for name, values in request.plugin_options.items():
        options.setdefault(name, {}).update(values)
    return options


def _installed_extensions(
    checkpoint: Checkpoint, request: Request, registry: Registry, options: dict[str, Any], reporter: Reporter
) -> list[str]:
    """Return the extensions of the training that are installed; warn of the others, and drop their options."""
    from trainer_host.engine.checkpoint.record import extensions_of

    record = checkpoint.record
    files, objects = _given_as(FILE, record), _given_as(OBJECT, record)
    recorded = [name for name in extensions_of(record) if name not in request.off]
    available = {r.name for r in registry.available("extension")} | _of_two_packages(record, registry).keys()
    installed = available - files.keys()
    again = {name_of(name) for name in request.options.plugins}
    needs = record.get("needs") or []
    for name in dict.fromkeys(n for n in recorded if n not in installed | again):
        options.pop(name, None)
        # An extension that was trained with but is gone matters only if the model is made of it, and then building the
        # model reports it.
        if files.get(name) in needs or (name in objects and OBJECT in needs):
            continue
        if name in files:
            warning = f"plugin file {files[name]}; continuing without it. To use it: --plugin FILE"
        elif name in objects:
            warning = f"plugin {name!r}, given as an object; continuing without it. Fix: give it again: plugins=[...]"
        else:
            warning = f"plugin {name!r}, which is not installed; continuing without it."
        reporter.warn(f"{checkpoint.path} was trained with the {warning}")
    return [name for name in recorded if name in installed]


def _given_as(kind: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the plugins of a record that came from a file or as an object: names and distributions."""
    return {p["name"]: p["distribution"] for p in record.get("plugins", ()) if p.get("version") == kind}


def _lost_object(record: Mapping[str, Any], registry: Registry) -> str | None:
    """Return a task that was given as an object and is not now."""
    known = {r.name for r in registry.records}
    chain = record.get("chain", ())
    return next((name for name in _given_as(OBJECT, record) if name in chain and name not in known), None)


def _missing_distributions(record: Mapping[str, Any], registry: Registry) -> list[str]:
    """Return the distributions that the model needs and that are not installed."""
    needs = record.get("needs") or [p["distribution"] for p in record.get("plugins", ())]
    here = {OBJECT, *(r.distribution for r in registry.records)}
    return list(dict.fromkeys(name for name in needs if not is_file(name) and name not in here))


def _of_two_packages(record: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    """Return, for each plugin of the record whose name two packages bring, the name of the one that it was."""
    used = {(p["name"], p["distribution"]) for p in record.get("plugins", ())}
    conflicts = [r for r in registry.records if r.state == "conflict" and r.kind != "command"]
    return {r.name: f"{r.distribution}:{r.name}" for r in conflicts if (r.name, r.distribution) in used}

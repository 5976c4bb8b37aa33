"""The plugins of a trained model, restored from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.settings import is_file, name_of
from trainer_host.engine.factory import make_engine
from trainer_host.plugin.discovery import FILE, OBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


def restored_chain(checkpoint: Checkpoint, request: Request, registry: Registry, reporter: Reporter) -> Chain:
    """Return the plugins that a model was trained with, and those that the user adds.

    Raises:
        SettingsError: If neither the file nor the user names the task.
        PluginError: If a plugin that the model is made of is missing, or one that the user asks for.
    """
    from trainer_host.engine.checkpoint.record import extensions_of, options_of

    given, path, record = request.options, checkpoint.path, checkpoint.record
    chosen = _of_two_packages(record, registry)
    task = given.task or chosen.get(checkpoint.task or "", checkpoint.task)
    if task is None:
        raise SettingsError(Problem(f"cannot infer the task from {path}.", "add --task NAME"))
    if given.task is None:
        reporter.note(f"Task: {task} (inferred from {path})")
    ours = task.rpartition(":")[2] == record.get("task")  # options of another task's run mean something else
    options = {k: v for k, v in options_of(record).items() if k not in request.off} if ours else {}
    for name, values in request.plugin_options.items():
        options.setdefault(name, {}).update(values)
    installed = {r.name for r in registry.available("extension")} | chosen.keys()
    known = {r.name for r in registry.records}
    recorded = [name for name in extensions_of(record) if name not in request.off]
    files = {p["name"]: p["distribution"] for p in record.get("plugins", ()) if p.get("version") == FILE}
    objects = {p["name"] for p in record.get("plugins", ()) if p.get("version") == OBJECT}
    # An extension that was trained with but is gone matters only where the model is made of it.
    again = {name_of(name): name for name in given.plugins}
    missing = [name for name in recorded if name not in installed or name in files]
    needs = record.get("needs") or []
    for name in set(missing) - again.keys():
        options.pop(name, None)
        if files.get(name) in needs or (name in objects and OBJECT in needs):
            continue  # the model cannot be built without it, and the error says so
        if name in files:
            warning = f"plugin file {files[name]}; continuing without it. To use it: --plugin FILE"
        elif name in objects:
            warning = f"plugin {name!r}, given as an object; continuing without it. Fix: give it again: plugins=[...]"
        else:
            warning = f"plugin {name!r}, which is not installed; continuing without it."
        reporter.warn(f"{path} was trained with the {warning}")
    extensions = [*({**chosen, **again}.get(name, name) for name in recorded if name not in missing), *given.plugins]
    try:
        chain = registry.chain(task, extensions, options, make_engine().default_hooks())
    except PluginError as error:
        if lost := [name for name in objects.intersection(record.get("chain", ())) if name not in known]:
            what = f"{path} was trained for the task {lost[0]!r}, which was given as an object."
            raise PluginError(Problem(what, "give it again from Python: plugins=[TASK]")) from error
        needs = needs or [p["distribution"] for p in record.get("plugins", ())]
        here = {OBJECT, *(record.distribution for record in registry.records)}
        needs = [name for name in needs if not is_file(name) and name not in here]
        if needs and given.task is None:
            fix = f"The file needs: pip install {' '.join(dict.fromkeys(needs))}"
            raise PluginError(
                *error.problems, Problem(f"{path} was trained for the task {task!r}.", hint=fix)
            ) from error
        raise
    for problem in chain.notices:
        reporter.warn(str(problem))
    return chain


def _of_two_packages(record: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    """Return, for each plugin of the record whose name two packages bring, the name of the one that it was."""
    used = {(p["name"], p["distribution"]) for p in record.get("plugins", ())}
    conflicts = [r for r in registry.records if r.state == "conflict" and r.kind != "command"]
    return {r.name: f"{r.distribution}:{r.name}" for r in conflicts if (r.name, r.distribution) in used}

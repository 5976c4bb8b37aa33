"""Trained models: opening one with its plugins, and evaluating it."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.results import ValResult
from trainer_host.base.settings import is_file, name_of
from trainer_host.base.signals import StopRequest
from trainer_host.engine.error_translation import blamed, translated
from trainer_host.engine.factory import make_engine
from trainer_host.plugin.discovery import FILE, OBJECT
from trainer_host.session.resolution import unknown_of
from trainer_host.session.run_folders import claim_folder, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.protocol import Command, TrainedModel
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.resolution import Request


def val(request: Request, registry: Registry, reporter: Reporter) -> ValResult:
    """Measure a finished model, and return its metrics.

    Raises:
        TrainerError: For every cause that is expected.
    """
    engine = make_engine()
    with translated(), engine.preserved_state():
        stop = StopRequest(when="before the measurement was done")
        with engine.log(reporter, request.verbose), stop.listening(), ExitStack() as held:
            if problems := settings_problems(request, registry, "val"):
                raise SettingsError(*problems)
            model = open_model(request, registry, "val", reporter, held)
            with blamed(model.plan.chain.manager):
                metrics = model.validate()
            return ValResult(model.plan.chain.name, model.checkpoint.path, model.save_dir, metrics)


def open_model(
    request: Request, registry: Registry, mode: Command, reporter: Reporter, held: ExitStack, claim: bool = True
) -> TrainedModel:
    """Read a checkpoint and restore the chain that it was trained with.

    Args:
        request: The settings, in which `settings_problems` finds nothing wrong.
        registry: The plugins to choose from.
        mode: ``val`` or ``predict``.
        reporter: Who shows warnings.
        held: What keeps other runs out of the result folder until it is closed.
        claim: Whether to make a result folder.
    """
    from trainer_host.engine.checkpoint.reading import read_checkpoint
    from trainer_host.engine.plan import Plan

    given, engine = request.given, make_engine()
    settings = _known(given.settings)
    path = Path(engine.find_weights(str(given.settings["model"]), request.offline, None))
    if path.suffix.lower() != ".pt":
        inside = next((f for f in (path / "best.pt", path / "weights" / "best.pt") if f.is_file()), None)
        fix = f"Write model={inside}" if inside else f"Give a .pt file to {mode} with."
        raise SettingsError(Problem(f"{path} is {'a folder' if path.is_dir() else 'not a .pt file'}.", fix))
    checkpoint = read_checkpoint(path)
    chain = _restore(checkpoint.task, checkpoint.record, request, registry, reporter, path)
    for unused in engine.settings.unused(settings, mode, chain.engine_task)[1]:
        reporter.warn(str(unused))
    save_dir = Path.cwd()
    if claim:
        made: list[Path] = []
        save_dir = claim_folder(chain.name, settings, mode, made)
        held.push(_EmptyFolder(made, always=mode == "predict"))
        held.callback(hold_folder(save_dir, reporter).release)
    plan = Plan(chain, exact=request.exact, offline=request.offline, images=given.images)
    with blamed(chain.manager):
        return engine.trained_model(path, plan, settings, mode, save_dir)


def settings_problems(request: Request, registry: Registry, mode: Command) -> list[Problem]:
    """Return what is wrong with the settings of a command on a trained model, as far as they themselves say."""
    schema = make_engine().settings
    settings = _known(request.given.settings)
    unknown = unknown_of(request, registry, request.given.settings)
    problems = unknown + schema.invalid(settings, mode) + schema.unused(settings, mode, None)[0]
    if request.given.images and mode == "predict":
        problems.append(Problem("images= is not a setting of predict.", f"Write source={request.given.images[0]}"))
    if "model" not in request.given.settings and not is_meant("model", unknown):
        problems.append(Problem("no model is given.", "Write model=best.pt."))
    return problems


def is_meant(key: str, problems: Iterable[Problem]) -> bool:
    """Return whether a problem is that of a setting under another name, so that it need not be missed as well."""
    return any(str(p.fix).startswith((f"Write {key}=", f"Did you mean {key!r}?")) for p in problems)


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    keys = make_engine().settings.keys()
    return {k: v for k, v in settings.items() if k in keys and k != "source"}


class _EmptyFolder:
    """Removes a result folder in which nothing was written, with the folders above it that were made for it.

    Args:
        folders: The result folder and those above it.
        always: Whether to look after a success too.
    """

    def __init__(self, folders: Sequence[Path], always: bool) -> None:
        self.folders, self.always = folders, always

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or self.always:
            with suppress(OSError):  # not empty, so not ours alone
                for folder in self.folders:
                    folder.rmdir()


def _restore(
    told: str | None, record: dict[str, Any], request: Request, registry: Registry, reporter: Reporter, path: Path
) -> Chain:
    from trainer_host.engine.checkpoint.record import extensions_of, options_of

    given = request.given
    task = given.task or told
    if task is None:
        raise SettingsError(Problem(f"{path} does not say its task.", "Write --task NAME."))
    if given.task is None:
        reporter.note(f"Task: {task} (inferred from {path})")
    ours = task.rpartition(":")[2] == record.get("task")
    options = {k: v for k, v in options_of(record).items() if k not in request.off} if ours else {}
    for name, values in given.options.items():
        options.setdefault(name, {}).update(values)
    installed = {r.name for r in registry.available("extension")}
    known = {r.name for r in registry.records}
    recorded = [name for name in extensions_of(record) if name not in request.off]
    files = {p["name"]: p["distribution"] for p in record.get("plugins", ()) if p.get("version") == FILE}
    objects = {p["name"] for p in record.get("plugins", ()) if p.get("version") == OBJECT}
    # An extension that was trained with but is gone matters only where the model is made of it.
    again = {name_of(name) for name in given.plugins}
    missing = [name for name in recorded if name not in installed or name in files]
    needs = record.get("needs") or []
    for name in set(missing) - again:
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
    extensions = [name for name in recorded if name not in missing] + given.plugins
    try:
        chain = registry.chain(task, extensions, options, make_engine().default_hooks())
    except PluginError as error:
        if lost := [name for name in objects.intersection(record.get("chain", ())) if name not in known]:
            what = f"{path} was trained for the task {lost[0]!r}, which was given as an object."
            raise PluginError(Problem(what, "Give it again from Python: plugins=[TASK].")) from error
        needs = needs or [p["distribution"] for p in record.get("plugins", ())]
        here = {OBJECT, *(record.distribution for record in registry.records)}
        needs = [name for name in needs if not is_file(name) and name not in here]
        if needs and given.task is None:
            fix = f"The file needs: pip install {' '.join(dict.fromkeys(needs))}"
            raise PluginError(*error.problems, Problem(f"{path} was trained for the task {task!r}.", fix)) from error
        raise
    for problem in chain.notices:
        reporter.warn(str(problem))
    return chain

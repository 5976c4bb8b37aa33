"""From a request to a run: the task, its plugins, and every setting with its origin."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import plain
from trainer_host.base.errors import PluginCrashError, PluginError, Problem, SettingsError
from trainer_host.base.findings import DatasetError
from trainer_host.base.request import GivenValue, part_of
from trainer_host.base.run_options import recorded_part
from trainer_host.base.settings import name_of
from trainer_host.data.source_recognition import dataset_as_model
from trainer_host.engine.live_run import load_plugins, run_of_chain
from trainer_host.engine.protocol import LiveRun
from trainer_host.plugin.discovery import OBJECT
from trainer_host.plugin.plugin_loading import load_task
from trainer_host.plugin.plugin_spec import TaskSpec
from trainer_host.plugin.registry import Registry
from trainer_host.session.early_check import check_before_fetching
from trainer_host.session.near_runs import model_of_a_run
from trainer_host.session.recorded_environment import differences, report
from trainer_host.session.sample_dataset import SAMPLE, sample_dataset
from trainer_host.session.task_inference import refuse_other_data, task_of
from trainer_host.session.unused_options import unused_options
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain


def resolve(request: Request, registry: Registry, reporter: Reporter, engine: Engine) -> LiveRun:
    """Return the run that a request asks for, with every problem of the settings in one report.

    Args:
        request: What was given.
        registry: The plugins to choose from.
        reporter: Shows notes and warnings.
        engine: Infers the task if none is named; the run has the engine of its task.

    Raises:
        SettingsError: If settings are wrong.
        PluginError: If a plugin cannot be used.
        DatasetError: If ``data`` is not a dataset.
        UnsafeError: If something would be fetched, and the run is offline.
    """
    options = request.options
    swap = dataset_as_model(request.values.get("model"), request.values.get("data"))
    if swap is not None:  # the swapped values would make a wrong task of it
        raise SettingsError(swap, *setting_problems(request, registry, engine))
    chain, failed = None, None
    try:
        inferred = task_of(request, registry, reporter, engine)
        chain, engine = load_plugins(registry, inferred.name, options.plugins, request.plugin_options)
        refuse_other_data(chain, request.values.get("data"), inferred, engine)
    except PluginCrashError:  # its traceback is worth more than a complete report
        raise
    except (SettingsError, DatasetError, PluginError) as error:
        failed = error
    problems = [*setting_problems(request, registry, engine), *_untested(request, reporter, engine)]
    settings = _known(request, engine)
    refused, unused = engine.settings.unused(settings, "run", chain.engine_task if chain else None, request.where)
    problems += refused
    if refused and "cfg" in settings and "model" not in settings:
        failed = None  # what to write instead names the task
    if failed is not None and not problems:
        raise failed
    if failed is not None or problems or chain is None:  # those of the settings come first
        raise SettingsError(*problems, *(failed.problems if failed is not None else ()))
    for problem in (*unused, *unused_options(request, engine), *chain.notices):
        reporter.warn(str(problem))
    if options.offline:
        engine.refuse_remote_trackers(options.trackers)
    chosen = _with_data(request, chain, registry, reporter)
    for key, suited in _settings_of_chain(chain, engine).items():
        if key not in part_of(request.record, "defaults"):
            chosen.setdefault(key, suited)
    check_before_fetching(chosen, request, chain, engine)
    run = _run(request, chain, _with_weights(chosen, request, chain, engine), engine)
    _refuse_early(run, engine, reporter)
    return run


def _refuse_early(run: LiveRun, engine: Engine, reporter: Reporter) -> None:
    """Refuse what can be refused before the dataset is read, which may take minutes.

    Raises:
        SettingsError: If the model cannot be built, or if an exact run is made again in another environment.
    """
    if run.options.exact:  # any other run warns once, when its dataset is compared too
        report(differences(run), run, reporter)
    if problems := engine.model_problems(run):
        raise SettingsError(*problems)


def load_run(resolved: ResolvedRun, registry: Registry | None = None) -> LiveRun:
    """Return a run that another process has resolved, with its plugins loaded.

    ``load_run(ResolvedRun.read("run.yaml"))`` is the same run in this process: the same settings, the same plugins in
    the same order, and the same engine, whose ``training`` carries it out. ``resolved.model_copy(update={"settings":
    ...})`` is a run that differs, such as in the name of its folder.

    Args:
        resolved: The run.
        registry: The plugins to choose from; by default the installed ones.

    Raises:
        PluginError: If a plugin cannot be used.
        SettingsError: If an option of a plugin is not valid.
    """
    registry = registry or Registry.installed(resolved.options.no_plugins)
    options = {name_of(name): values for name, values in resolved.plugins.items()}
    tasks = {record.name for record, _ in registry.task_chain(resolved.task)}
    extensions = [name for name in resolved.plugins if name not in tasks]
    chain, engine = load_plugins(registry, resolved.task, extensions, options)
    defaults = _defaults(resolved.defaults, resolved.settings, engine)
    here = {"versions": _versions(engine), "used": chain.used, "defaults": defaults}
    return LiveRun(resolved.model_copy(update=here), chain, engine, repeats=resolved.record())


def _versions(engine: Engine) -> dict[str, Any]:
    return {"trainer-host": __version__, "python": platform.python_version(), **engine.versions()}


def _run(request: Request, chain: Chain, settings: Mapping[str, GivenValue], engine: Engine) -> LiveRun:
    """Return the run of settings that are complete."""
    objects = {m.record.name: _kind(m.spec) for m in chain.to_repeat if m.record.version == OBJECT}
    objects |= {key: _kind(one.value) for key, one in settings.items() if not _is_plain(one.value)}
    task = request.options.task or ""
    return run_of_chain(
        chain,
        engine,
        {key: one.value for key, one in settings.items()},
        recorded_part(request.options),
        task=task if ":" in task else chain.name,
        origins={key: one.origin for key, one in settings.items()},
        defaults=_defaults(part_of(request.record, "defaults"), settings, engine),
        versions=_versions(engine),
        objects=objects,
        repeats=request.record,
        file=request.file,
    )


def _kind(value: Any) -> str:
    kind = type(getattr(value, "hooks", value))
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_plain(value: Any) -> bool:
    """Return whether a file can hold a value."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or plain(value) is not None


def setting_problems(request: Request, registry: Registry, engine: Engine) -> list[Problem]:
    """Return what is wrong with the options and settings of a request, as far as they alone say it."""
    return [
        *request.problems,
        *unknown_of(request, registry, engine),
        *engine.settings.invalid(_known(request, engine), where=request.where),
        *engine.settings.invalid(_other_defaults(request, engine), where=lambda _: str(request.file)),
        *engine.tracker_problems(request.options.trackers),
    ]


def unknown_of(request: Request, registry: Registry, engine: Engine) -> list[Problem]:
    """Return a problem for each setting of a request that the engine does not have."""
    settings, schema = request.values, engine.settings
    if settings.keys() <= schema.keys():
        return []
    of_datasets: set[str] = set()
    for record in registry.available("task"):
        with suppress(PluginError):  # a broken plugin that nobody asked for stops nothing
            of_datasets.update(load_task(record).known_keys)
    return schema.unknown(settings, request.where, of_datasets)


def _known(request: Request, engine: Engine) -> dict[str, Any]:
    keys = engine.settings.keys()
    return {key: value for key, value in request.values.items() if key in keys}


def _defaults(recorded: Mapping[str, Any], chosen: Collection[str], engine: Engine) -> dict[str, Any]:
    """Return the settings that nobody chose, with the defaults of the run that is made again, else the engine's."""
    defaults = engine.settings.defaults()
    known = engine.settings.keys().intersection(defaults).difference(chosen)
    return {key: recorded.get(key, value) for key, value in defaults.items() if key in known}


def _other_defaults(request: Request, engine: Engine) -> dict[str, Any]:
    """Return the recorded defaults that are not those of this engine."""
    kept = _defaults(part_of(request.record, "defaults"), request.settings, engine)
    return {key: value for key, value in kept.items() if value != engine.settings.defaults()[key]}


def _untested(request: Request, reporter: Reporter, engine: Engine) -> list[Problem]:
    problem = engine.state().problem()
    if problem is None:
        return []
    if request.options.exact:
        return [Problem(f"--exact is refused: {problem.message}", problem.fix)]
    reporter.warn(str(problem))
    return []


def _settings_of_chain(chain: Chain, engine: Engine) -> dict[str, GivenValue]:
    """Return the settings that suit the task; a task's take precedence over its base's.

    Raises:
        PluginError: If the engine does not take one of them.
    """
    found: dict[str, GivenValue] = {}
    for member in chain.tasks:
        settings = dict(member.spec.settings) if isinstance(member.spec, TaskSpec) else {}
        wrong = engine.settings.unknown(settings)
        if problems := wrong or engine.settings.invalid(settings):
            who = f"task {member.record.name!r} from {member.record.origin}"
            raise PluginError(*(replace(p, message=f"{who} has wrong settings: {p.message}") for p in problems))
        found |= {key: GivenValue(value, "task") for key, value in settings.items()}
    return found


def _with_data(request: Request, chain: Chain, registry: Registry, reporter: Reporter) -> dict[str, GivenValue]:
    """Return the settings that were given, with the dataset or the model that they lack."""
    given = dict(request.settings)
    source = str(given["data"].value) if "data" in given and given["data"].value is not None else ""
    if not source or source.startswith(SAMPLE):
        name = source.removeprefix(SAMPLE) or chain.name
        data, suited = sample_dataset(name, chain, registry, reporter)
        given["data"] = GivenValue(data, "sample")
        return {**given, **{key: GivenValue(value, "sample") for key, value in suited.items() if key not in given}}
    default = chain.attribute("default_model")
    return {**given, "model": GivenValue(default, "task")} if default and "model" not in given else given


def _with_weights(
    settings: dict[str, GivenValue], request: Request, chain: Chain, engine: Engine
) -> dict[str, GivenValue]:
    """Return the settings with the paths of their models, which are fetched if they are published and missing."""
    found = dict(settings)
    for key in ("model", *engine.settings.model_keys):
        setting = settings.get(key)
        if setting is None or (key != "model" and not isinstance(setting.value, str)):
            continue  # a switch may stand in place of weights
        if problem := model_of_a_run(str(setting.value), engine, key):
            raise SettingsError(problem)
        scratch = chain.attribute("scratch_model") if key == "model" else None
        path = engine.find_weights(str(setting.value), request.options.offline, scratch)
        # The file is the same from every folder; a model that is an architecture may be the engine's own.
        anchored = str(Path(path).resolve()) if key != "model" and Path(path).is_file() else path
        found[key] = replace(setting, value=anchored)
        if path.lower().endswith(".pt"):
            engine.checkpoints.read(path)  # before any work, and for --dry-run
        elif problem := engine.missing_model(path):
            raise SettingsError(problem)
    return found

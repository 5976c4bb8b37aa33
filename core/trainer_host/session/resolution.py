"""From what a user gave to what a run does: the task, its plugins, and every setting with its origin."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.best_metric import BestMetric
from trainer_host.base.contexts import SampleContext
from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.findings import FAIL, DatasetError, Tolerance, raise_errors
from trainer_host.base.settings import Given, Setting, merge, name_of, read_settings_file
from trainer_host.base.temporaries import sweep_once, temporary_folder
from trainer_host.base.yaml_document import Document, line_of_key, read_document
from trainer_host.data.dataset_archives import packed_document
from trainer_host.data.source_recognition import dataset_as_model, error_for, missing, yaml_of
from trainer_host.engine.error_translation import blamed
from trainer_host.engine.ultralytics.engine_settings import engine_folder, engine_keys
from trainer_host.engine.ultralytics.foreign_settings import unknown_settings
from trainer_host.engine.ultralytics.release_window import untested_engine
from trainer_host.engine.ultralytics.setting_effects import unused_settings
from trainer_host.engine.ultralytics.trackers import refuse_remote_trackers, tracker_problems
from trainer_host.plugin.chain import Chain, load_chain, load_formats
from trainer_host.plugin.discovery import HOST, PluginRecord, disabled_by_environment, discover
from trainer_host.plugin.plugin_loading import load_task
from trainer_host.plugin.plugin_spec import TaskSpec
from trainer_host.session.settings_file_safety import vetted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.reporting import Reporter

SAMPLE = "sample:"
MARK = ".drawn-by"


@dataclass(frozen=True)
class Request:
    """What a user asked for.

    Attributes:
        given: Task, settings, options and plugins.
        file: A settings file that stands below them.
        no_plugins: Plugins that are switched off.
        exact: Whether to keep the stock engine's arithmetic.
        offline: Whether nothing may be fetched from a network.
        verbose: Whether to show all that the engine says.
    """

    given: Given
    file: Path | None = None
    no_plugins: tuple[str, ...] = ()
    exact: bool = False
    offline: bool = False
    verbose: bool = False

    @property
    def off(self) -> frozenset[str]:
        """The plugins that are switched off, also those of ``TRAINER_NO_PLUGIN``."""
        return disabled_by_environment().union(self.no_plugins)


@dataclass
class Resolved:
    """What a run does.

    Attributes:
        chain: Its plugins.
        settings: Engine keys with their origins.
        exact: Whether it keeps the stock engine's arithmetic.
        offline: Whether nothing may be fetched.
        bad: What becomes of images that cannot be used.
        images: Folders that hold the images, where the dataset does not say it.
        best_metric: The metric that tells the best checkpoint, or None for the task's own judgement.
        trackers: The engine's experiment trackers to switch on.
    """

    chain: Chain
    settings: dict[str, Setting] = field(default_factory=dict)
    exact: bool = False
    offline: bool = False
    bad: Tolerance = FAIL
    images: tuple[str, ...] = ()
    best_metric: BestMetric | None = None
    trackers: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return the engine keys without their origins."""
        return {k: s.value for k, s in self.settings.items()}

    def default(self, values: dict[str, Any], origin: Any) -> None:
        """Add settings below those that are there."""
        for key, value in values.items():
            self.settings.setdefault(key, Setting(value, origin))


def resolve(request: Request, reporter: Reporter) -> Resolved:
    """Return what a run does, with every problem of the settings in one report.

    Raises:
        SettingsError: If settings are wrong.
        PluginError: If a plugin cannot be used.
        UnsafeError: If a settings file asks for what only the user may ask for.
    """
    from trainer_host.engine.ultralytics.settings_validation import check_values
    from trainer_host.engine.ultralytics.training_engine import wanted_threads

    wanted_threads()  # which raises if they are no number
    given = request.given
    if request.file is not None:
        given = merge(given, vetted(read_settings_file(request.file), given, request.off, request.file))
    given = _without_disabled(given, request)
    request = replace(request, exact=request.exact or given.exact)
    known = engine_keys()
    problems = unknown_of(request, given.settings)
    problems += check_values({k: v for k, v in given.settings.items() if k in known})
    problems += _untested(request, reporter)
    swap = dataset_as_model(given.settings.get("model"), given.settings.get("data"))
    problems += tracker_problems(given.trackers)
    if swap is not None:  # which says nothing about the task
        raise SettingsError(swap, *problems)
    chain, bad, failed = None, FAIL, None
    try:
        bad = Tolerance.parse(given.bad or FAIL.text)
        chain = _load(given.task or infer_task(given, request, reporter), given, request)
        refuse_other_data(chain, given.settings.get("data"))
    except (SettingsError, DatasetError) as error:
        failed = error
    kind = chain.engine_task if chain is not None else None
    settings = {k: v for k, v in given.settings.items() if k in known}
    refused, unused = unused_settings(settings, "run", kind, lambda key: _line(request, key))
    problems += refused
    if refused and settings.keys() & {"resume", "cfg"} and "model" not in settings:
        failed = None  # what is to be named instead says the task
    if failed is not None and not problems:
        raise failed
    if failed is not None or problems or chain is None:  # those of the settings are told first
        raise SettingsError(*problems, *(failed.problems if failed is not None else ()))
    for problem in unused:
        reporter.warn(str(problem))
    if request.offline:
        refuse_remote_trackers(given.trackers)
    resolved = Resolved(chain, exact=request.exact, offline=request.offline, bad=bad, images=given.images)
    resolved.trackers = given.trackers
    resolved.best_metric = BestMetric.parse(given.best_metric) if given.best_metric else None
    for problem in chain.notices:
        reporter.warn(str(problem))
    for key, value in given.settings.items():
        resolved.settings[key] = Setting(value, "command" if key in request.given.settings else "file")
    _choose_data(resolved, reporter)
    _use_task_settings(resolved)
    return resolved


def _without_disabled(given: Given, request: Request) -> Given:
    """Return what was given without the plugins of a settings file that the command line switches off."""
    named = {name_of(p) for p in request.given.plugins}
    off = request.off - named
    options = {k: v for k, v in given.options.items() if k not in off or k in request.given.options}
    return replace(given, plugins=[p for p in given.plugins if name_of(p) not in off], options=options)


def unknown_of(request: Request, settings: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each setting of a request or its file that the engine does not have."""
    if settings.keys() <= engine_keys():
        return []
    of_datasets: set[str] = set()
    for record in discover(request.no_plugins):
        if record.kind == "task" and record.state == "available":
            with suppress(PluginError):  # a broken plugin that nobody asked for stops nothing
                of_datasets.update(load_task(record).known_keys)
    return unknown_settings(settings, lambda key: _line(request, key), of_datasets)


def _line(request: Request, key: str) -> str | None:
    """Return where a settings file has a key that the command line does not have."""
    if request.file is None or key in request.given.settings:
        return None
    return f"{request.file}:{line_of_key(request.file, key) or 1}"


def _load(task: str, given: Given, request: Request) -> Chain:
    from trainer_host.engine.ultralytics.default_hooks import EngineDefaults

    return load_chain(task, given.plugins, given.options, request.no_plugins, EngineDefaults())


def _untested(request: Request, reporter: Reporter) -> list[Problem]:
    problem = untested_engine()
    if problem is None:
        return []
    if request.exact:
        return [Problem(f"--exact is refused: {problem.message}", problem.fix)]
    reporter.warn(str(problem))
    return []


def infer_task(given: Given, request: Request, reporter: Reporter) -> str:
    """Return the task that the model or the dataset tells, and say so."""
    records = [r for r in discover(request.no_plugins) if r.kind == "task" and r.state == "available"]
    names = sorted(r.name for r in records)
    model, data = given.settings.get("model"), given.settings.get("data")
    if isinstance(data, str) and data.startswith(SAMPLE):
        return data.removeprefix(SAMPLE)
    if model and (found := _task_of_model(str(model))):
        if found not in names and not any(r.name == found for r in discover(request.no_plugins)):
            raise PluginError(
                Problem(
                    f"the model {model} is for the task {found!r}, which is not installed.",
                    f"Installed: {', '.join(names)}.",
                )
            )
        reporter.note(f"Task: {found} (inferred from the model {model})")
        return found
    absent = [p for p in [_missing_model(str(model or ""))] if p]
    try:
        found = _task_of_dataset(str(data), records, request) if data else None
    except DatasetError as error:
        if absent:
            raise SettingsError(*absent, *error.problems) from error
        raise
    if found:
        reporter.note(f"Task: {found} (inferred from the dataset {data})")
        return found
    if absent:
        raise SettingsError(*absent)
    told = "neither the model nor the dataset tells the task" if model or data else "no task is named"
    raise SettingsError(Problem(f"{told}.", f"Write --task NAME. Installed: {', '.join(names) or 'none'}."))


def _task_of_model(model: str) -> str | None:
    from trainer_host.engine.ultralytics.training_engine import chain_of_checkpoint, task_of_model

    if model.endswith(".pt") and Path(model).is_file():
        return chain_of_checkpoint(Path(model))[0]
    return task_of_model(model)


def _missing_model(model: str) -> Problem | None:
    if not model:
        return None  # before the import of the engine, which a check does without
    from trainer_host.engine.ultralytics.training_engine import missing_model

    return missing_model(model)


def _task_of_dataset(data: str, records: list[PluginRecord], request: Request) -> str | None:
    keys = _keys_of_dataset(data, request)
    found = _task_of_keys(keys, records)
    if found is None and keys & {"train", "val", "nc"}:
        # What a dataset lacks can be told once its task is.
        found = _task_of_keys(keys | {"names"}, records)
    return found


def _task_of_keys(keys: set[str], records: list[PluginRecord]) -> str | None:
    matches: dict[str, int] = {}
    for record in records if keys else ():
        try:
            wanted = load_task(record).dataset_keys
        except PluginError:
            continue  # a broken plugin that nobody asked for stops nothing
        if wanted and keys >= set(wanted):
            matches[record.name] = len(wanted)
    most = [name for name, count in matches.items() if count == max(matches.values())]
    return most[0] if len(most) == 1 else None


def _keys_of_dataset(data: str, request: Request) -> set[str]:
    """Return the keys of a dataset's description: by a plugin that knows its format, or of its YAML."""
    formats = load_formats(request.given.plugins, request.no_plugins)
    with blamed(formats):
        told = formats.hook.sniff_dataset(source=data)
    if told is not None:
        _refuse_missing_file(data)
        return set(told)
    document = _document_of(data)
    if document is None:
        return set()
    if not document.content:
        raise_errors(document.findings)
    return {str(key) for key in document.content}


def _document_of(data: str) -> Document | None:
    """Return the dataset YAML that ``data`` means, read; None for an address."""
    found = _dataset_of(data)
    return read_document(found) if isinstance(found, Path) else found


def _dataset_of(data: str) -> Path | Document | None:
    """Return the dataset YAML that ``data`` means, read where it is in an archive; None for an address.

    Raises:
        DatasetError: If it is something else.
        UnsafeError: If it is a list of addresses.
    """
    if "://" in data:
        return None
    path, folder = Path(data), engine_folder() / "cfg" / "datasets"
    if not path.exists():
        names = [data, f"{data}.yaml", f"{data}.yml"] if path.parent == Path() else []
        shipped = next((f for n in names if (f := folder / n).is_file()), None)
        if shipped is None:
            raise missing(data, [f.name for f in folder.glob("*.yaml")])
        return shipped
    found = yaml_of(data) or packed_document(path)
    if found is None:
        raise error_for(data)
    return found


def refuse_other_data(chain: Chain, data: Any) -> None:
    """Refuse what is not a dataset before anything is fetched for it, where the host's own readers would read it.

    Raises:
        DatasetError: If it is something else.
        UnsafeError: If it is a list of addresses.
    """
    hooks, records = chain.manager.hook, chain.manager.records
    readers = [i for i in hooks.read_dataset.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    known = all(i.plugin_name in records and records[i.plugin_name].distribution == HOST for i in readers)
    if not isinstance(data, str) or data.startswith(SAMPLE) or not known:
        return  # a reader of somebody else may read anything
    with blamed(chain.manager):
        told = hooks.sniff_dataset(source=data)
    if told is None:
        _dataset_of(data)
    else:
        _refuse_missing_file(data)


def _refuse_missing_file(data: str) -> None:
    """Refuse one file that a format knows by its ending, and that does not exist."""
    path = Path(data)
    there = path.exists() or ("*" in path.name and any(path.parent.glob(path.name)))
    if path.suffix and "," not in data and "://" not in data and not there:
        raise missing(data)


def _choose_data(resolved: Resolved, reporter: Reporter) -> None:
    """Settle dataset and model: what the user gave, the task's default weights, or the task's sample."""
    from trainer_host.engine.checkpoint.reading import read_checkpoint
    from trainer_host.engine.ultralytics.training_engine import find_weights

    chain, given = resolved.chain, resolved.settings.get("data")
    source = given.value if given is not None else None
    scratch = chain.attribute("scratch_model")
    if source is None or str(source).startswith(SAMPLE):
        _use_sample(resolved, str(source or SAMPLE + chain.name).removeprefix(SAMPLE), reporter)
    elif "model" not in resolved.settings:
        default = chain.attribute("default_model")
        if default:
            resolved.settings["model"] = Setting(default, "task")
    for key in ("model", "pretrained", "distill_model"):
        setting = resolved.settings.get(key)
        if setting is None or (key != "model" and not isinstance(setting.value, str)):
            continue  # pretrained may be true or false
        found = find_weights(str(setting.value), resolved.offline, scratch if key == "model" else None)
        resolved.settings[key] = Setting(found, setting.origin)
        if found.lower().endswith(".pt"):
            read_checkpoint(found)  # before any work, and for --dry-run


def _use_sample(resolved: Resolved, name: str, reporter: Reporter) -> None:
    chain = resolved.chain
    if name != chain.name:
        known = name in {record.name for record in discover() if record.kind == "task"}
        what = f"data=sample:{name} is for the task {name!r}, not {chain.name!r}."
        fix = f"Write --task {name}." if known else f"Write data=sample:{chain.name}"
        raise SettingsError(Problem(what if known else f"unknown sample data=sample:{name}.", fix))
    folder = Path.cwd() / "runs" / "samples" / name
    mark = folder / MARK
    drawn = _read_mark(mark)
    sweep_once(folder.parent)
    fresh = drawn.get("by") == _drawn_by(chain)
    if not fresh:
        drawn = _draw_sample(chain, folder)
    resolved.settings["data"] = Setting(str(folder / drawn["data"]), "sample")
    resolved.default(drawn["settings"], "sample")
    reporter.note(f"No dataset given: {'using' if fresh else 'generated'} the sample dataset in {display_path(folder)}")


def _read_mark(mark: Path) -> dict[str, Any]:
    try:
        drawn: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return drawn


def _drawn_by(chain: Chain) -> list[str]:
    return [m.record.origin for m in chain.tasks]


def _draw_sample(chain: Chain, folder: Path) -> dict[str, Any]:
    """Draw a sample dataset so that it appears whole or not at all; return what its mark says."""
    with temporary_folder(folder) as scratch:
        work = scratch / folder.name
        work.mkdir()
        with blamed(chain.manager):
            sample = chain.manager.hook.sample(ctx=SampleContext(folder=work))
        if sample is None:
            raise SettingsError(Problem(f"task {chain.name!r} has no sample dataset.", "Give a dataset: data=my.yaml"))
        data = Path(sample.data).relative_to(work).as_posix()
        drawn = {"by": _drawn_by(chain), "data": data, "settings": dict(sample.settings)}
        (work / MARK).write_text(json.dumps(drawn), encoding="utf-8")
        _put_sample(work, folder, drawn)
    return drawn


def _put_sample(work: Path, folder: Path, drawn: dict[str, Any]) -> None:
    """Move a sample to its place, unless another run has put the same there; what stands there is kept aside."""
    if _read_mark(folder / MARK).get("by") == drawn["by"]:
        return
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not folder.with_name(f"{folder.name}.old{n}").exists())
        folder.replace(folder.with_name(f"{folder.name}.old{number}"))
    work.replace(folder)


def _use_task_settings(resolved: Resolved) -> None:
    """Add the settings that suit the task, below what the user or the sample says; a task's go before its base's.

    Raises:
        PluginError: If the engine does not take one of them.
    """
    from trainer_host.engine.ultralytics.settings_validation import check_values

    for member in reversed(resolved.chain.tasks):
        settings = dict(member.spec.settings) if isinstance(member.spec, TaskSpec) else {}
        wrong = unknown_settings(settings)
        if problems := wrong or check_values(settings):
            who = f"task {member.record.name!r} from {member.record.origin}"
            raise PluginError(*(replace(p, message=f"{who} has wrong settings: {p.message}") for p in problems))
        resolved.default(settings, "task")

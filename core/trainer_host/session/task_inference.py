"""The task of a run, inferred from its model or its dataset."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.base.findings import DatasetError, raise_errors
from trainer_host.base.yaml_document import Document, read_document
from trainer_host.data.dataset_archives import packed_document
from trainer_host.data.source_recognition import error_for, missing, yaml_of
from trainer_host.engine.error_translation import blamed
from trainer_host.plugin.discovery import HOST, PluginRecord
from trainer_host.plugin.plugin_loading import load_task
from trainer_host.session.near_runs import model_of_a_run
from trainer_host.session.sample_dataset import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


@dataclass(frozen=True)
class InferredTask:
    """A task, and what was learnt of the dataset when it was inferred.

    Attributes:
        name: The task.
        asked: Plugins that were asked whether they read the dataset.
        recognized: Whether one of them reads it.
    """

    name: str
    asked: Collection[str] = field(default=frozenset())
    recognized: bool = False


def task_of(request: Request, registry: Registry, reporter: Reporter, engine: Engine) -> InferredTask:
    """Return the task that is given, or inferred from the model or the dataset; a note says from which.

    Raises:
        SettingsError: If it cannot be inferred.
        DatasetError: If the dataset cannot be read.
        PluginError: If the model belongs to a task that is not installed.
    """
    if request.options.task:
        return InferredTask(request.options.task)
    model, data = request.values.get("model"), request.values.get("data")
    if isinstance(data, str) and data.startswith(SAMPLE):
        return InferredTask(data.removeprefix(SAMPLE))
    records = registry.available("task")
    installed = ", ".join(sorted(r.name for r in records)) or "none"
    if model and (found := engine.infer_task(str(model))):
        if not any(r.name == found for r in registry.records):
            what = f"the model {model} is for the task {found!r}, which is not installed."
            raise PluginError(Problem(what, hint=f"Installed: {installed}."))
        reporter.note(f"Task: {found} (inferred from the model {model})")
        return InferredTask(found)
    problem = (model_of_a_run(str(model), engine) or engine.missing_model(str(model))) if model else None
    absent = [problem] if problem else []
    try:
        inferred = task_of_dataset(str(data), request, registry, engine) if data else None
    except DatasetError as error:
        if absent:
            raise SettingsError(*absent, *error.problems) from error
        raise
    if inferred is not None:
        reporter.note(f"Task: {inferred.name} (inferred from the dataset {data})")
        return inferred
    if absent:
        raise SettingsError(*absent)
    what = "cannot infer the task from the model or the dataset." if model or data else "no task given."
    raise SettingsError(Problem(what, f"add --task NAME (installed: {installed})"))


def task_of_dataset(data: str, request: Request, registry: Registry, engine: Engine) -> InferredTask | None:
    """Return the task that a dataset says by its keys; None if it says none, or several.

    Raises:
        DatasetError: If the dataset cannot be read.
    """
    formats = registry.formats([p for p in request.options.plugins if isinstance(p, str)])
    with blamed(formats, engine):
        keys = formats.hook.sniff_dataset(source=data)
    asked, records = frozenset(formats.records), registry.available("task")
    if keys is not None:
        _refuse_missing_file(data)
        found = _task_of_keys(set(keys), records)
        return InferredTask(found, asked, recognized=True) if found else None
    keys = _keys_of_yaml(data, engine)
    found = _task_of_keys(keys, records)
    if found is None and keys & {"train", "val", "nc"}:
        # The task's checks report the missing key, once there is a task.
        found = _task_of_keys(keys | {"names"}, records)
    return InferredTask(found, asked) if found else None


def _task_of_keys(keys: set[str], records: list[PluginRecord]) -> str | None:
    """Return the task that finds most of its keys; None if there is a tie."""
    matches: dict[str, int] = {}
    for record in records if keys else ():
        with suppress(PluginError):  # a broken plugin that nobody asked for stops nothing
            wanted = load_task(record).dataset_keys
            if wanted and keys >= set(wanted):
                matches[record.name] = len(wanted)
    most = [name for name, count in matches.items() if count == max(matches.values())]
    return most[0] if len(most) == 1 else None


def _keys_of_yaml(data: str, engine: Engine) -> set[str]:
    found = _dataset_of(data, engine)
    document = read_document(found) if isinstance(found, Path) else found
    if document is None:
        return set()
    if not document.content:
        raise_errors(document.findings)
    return {str(key) for key in document.content}


def _dataset_of(data: str, engine: Engine) -> Path | Document | None:
    """Return the dataset YAML that ``data`` means, already read if it is in an archive; None for an address.

    Raises:
        DatasetError: If it is something else.
        UnsafeError: If it is a list of addresses.
    """
    if "://" in data:
        return None
    path = Path(data)
    if not path.exists():
        shipped = engine.shipped_dataset(data) if path.parent == Path() else None
        if shipped is None:
            raise missing(data, engine.shipped_datasets())
        return shipped
    found = yaml_of(data) or packed_document(path)
    if found is None:
        raise error_for(data)
    return found


def refuse_other_data(chain: Chain, data: Any, inferred: InferredTask, engine: Engine) -> None:
    """Refuse what is not a dataset before anything is fetched for it, if the host's own readers would read it.

    Raises:
        DatasetError: If it is something else.
        UnsafeError: If it is a list of addresses.
    """
    hooks, records = chain.manager.hook, chain.manager.records
    readers = [i for i in hooks.read_dataset.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
    known = all(i.plugin_name in records and records[i.plugin_name].distribution == HOST for i in readers)
    if not isinstance(data, str) or data.startswith(SAMPLE) or not known or inferred.recognized:
        return  # a third-party reader may read anything
    keys = None
    # A format reads the head of its files to recognize them: ask only plugins that were not asked for the task.
    if any(i.plugin_name not in inferred.asked for i in hooks.sniff_dataset.get_hookimpls()):
        with blamed(chain.manager, engine):
            keys = hooks.sniff_dataset(source=data)
    if keys is None:
        _dataset_of(data, engine)
    else:
        _refuse_missing_file(data)


def _refuse_missing_file(data: str) -> None:
    """Refuse one file that a format knows by its ending, and that does not exist."""
    path = Path(data)
    there = path.exists() or ("*" in path.name and any(path.parent.glob(path.name)))
    if path.suffix and "," not in data and "://" not in data and not there:
        raise missing(data)

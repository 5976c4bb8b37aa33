"""Importing what entry points and files name: tasks and extensions."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.errors import PluginError, Problem, StoppedError
from trainer_host.base.settings import is_file, name_of
from trainer_host.plugin.discovery import PluginRecord, select
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

S = TypeVar("S", bound="TaskSpec | ExtensionSpec")


def load_target(record: PluginRecord) -> Any:
    """Return a plugin that was given as an object; import what the entry point of any other names.

    Raises:
        PluginError: If the import fails, naming the distribution and the cause.
    """
    if record.given is not None:
        return record.given
    module, _, attribute = record.target.partition(":")
    try:
        loaded: Any = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            loaded = getattr(loaded, part)
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{record.kind} {record.name!r} from {record.origin} is broken: {_cause(error)}."
        off = f"TRAINER_NO_PLUGIN={record.name}" if record.kind == "command" else f"--no-plugin {record.name}"
        fix = f"correct or remove {record.distribution}, or switch it off: {off}"
        raise PluginError(Problem(what, fix)) from error
    return loaded


def load_task(record: PluginRecord) -> TaskSpec:
    """Import a task; its hooks may be a class, which `with_object` instantiates.

    Raises:
        PluginError: If the import fails, if the target is not a `TaskSpec`, or if a trainer that is imported late has
            no base.
    """
    spec = load_target(record)
    if not isinstance(spec, TaskSpec):
        raise PluginError(f"task {record.name!r} from {record.origin} is broken: {record.target} is not a TaskSpec.")
    if isinstance(spec.trainer, str) and spec.base is None:
        what = f"task {record.name!r} from {record.origin} is broken: its trainer is given as text"
        fix = f"name the task that {record.name!r} builds on: task_from_trainer(..., base=NAME)"
        raise PluginError(Problem(f"{what} ({spec.trainer}), but it has no base.", fix))
    return spec


def load_extension(record: PluginRecord) -> ExtensionSpec:
    """Import an extension: an `ExtensionSpec`, or an object or module with hook implementations."""
    target = load_target(record)
    return with_object(target if isinstance(target, ExtensionSpec) else ExtensionSpec(hooks=target), record)


def with_object(spec: S, record: PluginRecord) -> S:
    """Return a plugin whose hooks are an object: a class is instantiated for each run.

    Raises:
        PluginError: If the class cannot be called without arguments.
    """
    if not isinstance(spec.hooks, type):
        return spec
    try:
        return replace(spec, hooks=spec.hooks())
    except StoppedError:
        raise
    except Exception as error:  # whatever a constructor raises
        what = f"{record.kind} {record.name!r} from {record.origin} is broken: {_cause(error)}."
        fix = f"make {spec.hooks.__name__} callable without arguments; hooks get their options in their context"
        raise PluginError(Problem(what, fix)) from error


def load_file(path: Path) -> tuple[PluginRecord, ExtensionSpec]:
    """Load one file as an extension, for this run alone.

    Raises:
        PluginError: If there is no such file, or if it fails.
    """
    name = name_of(str(path))
    module_name = f"trainer_file_{name}"
    record = PluginRecord(name, "extension", str(path), "file", "available", "", f"{module_name}:")
    if not path.is_file():
        raise PluginError(Problem(f"plugin file {path} not found.", "give the path of a Python file"))
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise PluginError(Problem(f"{path} is not a Python file.", "give a file that ends in .py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look there for the types of their fields
    try:
        spec.loader.exec_module(module)
    except StoppedError:
        del sys.modules[module_name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        line = _last_line(error, path)
        raise PluginError(Problem(f"the plugin file is broken: {_cause(error)}.", where=f"{path}:{line}")) from error
    found = [v for v in vars(module).values() if isinstance(v, ExtensionSpec)]
    return record, with_object(found[0] if found else ExtensionSpec(hooks=module), record)


def load_named(name: str, records: Sequence[PluginRecord]) -> tuple[PluginRecord, ExtensionSpec]:
    """Load an extension by its name, or by the path of its file.

    Raises:
        PluginError: If it is missing or broken.
    """
    if is_file(name):
        return load_file(Path(name).expanduser().resolve())
    record = select(name, "extension", records)
    return record, load_extension(record)


def _cause(error: BaseException) -> str:
    """Return an error in one line, without a full stop at its end."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")


def _last_line(error: BaseException, path: Path) -> int:
    line, trace = getattr(error, "lineno", None) or 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return int(line)

"""The plugin that an error comes from: the one whose code was entered last, and the hook that it was asked.

The hook manager registers each implementation behind a guard, which notes on an error the implementation that it
leaves first. What a guard cannot see (callbacks, layers, datasets) is found by the modules of the traceback.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginCrashError, Problem
from trainer_host.plugin.discovery import FILE, HOST, OBJECT, PluginRecord, normal, record_of_module

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from types import CodeType, TracebackType

WORKER = "DataLoader worker"
"""Part of the text of an error that torch carried over from a loader's process, with its traceback as text."""
STEP = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)', re.MULTILINE)
NOTE = "_trainer_host_origin"
"""The key under which an error's own dictionary holds where it comes from."""


@dataclass(frozen=True)
class _Origin:
    """The first implementation of a hook that an error left.

    Attributes:
        plugin: The name under which its plugin is registered.
        hook: The hook.
        start: The traceback from the implementation's own code on.
    """

    plugin: str
    hook: str
    start: TracebackType | None


def guarded(function: Callable[..., Any], plugin: str, hook: str, wrapper: bool) -> Callable[..., Any]:
    """Return an implementation of a hook that notes its plugin on errors; its arguments stay readable.

    Args:
        function: The implementation.
        plugin: The name under which its plugin is registered.
        hook: The hook.
        wrapper: Whether it wraps the answers of others, in the new style or the old one.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)  # below decorators such as `torch.no_grad`

    def note(error: BaseException) -> None:
        # An error that leaves several implementations is that of the innermost, which it leaves first. The dictionary
        # is written to directly, because errors may be frozen dataclasses.
        if NOTE not in error.__dict__:
            error.__dict__[NOTE] = _Origin(plugin, hook, _start(error, code))

    if wrapper and inspect.isgeneratorfunction(function):
        return _guarded_wrapper(function, note)

    def read(answer: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        try:
            return (yield from answer)
        except (Exception, SystemExit) as error:
            note(error)
            raise

    @wraps(function)
    def call(*arguments: Any, **defaults: Any) -> Any:
        try:
            answer = function(*arguments, **defaults)
        except (Exception, SystemExit) as error:
            note(error)
            raise
        # A generator runs once its answers are read, which is after this call.
        return read(answer) if isinstance(answer, GeneratorType) else answer

    return call


def _guarded_wrapper(function: Callable[..., Any], note: Callable[[BaseException], None]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **defaults: Any) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        try:
            generator = function(*arguments, **defaults)
            if next(generator, call) is call:
                raise RuntimeError(f"the wrapper {function.__qualname__} did not yield")
            try:
                answer = yield
            except BaseException as error:
                thrown = error
                generator.throw(error)
            else:
                generator.send(answer)
            raise RuntimeError(f"the wrapper {function.__qualname__} has a second yield")
        except StopIteration as end:
            return end.value
        except (Exception, SystemExit) as error:
            if error is not thrown:  # that one only passes
                note(error)
            raise

    return call


def _start(error: BaseException, code: CodeType | None) -> TracebackType | None:
    """Return the traceback of an error from the code of an implementation on, without the guard above it."""
    steps = list(_steps(error.__traceback__))
    return next((step for step in steps if step.tb_frame.f_code is code), steps[min(1, len(steps) - 1)])


@dataclass(frozen=True)
class Culprit:
    """The plugin that an error comes from.

    Attributes:
        record: The plugin.
        hook: The hook that it failed in; None if its code was called otherwise, such as a layer or a callback.
        function: Its function that was entered.
        cause: The error in one line.
        trace: The traceback as text, from its code on.
        start: The traceback from its code on; None if the error comes from another process.
    """

    record: PluginRecord
    hook: str | None
    function: str
    cause: str
    trace: str
    start: TracebackType | None = None


def crash_of(error: BaseException, records: Mapping[str, PluginRecord]) -> PluginCrashError | None:
    """Return the error that names the faulty plugin; None if it is none of these.

    The traceback of ``error`` is cut to what the plugin has to do with.
    """
    found = find_culprit(error, records)
    if found is None:
        return None
    if found.start is not None:
        error.with_traceback(found.start)  # an assignment would fail for a frozen dataclass
    record, where = found.record, f"hook {found.hook}" if found.hook else f"function {found.function}"
    what = f"{record.kind} {record.name!r} from {record.origin} failed in its {where}: {found.cause.rstrip('.')}."
    maintainers = f"report this to the maintainers of {record.distribution}"
    return PluginCrashError(
        Problem(what, {FILE: "correct the file", OBJECT: "correct its code"}.get(record.version, maintainers)),
        plugin=record.name,
        distribution=record.distribution,
        hook=found.hook,
        trace=found.trace,
    )


def find_culprit(error: BaseException, records: Mapping[str, PluginRecord]) -> Culprit | None:
    """Return the third-party plugin whose code was entered last before an error; None if the host's own code failed.

    Code above the first implementation that the error left only called the host, so it is not looked at.
    """
    others = {name: r for name, r in records.items() if normal(r.distribution) != HOST}
    if not others:
        return None
    origin: _Origin | None = error.__dict__.get(NOTE)
    steps = list(_steps(origin.start if origin else error.__traceback__))
    found: Culprit | None = None
    if origin is not None and origin.plugin in others:
        found = _culprit(error, others[origin.plugin], origin.hook, steps[0])
    for step in steps:
        record = record_of_module(str(step.tb_frame.f_globals.get("__name__")), others.values())
        if record is not None and (found is None or _module(found.record) != _module(record)):
            found = _culprit(error, record, None, step)
    return found or _in_worker(str(error), others.values())


def _culprit(error: BaseException, record: PluginRecord, hook: str | None, step: TracebackType) -> Culprit:
    trace = "".join(traceback.format_exception(type(error), error, step))
    cause = _one_line(type(error).__name__, str(error))
    return Culprit(record, hook, _function(step.tb_frame.f_code), cause, trace, step)


def _module(record: PluginRecord) -> str:
    return record.target.partition(":")[0]


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _function(code: CodeType) -> str:
    name: str = getattr(code, "co_qualname", code.co_name)  # since Python 3.11
    return name.rpartition("<locals>.")[2]


def _in_worker(text: str, records: Iterable[PluginRecord]) -> Culprit | None:
    """Return the plugin that a loader's process failed in, inferred from the files that the error's text names."""
    if WORKER not in text:
        return None
    found: Culprit | None = None
    cause = _one_line(text.strip().splitlines()[-1], "")
    for step in STEP.finditer(text):
        record = next((r for r in records if _holds(r, step["file"])), None)
        if record is not None and (found is None or found.record is not record):
            trace = f"Traceback (most recent call last):\n{text[step.start() :].rstrip()}\n"
            found = Culprit(record, None, step["function"], cause, trace)
    return found


def _holds(record: PluginRecord, file: str) -> bool:
    """Return whether a file is part of a plugin's package, or its module."""
    module = sys.modules.get(re.split(r"[.:]", record.target)[0])
    origin = getattr(module, "__file__", None)
    if origin is None:
        return False
    return Path(file).is_relative_to(Path(origin).parent if Path(origin).stem == "__init__" else origin)


def _one_line(kind: str, text: str) -> str:
    said = (text.strip().splitlines() or [""])[0]
    return f"{kind}: {said}" if said else kind

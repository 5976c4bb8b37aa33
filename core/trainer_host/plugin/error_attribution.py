"""Which plugin an error comes from: the one whose code was entered last, and the hook that was asked of it."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.errors import PluginCrashError, Problem
from trainer_host.plugin.discovery import FILE, HOST, PluginRecord, normal, record_of_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType, TracebackType

    import pluggy

    from trainer_host.plugin.chain import HookManager

WORKER = "DataLoader worker"
"""What the text of an error has that torch carried over from a loader's process, with its traceback as text."""
STEP = re.compile(r'^ *File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)', re.MULTILINE)


@dataclass(frozen=True)
class Culprit:
    """The plugin that an error comes from.

    Attributes:
        record: The plugin.
        hook: The hook that it failed in; None where its code was called otherwise, such as a layer or a callback.
        function: The function of it that was entered.
        cause: The error in one line.
        trace: The traceback as text, from its code on.
        start: The traceback from its code on; None where the error comes from another process.
    """

    record: PluginRecord
    hook: str | None
    function: str
    cause: str
    trace: str
    start: TracebackType | None = None


def crash_of(error: BaseException, manager: HookManager) -> PluginCrashError | None:
    """Return the error that names the plugin at fault, or None where none of the manager's is.

    The traceback of ``error`` is cut to what the plugin has to do with.
    """
    found = find_culprit(error, manager)
    if found is None:
        return None
    if found.start is not None:
        error.__traceback__ = found.start
    record, where = found.record, f"hook {found.hook}" if found.hook else f"function {found.function}"
    what = f"{record.kind} {record.name!r} from {record.origin} failed in its {where}: {found.cause.rstrip('.')}."
    maintainers = f"Report this to the maintainers of {record.distribution}."
    return PluginCrashError(
        Problem(what, "Correct the file." if record.version == FILE else maintainers),
        plugin=record.name,
        distribution=record.distribution,
        hook=found.hook,
        trace=found.trace,
    )


def find_culprit(error: BaseException, manager: HookManager) -> Culprit | None:
    """Return the plugin whose code was entered last before an error, if it is another's than the host's.

    What a hook's implementation does ends what is looked at: the plugins below it on the stack only called the host.
    """
    others = {name: r for name, r in manager.records.items() if normal(r.distribution) != HOST}
    if not others:
        return None
    found: Culprit | None = None
    for step in _since_last_hook(_without_passages(_steps(error.__traceback__))):
        record, hook = _owner(step.tb_frame, manager, others)
        if record is not None and (found is None or found.record is not record):
            trace = "".join(traceback.format_exception(type(error), error, step))
            function = _function(_code(step.tb_frame))
            found = Culprit(record, hook, function, _one_line(type(error).__name__, str(error)), trace, step)
    return found or _in_worker(str(error), others.values())


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _without_passages(steps: Iterable[TracebackType]) -> list[TracebackType]:
    """Return the calls that led to an error, without those that it passed through on its way out.

    An error that is thrown into a wrapper, which lets it through, adds the wrapper to the traceback between two
    entries of the frame that called it.
    """
    kept: list[TracebackType] = []
    for step in steps:
        again = next((i for i, known in enumerate(kept) if known.tb_frame is step.tb_frame), len(kept))
        kept[again:] = [step]
    return kept


def _since_last_hook(steps: list[TracebackType]) -> list[TracebackType]:
    calls = [i for i, s in enumerate(steps) if _in_pluggy(s.tb_frame, "_multicall")]
    return steps[calls[-1] + 1 :] if calls else steps


def _in_pluggy(frame: FrameType, function: str) -> bool:
    return frame.f_code.co_name == function and str(frame.f_globals.get("__name__")).startswith("pluggy.")


def _code(frame: FrameType) -> CodeType:
    """Return a frame's code; where pluggy complains of a wrapper, which then has no frame, that of the wrapper."""
    if _in_pluggy(frame, "_raise_wrapfail"):
        code: CodeType = frame.f_locals["wrap_controller"].gi_code
        return code
    return frame.f_code


def _function(code: CodeType) -> str:
    name: str = getattr(code, "co_qualname", code.co_name)  # since Python 3.11
    return name.rpartition("<locals>.")[2]


def _owner(
    frame: FrameType, manager: HookManager, others: dict[str, PluginRecord]
) -> tuple[PluginRecord | None, str | None]:
    """Return the plugin that a frame belongs to, and the hook where it is an implementation."""
    code = _code(frame)
    found = [(i, hook) for i, hook in _implementations(manager) if _body(i) is code and i.plugin_name in others]
    if len(found) > 1:  # several objects of one class, told by whose method it is
        own = frame.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
        found = [f for f in found if getattr(f[0].function, "__self__", None) is own] or found
    if found:
        return others[found[0][0].plugin_name], found[0][1]
    return record_of_module(str(frame.f_globals.get("__name__")), others.values()), None


def _implementations(manager: HookManager) -> Iterator[tuple[pluggy.HookImpl, str]]:
    for plugin in manager.get_plugins():
        for caller in manager.get_hookcallers(plugin) or ():
            yield from ((i, caller.name) for i in caller.get_hookimpls() if i.plugin is plugin)


def _body(impl: pluggy.HookImpl) -> CodeType | None:
    """Return the code of an implementation, below decorators such as `torch.no_grad`."""
    return getattr(inspect.unwrap(impl.function), "__code__", None)


def _in_worker(text: str, records: Iterable[PluginRecord]) -> Culprit | None:
    """Return the plugin that a loader's process failed in, told by the files that the error's text names."""
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

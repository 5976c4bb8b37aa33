"""Extensions without any effect, and parts of them without effect, such as hooks without a marker."""

from __future__ import annotations

import inspect
import sys
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem
from trainer_host.plugin.discovery import FILE, OBJECT
from trainer_host.plugin.hookspecs import HOOKS
from trainer_host.plugin.markers import PROJECT
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.plugin.discovery import PluginRecord

MARK = f"{PROJECT}_impl"
ARGUMENTS = {name: set(inspect.signature(f).parameters) - {"self"} for name, f in HOOKS.items()}
"""The hooks, with the names of their arguments."""


def no_hooks(record: PluginRecord, hooks: object) -> Problem:
    """Describe an extension that implements no hook, with the likely reason."""
    what = f"{record.kind} {record.name!r} from {record.origin} implements no hooks."
    module = _module(record, hooks)
    content = vars(module) if module is not None else {}
    if task := next((name for name, value in content.items() if isinstance(value, TaskSpec)), None):
        return Problem(what, f"install the task {task} in a package: docs/how-to/write-a-task.md")
    reasons = _unused(record, hooks, cutoff=0.6)
    return Problem(
        what, reasons[0] if reasons else "mark its functions with @hookimpl: docs/how-to/write-an-extension.md"
    )


def ignored_hooks(record: PluginRecord, hooks: object) -> list[Problem]:
    """Return the parts of an extension that look like hooks, but have no effect."""
    what = f"a part of {record.kind} {record.name!r} from {record.origin} has no effect."
    return [Problem(what, reason) for reason in _unused(record, hooks, cutoff=0.85)]


def _unused(record: PluginRecord, hooks: object, cutoff: float) -> list[str]:
    """Return a fix for each part that looks like a hook, but is not registered as one.

    Args:
        record: The extension.
        hooks: The object or module with its hooks.
        cutoff: The least similarity of the name of an unmarked function to that of a hook, from 0 to 1.
    """
    found = [] if isinstance(hooks, ModuleType) else [*_unmarked(_members(type(hooks)), cutoff)]
    module = _module(record, hooks)
    if module is not None and (record.version == FILE or isinstance(hooks, ModuleType)):
        own = {k: v for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}
        found += [*_unmarked(own, cutoff), *_unregistered(module, own)]
    return found


def _module(record: PluginRecord, hooks: object) -> ModuleType | None:
    if isinstance(hooks, ModuleType):
        return hooks
    # The module of an object has other things in it, which nobody gave.
    return sys.modules.get(record.target.partition(":")[0]) if record.version != OBJECT else None


def _members(kind: type[Any]) -> dict[str, Any]:
    return {key: value for base in reversed(kind.__mro__) for key, value in vars(base).items()}


def _unmarked(own: dict[str, Any], cutoff: float) -> Iterator[str]:
    for name, value in own.items():
        if not inspect.isfunction(value) or hasattr(value, MARK) or name.startswith("_"):
            continue
        arguments = set(inspect.signature(value).parameters) - {"self"}
        hook = next(iter(get_close_matches(name, ARGUMENTS, n=1, cutoff=cutoff)), None)
        if hook and arguments and arguments <= ARGUMENTS[hook]:
            renamed = f", and name it {hook}" if hook != name else ""
            yield f"write @hookimpl above the function {name}{renamed}"


def _unregistered(module: ModuleType, own: dict[str, Any]) -> Iterator[str]:
    """Yield a fix for each marked function and class of a module that is not registered."""
    specs = {name: value for name, value in vars(module).items() if isinstance(value, ExtensionSpec)}
    kinds = [s.hooks if isinstance(s.hooks, type) else type(s.hooks) for s in specs.values()]
    used = {base for kind in kinds for base in kind.__mro__}
    used |= {base for value in own.values() if isinstance(value, type) for base in value.__mro__[1:]}
    for name, value in own.items():
        if inspect.isfunction(value) and hasattr(value, MARK) and specs:
            yield f"move the function {name} into the class of the ExtensionSpec; only that is used"
        elif isinstance(value, type) and value not in used and any(hasattr(v, MARK) for v in _members(value).values()):
            only = f"move the hooks of {name} into the class of the ExtensionSpec; only that is used"
            yield only if specs else f"add a line at the end: EXTENSION = ExtensionSpec(hooks={name}())"
    for name in list(specs)[1:]:
        yield f"move the hooks of {name} into a separate file: only the first ExtensionSpec of a file is used"

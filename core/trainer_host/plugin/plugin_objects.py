"""Plugins that are given as objects: their names and records."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginError, Problem
from trainer_host.plugin.discovery import OBJECT, PluginRecord
from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec

if TYPE_CHECKING:
    from trainer_host.plugin.discovery import Kind

    Spec = TaskSpec | ExtensionSpec

PREFIX = "trainer_"
"""Prefix of the modules of plugins, by convention."""
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""The places between the words of a class name."""


def record_of_object(plugin: Any, name: str | None = None) -> PluginRecord:
    """Return the record of a plugin that is given as an object.

    Args:
        plugin: A `TaskSpec`, an `ExtensionSpec`, a module, an object with `hookimpl` methods, or its class.
        name: Its name; if omitted, the one that it gives itself, or that of its module or class.

    Raises:
        PluginError: If it is not a plugin.
    """
    spec = plugin if isinstance(plugin, (TaskSpec, ExtensionSpec)) else ExtensionSpec(hooks=plugin)
    hooks = spec.hooks
    kind: Kind = "task" if isinstance(spec, TaskSpec) else "extension"
    if spec is not plugin and (type(hooks).__module__ == "builtins" and not isinstance(hooks, (type, ModuleType))):
        what = f"{plugin!r:.60} is not a plugin ({type(plugin).__name__})."
        fix = "give a name, the path of a .py file, an ExtensionSpec, or an object with @hookimpl methods"
        raise PluginError(Problem(what, fix))
    name, target = name or name_of_spec(spec), ":".join(_place(spec))
    return PluginRecord(name, kind, OBJECT, OBJECT, "available", "", target, given=spec)


def name_of_spec(spec: Spec) -> str:
    """Return the name of a plugin: its own, or that of its module or class by convention.

    It is ``my-task`` for the module ``trainer_my_task`` and for the classes ``MyTask`` and ``MyTaskTrainer``.
    """
    if spec.name:
        return spec.name
    module, kind = _place(spec)
    package = module.partition(".")[0]
    if package.startswith(PREFIX):
        text = package.removeprefix(PREFIX)
    elif kind:
        plain = re.sub(r"(?<=.)(Hooks|Trainer)$", "", kind.rpartition(".")[2])
        text = WORDS.sub("-", plain).lower()
    else:
        text = module.rpartition(".")[2]
    return re.sub(r"[\W_]+", "-", text).strip("-") or "plugin"


def held_as(spec: Spec) -> tuple[str, str] | None:
    """Return the module and the attribute that hold a plugin's spec, by which it can be imported again; or None."""
    module, _ = _place(spec)
    held = vars(sys.modules[module]) if module in sys.modules else {}
    found = next((attribute for attribute, value in held.items() if value is spec), None)
    return (module, found) if found else None


def _place(spec: Spec) -> tuple[str, str]:
    """Return the module and the name of the class that a plugin is made of; no name if it is a module."""
    source: Any = spec.trainer if isinstance(spec, TaskSpec) and spec.trainer else spec.hooks
    if isinstance(source, str):
        module, _, name = source.partition(":")
        return module, name
    if isinstance(source, ModuleType):
        return source.__name__, ""
    kind = source if isinstance(source, type) else type(source)
    return kind.__module__, kind.__qualname__

"""Importing each plugin in a separate process, to find the broken ones; and describing one of them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.best_metric import FITNESS
from trainer_host.base.child_process import module_command
from trainer_host.base.errors import PluginError
from trainer_host.base.settings import is_file
from trainer_host.plugin.chain import HookManager, Member, hook_names, register
from trainer_host.plugin.plugin_commands import load_command
from trainer_host.plugin.plugin_loading import load_file
from trainer_host.plugin.plugin_options import describe_options
from trainer_host.plugin.plugin_spec import TaskSpec
from trainer_host.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.plugin.discovery import Kind, PluginRecord
    from trainer_host.plugin.plugin_spec import ExtensionSpec

TIMEOUT_S = 120.0


def check_all(registry: Registry) -> list[PluginRecord]:
    """Return the record of every plugin after it was imported in a separate process."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(partial(_check, registry), registry.records))


def _check(registry: Registry, record: PluginRecord) -> PluginRecord:
    if record.state not in {"available", "conflict"}:
        return record
    if record.given is not None:  # which is here already
        problem = _problem_of(registry, record)
        return replace(record, state="broken", reason=problem) if problem else record
    # Imported by its own interpreter, so that a crash or a changed process cannot reach anything else.
    command = module_command("trainer_host.plugin.import_check", record.kind, f"{record.distribution}:{record.name}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return replace(record, state="broken", reason=f"its import took longer than {TIMEOUT_S:g} seconds.")
    if done.returncode == 0:
        return record
    said = done.stdout.strip().splitlines()
    ended = f"its import ended the process with status {done.returncode}."
    return replace(record, state="broken", reason=said[-1] if said else ended)


SHOWN = ("default_model", "scratch_model", "best_metric", "metrics")
"""Attributes of a task that are shown, its own or its base's."""


def _of_task(chain: Sequence[tuple[PluginRecord, TaskSpec]], attribute: str) -> Any:
    return next((v for _, spec in reversed(chain) if (v := getattr(spec, attribute))), None)


def _defaults(chain: Sequence[tuple[PluginRecord, TaskSpec]]) -> dict[str, Any]:
    """Return what a task sets; its answer to the hook ``compute_fitness`` takes precedence over its ``best_metric``."""
    found = {name: _of_task(chain, name) for name in SHOWN}
    if not found["best_metric"] or any("compute_fitness" in _hooks(record, spec) for record, spec in chain):
        found["best_metric"] = FITNESS
    return found


def describe(name: str, registry: Registry) -> dict[str, Any]:
    """Import one plugin and return its distribution, version, chain, hooks and options as plain data.

    Args:
        name: Its name, that of a distribution that brings it alone, or the path of an extension's file.
        registry: The plugins to choose from.

    Raises:
        PluginError: If there is no such plugin, or if it is broken.
    """
    if is_file(name):
        return _described(*load_file(Path(name).expanduser().resolve()))
    record = registry.find(name)
    if record.kind == "command":
        load_command(record)
        return _described(record, None)
    if record.kind == "task":
        chain = registry.task_chain(f"{record.distribution}:{record.name}")
        return _described(*chain[-1], chain)
    return _described(record, registry.load(record))


def _hooks(record: PluginRecord, spec: TaskSpec | ExtensionSpec | None) -> list[str]:
    """Return the hooks that a plugin implements; for a trainer class those that its own methods answer."""
    if spec is None:
        return []
    if isinstance(spec, TaskSpec) and spec.trainer is not None:
        overridden: list[str] = spec.hooks.overridden()
        return overridden
    return hook_names(Member(record, spec))


def _described(
    record: PluginRecord, spec: TaskSpec | ExtensionSpec | None, chain: Sequence[tuple[PluginRecord, TaskSpec]] = ()
) -> dict[str, Any]:
    return {
        **record.as_json(),
        "chain": [r.name for r, _ in chain],
        "hooks": _hooks(record, spec),
        "defaults": _defaults(chain) if chain else {},
        "options": {
            o.name: {"type": o.type, "default": o.default, "help": o.help, "allowed": o.allowed}
            for o in describe_options(spec.options if spec else None)
        },
    }


def _problem_of(registry: Registry, record: PluginRecord) -> str:
    """Return why a plugin is broken, after importing it as a run would; empty if it is not."""
    try:
        if record.kind == "task":
            registry.chain(f"{record.distribution}:{record.name}")
        elif record.kind == "command":
            load_command(record)
        else:
            register(HookManager(), Member(record, registry.load(record)))
    except PluginError as error:
        return " ".join(str(error).split())
    return ""


def main(kind: Kind, name: str) -> int:
    """Import one plugin; print why it is broken and return 1 if it is."""
    registry = Registry.installed()
    problem = _problem_of(registry, registry.select(name, kind))
    if problem:
        sys.stdout.write(f"{problem}\n")
    return int(bool(problem))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))  # type: ignore[arg-type]

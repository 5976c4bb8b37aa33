"""Importing each plugin in a process of its own, to learn which are broken."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.best_metric import FITNESS
from trainer_host.base.child_process import module_command
from trainer_host.base.errors import PluginError
from trainer_host.base.settings import is_file
from trainer_host.plugin.chain import HookManager, Member, hook_names, load_chain, register, task_chain
from trainer_host.plugin.discovery import Kind, PluginRecord, discover, named, select
from trainer_host.plugin.plugin_commands import load_command
from trainer_host.plugin.plugin_loading import load_extension, load_named
from trainer_host.plugin.plugin_options import describe_options
from trainer_host.plugin.trainer_adapter import TrainerHooks

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trainer_host.plugin.plugin_spec import ExtensionSpec, TaskSpec

TIMEOUT_S = 120.0


def check_all(disabled: Collection[str] = ()) -> list[PluginRecord]:
    """Return the record of every plugin after it was imported in a process of its own."""
    records = discover(disabled)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(_check, records))


def _check(record: PluginRecord) -> PluginRecord:
    if record.state not in {"available", "conflict"}:
        return record
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
    """Return what a task sets; its answer to the hook ``fitness`` takes precedence over its ``best_metric``."""
    found = {name: _of_task(chain, name) for name in SHOWN}
    if not found["best_metric"] or any("fitness" in _hooks(record, spec) for record, spec in chain):
        found["best_metric"] = FITNESS
    return found


def describe(name: str, disabled: Collection[str] = ()) -> dict[str, Any]:
    """Import one plugin and return its distribution, version, chain, hooks and options as plain data.

    Args:
        name: Its name, that of a distribution that brings it alone, or the path of an extension's file.
        disabled: Names of plugins that are switched off.

    Raises:
        PluginError: If there is no such plugin, or if it is broken.
    """
    records = discover(disabled)
    kind: Kind = "extension"
    if not is_file(name):
        name, kind = named(name, records)
    chain: list[tuple[PluginRecord, TaskSpec]] = []
    if kind == "command":
        record = select(name, kind, records)
        load_command(record)
        return _described(record, chain, None)
    if kind == "task":
        chain = task_chain(name, records)
        return _described(chain[-1][0], chain, chain[-1][1])
    record, spec = load_named(name, records)
    return _described(record, chain, spec)


def _hooks(record: PluginRecord, spec: TaskSpec | ExtensionSpec | None) -> list[str]:
    """Return the hooks that a plugin implements; of a trainer class those that its own methods answer."""
    if spec is None:
        return []
    if isinstance(spec.hooks, TrainerHooks):
        return spec.hooks.overridden()
    return hook_names(Member(record, spec))


def _described(
    record: PluginRecord, chain: Sequence[tuple[PluginRecord, TaskSpec]], spec: TaskSpec | ExtensionSpec | None
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


def main(kind: str, name: str) -> int:
    """Import one plugin as a run would; print why it is broken and return 1 where it is."""
    try:
        if kind == "task":
            load_chain(name)
        elif kind == "command":
            load_command(select(name, "command", discover()))
        else:
            record = select(name, "extension", discover())
            register(HookManager(), Member(record, load_extension(record)))
    except PluginError as error:
        sys.stdout.write(" ".join(str(error).split()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

"""Commands that packages add to ``trainer``, in the entry-point group ``trainer_host.commands``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer_host.base.errors import PluginCrashError, PluginError, Problem
from trainer_host.plugin.error_attribution import crash_of
from trainer_host.plugin.plugin_loading import load_target

if TYPE_CHECKING:
    from trainer_host.plugin.discovery import PluginRecord
    from trainer_host.plugin.registry import Registry


def load_command(record: PluginRecord) -> click.Command:
    """Import a command.

    Raises:
        PluginError: If the import fails, or if the entry point names something else.
    """
    command = load_target(record)
    if not isinstance(command, click.Command):
        what = f"command {record.name!r} from {record.origin} is broken: {record.target} is not a click command."
        raise PluginError(Problem(what, "decorate it with @click.command()"))
    return command


def crash_of_command(error: Exception, registry: Registry) -> PluginCrashError | None:
    """Return the error that names the command whose code raised ``error``, or None if none did."""
    records = {f"{r.distribution}:{r.name}": r for r in registry.records if r.kind == "command"}
    return crash_of(error, records)

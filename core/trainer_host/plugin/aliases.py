"""Classes of plugins that stand in for those that pickles of old weights name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trainer_host.base.errors import PluginError, Problem
from trainer_host.plugin.chain import Member, task_chain
from trainer_host.plugin.discovery import discover
from trainer_host.plugin.loading import load_extension, load_named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def joined_aliases(members: Iterable[Member]) -> dict[str, str]:
    """Return the aliases of plugins: ``module:class`` by the name in a pickle.

    Raises:
        PluginError: If two plugins give different classes for one name.
    """
    found: dict[str, str] = {}
    owners: dict[str, Member] = {}
    for member in members:
        for name, target in member.spec.aliases.items():
            if found.setdefault(name, target) != target:
                first, second = (f"{m.record.kind} {m.record.name!r}" for m in (owners[name], member))
                raise PluginError(Problem(f"{first} and {second} both have an alias {name!r}.", "Leave one out."))
            owners.setdefault(name, member)
    return found


def named_aliases(task: str | None, extensions: Iterable[str], disabled: Collection[str] = ()) -> dict[str, str]:
    """Return the aliases of the plugins that a run names, before its chain is known.

    Args:
        task: The task's name, where the user gave one.
        extensions: Names of installed extensions, or paths of Python files.
        disabled: Names of plugins that are switched off.

    Raises:
        PluginError: If one of them is missing or broken.
    """
    records = discover(disabled)
    loaded = task_chain(task, records) if task else []
    members = [Member(record, spec) for record, spec in loaded]
    for record in records:
        if record.always and record.state == "available":
            with suppress(PluginError):  # a broken plugin that nobody asked for stops nothing
                members.append(Member(record, load_extension(record)))
    tasks = {r.name for r in records if r.kind == "task"}
    members += [Member(*load_named(name, records)) for name in extensions if name not in tasks]
    return joined_aliases({m.record: m for m in members}.values())

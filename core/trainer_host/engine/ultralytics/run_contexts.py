"""Contexts of hooks, filled with the fields that every context of a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.contexts import RunContext

if TYPE_CHECKING:
    from trainer_host.engine.protocol import LiveRun

C = TypeVar("C", bound=RunContext)


def make_context(kind: type[C], run: LiveRun, **fields: Any) -> C:
    """Return a view of a run for a hook.

    Args:
        kind: The class of the context.
        run: The run, with its plugins.
        fields: The other fields.
    """
    chain = run.chain
    common: dict[str, Any] = {
        "task": chain.name,
        "engine_task": chain.engine_task,
        "options": chain.options,
        "exact": run.options.exact,
        "offline": run.options.offline,
        "rank": run.group.ranks.rank,
        "world_size": run.group.ranks.world_size,
    }
    return kind(**{**common, **fields})

"""Contexts of hooks, filled with the fields that every context of a run has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from trainer_host.base.contexts import RunContext

if TYPE_CHECKING:
    from trainer_host.engine.plan import Plan

C = TypeVar("C", bound=RunContext)


def make_context(kind: type[C], plan: Plan, **fields: Any) -> C:
    """Return a view of a run for a hook.

    Args:
        kind: The class of the context.
        plan: The plugins and promises of the run.
        fields: The other fields.
    """
    chain = plan.chain
    common: dict[str, Any] = {
        "task": chain.name,
        "engine_task": chain.engine_task,
        "options": chain.options,
        "exact": plan.exact,
        "offline": plan.offline,
    }
    return kind(**{**common, **fields})

"""The engine of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.engine.factory import make_engine

if TYPE_CHECKING:
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.chain import Chain
    from trainer_host.plugin.registry import Registry


def engine_of_task(task: str, registry: Registry) -> Engine:
    """Return the engine of a task.

    Raises:
        PluginError: If the task or one of its bases cannot be used.
    """
    named = [spec.engine for _, spec in registry.task_chain(task) if spec.engine]
    return make_engine(named[-1] if named else None)


def engine_of_chain(chain: Chain) -> Engine:
    """Return the engine of a task that is loaded."""
    return make_engine(chain.engine_target)

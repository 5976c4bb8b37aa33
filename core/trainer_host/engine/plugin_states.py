"""State of plugins in checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.errors import PluginError, Problem
from trainer_host.plugin.hook_collection import implementers, mappings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.contexts import RunContext
    from trainer_host.plugin.chain import Chain

PLUGIN_STATES = "plugin_states"
"""Key of a checkpoint's record for what plugins return from `state_dict`."""


def states(chain: Chain, ctx: RunContext) -> dict[str, dict[str, Any]]:
    """Return the state of plugins for a checkpoint, by their names.

    Raises:
        PluginError: If a part of it could not be read back.
    """
    found = {p.partition(":")[2]: dict(s) for p, s in mappings(chain.manager, "state_dict", ctx=ctx) if s}
    for plugin, state in found.items():
        if (strange := _unstorable(state, "state")) is not None:
            fix = "return numbers, text, lists, dicts and tensors"
            raise PluginError(Problem(f"the state of plugin {plugin!r} cannot be stored: {strange}.", fix))
    return found


def _unstorable(value: Any, place: str) -> str | None:
    """Return the place in a state of a value that reading a checkpoint would refuse, or None."""
    if isinstance(value, dict):
        inner = [(each, f"{place}[{key!r}]") for key, each in value.items()]
        inner += [(key, f"the key {key!r} of {place}") for key in value]
    elif isinstance(value, (list, tuple)):
        inner = [(each, f"{place}[{i}]") for i, each in enumerate(value)]
    elif value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        return None
    else:
        return f"{place} is a {type(value).__name__}"
    return next(filter(None, (_unstorable(each, where) for each, where in inner)), None)


def restore_states(chain: Chain, ctx: RunContext, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Restore the state of plugins from a checkpoint."""
    for plugin, load in implementers(chain.manager, "load_state_dict"):
        if (state := kept.get(plugin.partition(":")[2])) is not None:
            load(ctx=ctx, state=state)

"""Options of the host that a setting of the engine leaves without an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem
from trainer_host.base.run_options import declared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.base.request import GivenValue, Request
    from trainer_host.engine.protocol import Engine

OF_STATES = ("checkpoint_every", "keep_state")
"""Options about the state of a training."""


def unused_options(request: Request, engine: Engine) -> Iterator[Problem]:
    """Yield a problem to warn about for the options of a run that have no effect, or not the expected one."""
    off = engine.settings.without_states(request.values)
    if off is None:
        return
    given = {name: one for name, one in request.given.items() if name in OF_STATES and one.value}
    if given:
        names = " and ".join(_written(name, one) for name, one in given.items())
        verb = "has" if len(given) == 1 else "have"
        where = next(iter(given.values())).where
        yield Problem(f"{names} {verb} no effect: {off} saves no state.", f"remove {off}", where)
    again = request.given.get("if_exists")
    if again is not None and again.value == "resume":
        what = f"{_written('if_exists', again)} starts a run that was stopped from the beginning: {off} saves no state."
        yield Problem(what, f"remove {off}", again.where)


def _written(name: str, one: GivenValue) -> str:
    option = declared()[name]
    return option.written(option.as_data(one.value), one.origin)

"""What every part of a training in this process uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.protocol import Engine
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.ranks import RankGroup


@dataclass(frozen=True)
class SessionContext:
    """What every part of a training in this process uses.

    Attributes:
        registry: The plugins to choose from.
        reporter: Shows notes, warnings and the progress.
        stop: Whether it is to end early.
        engine: The engine of the run.
        ranks: The processes that carry it out.
    """

    registry: Registry
    reporter: Reporter
    stop: StopRequest
    engine: Engine
    ranks: RankGroup

"""The point at which a training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_host.engine.state_files import StateEntry


@dataclass(frozen=True)
class Resumption:
    """The states that a training may go on from.

    Attributes:
        entries: State files, the newest last.
    """

    entries: tuple[StateEntry, ...]

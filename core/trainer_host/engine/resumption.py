"""The point at which a training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.engine.state_files import StateEntry


@dataclass(frozen=True)
class Resumption:
    """The states that a training may go on from.

    Attributes:
        entries: State files, the newest last.
        history: Earlier resumes, as the record of the run has them.
        more_epochs: Whether more epochs were asked for than before, so that a training that was finished goes on.
    """

    entries: tuple[StateEntry, ...]
    history: tuple[Mapping[str, Any], ...] = ()
    more_epochs: bool = False

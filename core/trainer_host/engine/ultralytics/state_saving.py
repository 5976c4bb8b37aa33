"""The moments at which the state of a training is saved, and at which a request to stop ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.state_files import StateEntry, StateFiles


class StateSaver:
    """Saves the state of a training when it is due.

    Args:
        files: The state files; None to save none.
        stop: Requests by signals; None for a training that does not listen to any.
        entries: States of an earlier process, the newest last.
        content: The state to resume; None for a new training.
    """

    def __init__(
        self,
        files: StateFiles | None = None,
        stop: StopRequest | None = None,
        *,
        entries: Sequence[StateEntry] = (),
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self.files, self.stop, self.entries, self.content = files, stop, entries, content

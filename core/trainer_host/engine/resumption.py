"""The point at which a training goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_host.engine.state_files import StateEntry


@dataclass
class Resumption:
    """The state that a training goes on from, read and verified.

    Attributes:
        entry: Its file, as the record names it.
        content: What the file holds, until it is taken.
    """

    entry: StateEntry
    content: dict[str, Any] | None = field(repr=False)

    def take(self) -> dict[str, Any]:
        """Return the content; it is not held here any more, since it may have a gigabyte.

        Raises:
            RuntimeError: If it was taken before.
        """
        if self.content is None:
            raise RuntimeError("the state was taken before")
        content, self.content = self.content, None
        return content

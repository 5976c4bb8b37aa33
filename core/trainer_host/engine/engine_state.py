"""An installed engine, compared with the releases that the host was tested with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer_host.base.errors import Problem

SHOWN = 3
"""Changed functions that a message names; it counts the others."""
SAME = "same source as "


@dataclass(frozen=True)
class EngineState:
    """The installed engine compared with the tested releases.

    Attributes:
        engine: The engine's name.
        release: Its version.
        tested: The tested releases, oldest first.
        nearest: The tested release that it differs least from.
        changed: Inherited functions and constants that differ from ``nearest``.
        bypassed: Functions that differ, and that the host re-implements.
        missing: Names that the host uses and that the engine lacks.
    """

    engine: str
    release: str
    tested: tuple[str, ...]
    nearest: str
    changed: tuple[str, ...] = ()
    bypassed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """``tested``, ``same source``, ``changed`` or ``missing names``."""
        if self.missing:
            return "missing names"
        if self.changed or self.bypassed:
            return "changed"
        return "tested" if self.release in self.tested else "same source"

    def as_data(self) -> Any:
        """Return the state as the record of a run has it."""
        if self.status == "same source":
            return f"{SAME}{self.nearest}"
        return {"changed": [*self.changed, *self.bypassed]} if self.status == "changed" else self.status

    def problem(self) -> Problem | None:
        """Return a problem for an engine whose source no tested release has; None if there is no difference."""
        fix = f'pip install "{self.engine}=={self.nearest}"'
        if self.missing:
            return Problem(f"{self.engine} {self.release} lacks {_listed(self.missing)}, needed by trainer-host.", fix)
        if not self.changed and not self.bypassed:
            return None
        of_release = "is modified" if self.release in self.tested else "is untested"
        parts = []
        if self.changed:
            verb = "differs" if len(self.changed) == 1 else "differ"
            parts.append(f"{_listed(self.changed)} {verb} from {self.nearest}, so results may differ")
        if self.bypassed:
            parts.append(f"the host re-implements {_listed(self.bypassed)} as in {self.nearest}, without the changes")
        return Problem(f"{self.engine} {self.release} {of_release}: {'; '.join(parts)}.", fix)


def tested_source(release: Any, state: Any) -> str | None:
    """Return the tested release whose source a recorded engine has; None if it has that of none.

    Args:
        release: Its version.
        state: Its state, as `EngineState.as_data` gives it.
    """
    if not isinstance(state, str):
        return None
    return str(release) if state == "tested" else state.removeprefix(SAME) if state.startswith(SAME) else None


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

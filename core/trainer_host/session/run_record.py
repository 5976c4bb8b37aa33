"""The record of a run: a file that is itself a settings file for the same run."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import atomic_write, plain
from trainer_host.base.display import escaped
from trainer_host.base.request import from_file
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.settings import is_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainer_host.engine.state_files import StateEntry
    from trainer_host.session.recorded_environment import Difference

FILE = "run.yaml"
DONE = "done"
"""The status of a run that was trained to its end, the final evaluation included."""
KEPT = ("started", "states", "resumed", "recoveries", "weights")
"""Keys that a run keeps when it is resumed."""


class RunRecord:
    """Writes ``run.yaml`` into a run's folder when it begins, with each state that is saved, and when it ends.

    The record of an earlier run in the folder stays as it is until `resume` or `begin` is called, so that a run that is
    refused changes nothing.

    It owns the state files of the run: they count while it names them, and are removed once it does not.

    Args:
        folder: The run's folder.
        resolved: What the run does.
        earlier: The record of the run that is resumed.

    Attributes:
        states: The state files.
    """

    def __init__(self, folder: Path, resolved: ResolvedRun, earlier: Mapping[str, Any] | None = None) -> None:
        from trainer_host.engine.state_files import StateFiles  # which imports torch

        self.path, self.resolved = folder / FILE, resolved
        self.states = StateFiles(folder / "weights", record=self.save_states)
        self.dataset: dict[str, Any] = {"file": str(resolved.settings.get("data"))}
        self.outcome: dict[str, Any] = {"status": "running", "started": _now()}
        self.is_written = earlier is None and not self.path.exists()
        if earlier is not None:
            self.outcome |= {key: earlier[key] for key in KEPT if key in earlier}
        self._write()

    def read(self, dataset: Mapping[str, Any]) -> None:
        """Record what was read of the dataset, and what was skipped."""
        self.dataset |= dataset
        self._write()

    def begin(self) -> None:
        """Record that the run trains. States of an earlier run in the folder go with its record."""
        replaces, self.is_written = not self.is_written, True
        self._write()
        if replaces:
            remove_states(self.path.parent)

    def resume(self, entry: StateEntry | None, differences: Sequence[Difference]) -> None:
        """Record that the run goes on.

        Args:
            entry: The state that it goes on from; None for its beginning.
            differences: What differs from the run as it was recorded.
        """
        place = {"epoch": entry.epoch + 1, "batch": entry.batch} if entry is not None else {"epoch": 1, "batch": 0}
        found = [{"name": d.name, "recorded": plain(d.recorded), "now": plain(d.now)} for d in differences]
        self.outcome["resumed"] = [
            *self.outcome.get("resumed", ()),
            {"at": _now(), "from": place, "differences": found},
        ]
        self.is_written = True
        self._write()

    def save_states(self, entries: Sequence[StateEntry]) -> None:
        """Record the state files; with this a state that was written becomes the one to go on from."""
        self.outcome["states"] = [entry.as_data() for entry in entries]
        self._write()

    @property
    def recoveries(self) -> list[dict[str, Any]]:
        """The recoveries from values that were not finite, as plain data, also those before the run was resumed."""
        found = self.outcome.get("recoveries")
        return list(found) if isinstance(found, list) else []

    def add_recovery(self, recovery: Mapping[str, Any]) -> None:
        """Record a recovery from values that are not finite.

        It is recorded once, although a run that is killed before its next state meets it again.
        """
        if (one := plain(recovery)) not in self.recoveries:
            self.outcome["recoveries"] = [*self.recoveries, one]
            self._write()

    def finish(self, **facts: Any) -> None:
        """Record that the run is done, and remove its states unless they are to stay."""
        if self.resolved.options.keep_state:
            self.end(DONE, **facts)
            return
        self.outcome.pop("states", None)  # first, so that no record names a file that is gone
        self.end(DONE, **facts)
        remove_states(self.path.parent)

    def end(self, status: str, **facts: Any) -> None:
        """Record how the run ended."""
        self.outcome |= {"status": status, "ended": _now(), **facts}
        self._write()

    def _write(self) -> None:
        if not self.is_written:
            return
        text = self.resolved.text({**self.outcome, "dataset": self.dataset})
        atomic_write(self.path, (_head(self.resolved) + text).encode(), durable=True)


def remove_states(folder: Path) -> None:
    """Remove the state files of a run whose record does not name any."""
    from trainer_host.engine.state_files import StateFiles

    StateFiles(folder / "weights").remove()


def record_failure(folder: Path, status: str, error: str) -> None:
    """Record why a run ended whose processes have, since the one that wrote the record was only stopped."""
    resolved = ResolvedRun.read(folder / FILE)
    kept = {key: value for key, value in from_file(folder / FILE).record.items() if key not in resolved.record()}
    text = resolved.text({**kept, "status": status, "error": error})
    atomic_write(folder / FILE, (_head(resolved) + text).encode(), durable=True)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _head(resolved: ResolvedRun) -> str:
    """Return the comment that says how to run it again."""
    if resolved.objects:
        kinds = escaped(", ".join(resolved.objects.values()))
        return f"# A run of trainer-host. It cannot be run again from this file alone, which cannot store {kinds}.\n"
    # Escaped, because a line break in a name would end the comment.
    files = "".join(f" --plugin {escaped(shlex.quote(name))}" for name in resolved.plugins if is_file(name))
    return f"# A run of trainer-host. To run it again: trainer run {FILE}{files}\n"

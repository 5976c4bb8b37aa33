"""The record of a run: a file that is itself a settings file for the same run."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.display import escaped
from trainer_host.base.settings import is_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.resolved_run import ResolvedRun

FILE = "run.yaml"


class RunRecord:
    """Writes ``run.yaml`` into a run's folder when it begins, and again when it ends.

    Args:
        folder: The run's folder.
        resolved: What the run does.
    """

    def __init__(self, folder: Path, resolved: ResolvedRun) -> None:
        self.path, self.resolved = folder / FILE, resolved
        self.dataset: dict[str, Any] = {"file": str(resolved.settings.get("data"))}
        self.outcome: dict[str, Any] = {"status": "running", "started": _now()}
        self._write()

    def read(self, dataset: Mapping[str, Any]) -> None:
        """Record what was read of the dataset, and what was skipped."""
        self.dataset |= dataset
        self._write()

    def end(self, status: str, **facts: Any) -> None:
        """Record how the run ended."""
        self.outcome |= {"status": status, "ended": _now(), **facts}
        self._write()

    def _write(self) -> None:
        text = self.resolved.text({**self.outcome, "dataset": self.dataset})
        atomic_write(self.path, (_head(self.resolved) + text).encode())


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

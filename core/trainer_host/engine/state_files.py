"""The files that hold the state of a training: written whole or not at all, and verified."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.atomic_io import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class StateEntry:
    """A state file, as the record of the run has it.

    Attributes:
        file: Its name in the folder of the weights.
        sha256: Its checksum.
        bytes: Its size.
        epoch: The epoch in progress, counted from 0.
        batch: Batches of it that are done.
        phase: ``batches``, ``validation`` or ``finished``.
    """

    file: str
    sha256: str
    bytes: int
    epoch: int
    batch: int
    phase: str

    def as_data(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return asdict(self)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> StateEntry:
        """Return the entry that `as_data` made this data of."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


class StateFiles:
    """The state files of a run.

    Args:
        folder: Their folder.
        keep: How many of them stay.
        record: Called with the entries that are there, the newest last, before older files are removed.
    """

    def __init__(
        self, folder: Path, keep: int = 2, record: Callable[[Sequence[StateEntry]], None] = lambda _: None
    ) -> None:
        self.folder, self.keep, self.record = folder, keep, record
        self.entries: list[StateEntry] = []
        self.skipped: list[str] = []

    def write(self, content: Mapping[str, Any], *, epoch: int, batch: int, phase: str) -> StateEntry:
        """Write a state, record it, and remove those that are no longer needed."""
        buffer = io.BytesIO()
        torch.save(dict(content), buffer)
        data = buffer.getvalue()
        name = f"state-{epoch:04d}-{batch:06d}.pt"
        atomic_write(self.folder / name, data, parents=True)
        entry = StateEntry(name, hashlib.sha256(data).hexdigest(), len(data), epoch, batch, phase)
        self.entries = [*(e for e in self.entries if e.file != name), entry][-self.keep :]
        self.record(self.entries)
        for path in self.folder.glob("state-*.pt"):
            if path.name not in {e.file for e in self.entries}:
                path.unlink(missing_ok=True)
        return entry

    def newest(self, entries: Sequence[StateEntry]) -> tuple[StateEntry, dict[str, Any]] | None:
        """Return the newest state that verifies; ``skipped`` says which it did not take, and why."""
        self.skipped = []
        for entry in reversed(entries):
            path = self.folder / os.path.basename(entry.file)  # noqa: PTH119
            try:
                data = path.read_bytes()
            except OSError as error:
                self.skipped.append(f"{path}: {error.strerror}.")
                continue
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                self.skipped.append(f"{path}: the file is damaged.")
                continue
            return entry, torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return None

    def remove(self) -> None:
        """Remove all state files."""
        for path in self.folder.glob("state-*.pt"):
            path.unlink(missing_ok=True)

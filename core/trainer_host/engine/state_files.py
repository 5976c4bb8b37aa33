"""Files that hold the state of a training: each appears whole, is verified, and counts once the run's record names it.

A killed or failed write leaves the states that the record names as they are. A new state never takes the name of a
recorded one, and an older one is removed only after the record names the new one.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import IO, TYPE_CHECKING, Any

import torch

from trainer_host.base.atomic_io import FULL, appearing_whole, display_path
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.engine.packed_state import packed, packed_bytes, same, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

NAME = re.compile(r"state-\d{4,}-\d{6,}(-\d+)?\.pt", re.ASCII)
CHUNK = 1 << 20
MEGABYTE = 1_000_000
LISTEN = 0.2
"""Seconds between two moments at which a wait heeds signals."""


@dataclass(frozen=True)
class StateEntry:
    """A state file, as the record of a run names it.

    Attributes:
        file: Its name in the folder of the states.
        sha256: Its checksum, in hexadecimal digits.
        bytes: Its size.
        epoch: The epoch in progress, counted from 0.
        batch: How many batches of it are done.
        phase: The part of the epoch that comes next.
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
    def of_data(cls, data: Any) -> StateEntry:
        """Return the entry that plain data describe.

        Raises:
            SettingsError: If they do not describe one.
        """
        kinds = {field.name: {"str": str, "int": int}[str(field.type)] for field in fields(cls)}
        if not isinstance(data, dict) or any(type(data.get(k)) is not kind for k, kind in kinds.items()):
            what = f"{data!r} does not describe a state file."
            raise SettingsError(Problem(what, f"write its {', '.join(kinds)}, as trainer run does"))
        if not NAME.fullmatch(data["file"]):
            raise SettingsError(Problem(f"{data['file']!r} is not the name of a state file.", "correct the record"))
        return cls(**{k: data[k] for k in kinds})


class _Hashed:
    """A file that torch writes to: it computes the checksum, and keeps an error until torch is done.

    An exception that passes through torch's writer comes out as another one.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.hash, self.size = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write data, unless an earlier part could not be written."""
        count = memoryview(data).nbytes
        if self.error is None:
            self.hash.update(data)
            self.size += count
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        return count

    def flush(self) -> None:
        """Leave it to the file."""


class _Writing(threading.Thread):
    """A thread that writes one state, and keeps the error that ended it."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(name="training-state", daemon=True)
        self.work = work
        self.error: BaseException | None = None
        self.done = threading.Event()  # `join` would put signals off, and a thread that it is torn from counts as ended

    def run(self) -> None:
        """Write it."""
        try:
            self.work()
        except BaseException as error:  # raised again in the thread of the training
            self.error = error
        finally:
            self.done.set()


def _no_record(_: Sequence[StateEntry]) -> None:
    """Record nothing."""


class StateFiles:
    """Writes the states of a training, and reads the newest that is whole.

    Args:
        folder: Where they are; it exists.
        keep: How many stay.
        record: Writes the entries of all states, oldest first, into the run's record, whole or not at all: a state
            counts from then on.

    Attributes:
        entries: The states that the record names and that are not known to be damaged, oldest first.
        skipped: What was wrong with each newer state that `newest` did not take.
    """

    def __init__(
        self, folder: Path, keep: int = 2, record: Callable[[Sequence[StateEntry]], None] = _no_record
    ) -> None:
        self.folder, self.keep, self.record = folder, max(keep, 1), record
        self.entries: tuple[StateEntry, ...] = ()
        self.skipped: tuple[Problem, ...] = ()
        self._writing: _Writing | None = None
        self._recording = threading.Lock()
        self._named: set[str] = set()
        """Files that the record may name: also after a failure in writing it, which leaves that open."""
        self._knows_record = False

    def write(self, content: Mapping[str, Any], *, epoch: int, batch: int, phase: str) -> StateEntry:
        """Write a state as `start_writing` does, and wait for it."""
        self.start_writing(content, epoch=epoch, batch=batch, phase=phase)
        self.wait()
        return self.entries[-1]

    def start_writing(self, content: Mapping[str, Any], *, epoch: int, batch: int, phase: str) -> None:
        """Copy a state; then, in a thread, write it, verify it, have it recorded, and remove what is too old.

        The training need not wait for the disk. What goes wrong is raised by the next call, `raise_failure` or `wait`.

        Args:
            content: Nested plain data and tensors.
            epoch: The epoch in progress, counted from 0.
            batch: How many batches of it are done.
            phase: The part of the epoch that comes next.

        Raises:
            StorageError: If the disk is full, or returns other data than were written.
            OSError: If it cannot be written for another reason; the error names the file.
        """
        self.wait()
        if self._knows_record:  # what a killed process left takes space that this state may need
            self._remove_others()
            self._knows_record = False
        path, stored = self._free_path(epoch, batch), packed(content)
        self._writing = _Writing(lambda: self._commit(path, stored, epoch, batch, phase))
        self._writing.start()

    def raise_failure(self) -> None:
        """Raise what went wrong, if anything has by now."""
        if self._writing is not None and self._writing.done.is_set():
            self.wait()

    def wait(self) -> None:
        """Wait for a state that is being written.

        Raises:
            StorageError: As `start_writing` does.
            OSError: As `start_writing` does.
        """
        writing = self._writing
        if writing is not None:
            while not writing.done.wait(LISTEN):
                pass
            self._writing = None
            if writing.error is not None:
                raise writing.error

    def abandon(self) -> None:
        """Leave a state that is being written: it is not recorded any more."""
        with self._recording:
            self._writing = None

    def _commit(self, path: Path, stored: Mapping[str, Any], epoch: int, batch: int, phase: str) -> None:
        checksum, size = self._write(path, stored)
        entry = StateEntry(path.name, checksum, size, epoch, batch, phase)
        if not _reads_as(path, stored):
            with suppress(OSError):
                path.unlink()
            what = "the training state was written, but other data were read back."
            raise StorageError(Problem(what, "check the disk", display_path(path)))
        with self._recording:
            if self._writing is not threading.current_thread():
                path.unlink()
                return
            entries = (*self.entries, entry)[-self.keep :]
            self._named |= {entry.file}
            self.record(entries)
            self.entries, self._named = entries, {e.file for e in entries}
            self._remove_others()

    def newest(self, entries: Sequence[StateEntry]) -> tuple[StateEntry, dict[str, Any]] | None:
        """Return the newest state that is whole, with its entry, on the CPU; None if there is none.

        Args:
            entries: The states that the record names, oldest first.
        """
        self.wait()
        self._named, self._knows_record = {e.file for e in entries}, True
        self.entries = ()
        skipped: list[Problem] = []
        for i, entry in reversed(list(enumerate(entries))):
            content, damage = _read(self.folder / entry.file, entry)
            if content is not None:
                self.entries = tuple(entries[: i + 1])
                self.skipped = tuple(skipped)
                return entry, content
            skipped.append(Problem(f"the training state {damage}.", where=display_path(self.folder / entry.file)))
        self.skipped = tuple(skipped)
        return None

    def remove(self) -> None:
        """Remove all states, from the record first."""
        self.wait()
        self.record(())
        self.entries, self._named = (), set()
        self._remove_others()

    def _write(self, path: Path, stored: Mapping[str, Any]) -> tuple[str, int]:
        try:
            with appearing_whole(path, durable=True) as file:
                target = _Hashed(file)
                torch.save(stored, target)  # type: ignore[arg-type]
                if target.error is not None:
                    raise target.error
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise self._full(error, packed_bytes(stored), path) from error
        return target.hash.hexdigest(), target.size

    def _full(self, error: OSError, size: int, path: Path) -> StorageError:
        need, free = size + MEGABYTE, 0
        with suppress(OSError):
            free = shutil.disk_usage(self.folder).free
        # A quota leaves free space that this user cannot have.
        missing = need - free if free < need and error.errno == errno.ENOSPC else need
        what = f"cannot write the training state of {_size(need)}: {error.strerror}."
        return StorageError(Problem(what, f"free {_size(missing)}, then resume the run", display_path(path)))

    def _free_path(self, epoch: int, batch: int) -> Path:
        """Return a new path for a state: one of the same position may be recorded."""
        stem, number = f"state-{epoch:04}-{batch:06}", 0
        while (path := self.folder / f"{stem}{f'-{number}' * (number > 0)}.pt").exists() or path.name in self._named:
            number += 1
        return path

    def _remove_others(self) -> None:
        """Remove states that the record does not name: old ones, and those that a killed process left unrecorded."""
        with suppress(OSError):  # they are removed after the next state
            for path in list(self.folder.iterdir()):
                if NAME.fullmatch(path.name) and path.name not in self._named:
                    path.unlink()


def _size(count: int) -> str:
    return f"{count / MEGABYTE:.1f} MB"


def _read(path: Path, entry: StateEntry) -> tuple[dict[str, Any] | None, str]:
    """Return the content of a state file, or what is wrong with it."""
    try:
        with path.open("rb") as file:
            if damage := _difference(file, entry):
                return None, damage
            file.seek(0)
            content = unpacked(torch.load(file, map_location="cpu", weights_only=True))
    except OSError as error:
        return None, f"cannot be read: {error.strerror or error}"
    except Exception as error:  # torch raises many kinds
        return None, f"cannot be read by torch {torch.__version__} ({type(error).__name__})"
    return (content, "") if isinstance(content, dict) else (None, "is not a training state")


def _reads_as(path: Path, stored: Mapping[str, Any]) -> bool:
    """Return whether a file holds what was written to it, in a form that can be read safely.

    It comes from the system's cache as a rule, which proves what was handed to the system; that the disk has it is what
    a successful fsync says.
    """
    try:
        return same(torch.load(path, map_location="cpu", weights_only=True, mmap=True), stored)
    except Exception:  # torch raises many kinds
        return False


def _difference(file: IO[bytes], entry: StateEntry) -> str | None:
    found, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        found.update(chunk)
        size += len(chunk)
    if size != entry.bytes:
        return f"has {size} bytes instead of {entry.bytes}"
    return None if found.hexdigest() == entry.sha256 else "is damaged: its checksum is not the recorded one"

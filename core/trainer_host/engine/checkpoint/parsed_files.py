"""Checkpoints that are parsed once in a run, however often it opens them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.gc_pause import gc_paused
from trainer_host.engine.checkpoint.archive import Archive
from trainer_host.engine.checkpoint.inert_pickle import read_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.engine.checkpoint.inert_pickle import Described

MAX_FILES = 4


class ParsedFiles:
    """Archives with what their pickles describe. They are kept in a run only; outside, every opening parses the file.

    Tensors are not shared: each opening reads its own, since a training changes those that it starts from.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[Archive, Described]] = {}
        self._users = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what is parsed until every such context is left."""
        # Counted, not restored: predictions that are read lazily may end in any order.
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self.forget()

    def forget(self) -> None:
        """Free the memory of what was parsed."""
        self._kept.clear()

    def open(self, path: Path) -> tuple[Archive, Described]:
        """Return the archive of a file and what its pickle describes, which nobody changes.

        Raises:
            UnreadableError: If it is not such an archive, is damaged, or beyond the limits.
        """
        status = path.stat()
        # A file that was replaced is another one: the host writes files next to the old ones and renames them.
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, str(path))
        if (found := self._kept.get(key)) is not None:
            archive, described = found
            return archive.reopened(), described
        archive = Archive(path)
        with gc_paused():  # many small objects, none of which is garbage
            described = read_pickle(archive.pickle())
        if self._users and len(self._kept) < MAX_FILES:
            self._kept[key] = archive.reopened(), described
        return archive, described

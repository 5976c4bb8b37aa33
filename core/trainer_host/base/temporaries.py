"""Files and folders on their way to their names, and those that killed processes have left of them.

Each has the process in its name that writes it. The first time that a process writes to a folder, it removes what dead
processes have left there; what belongs to a living process, another machine or another container stays.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.process_identity import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = re.compile(r"\..*\.([0-9a-f]{8}-\d+-\d+-\d+)-[0-9a-f]{8}\.part", re.DOTALL)
LONGEST = 40
"""Letters of the final name that the temporary one repeats; a file's name has 255 bytes at most."""
_swept: set[tuple[int, str]] = set()


def temporary_path(path: Path) -> Path:
    """Return a free name for a file or folder next to its final place."""
    return path.with_name(f".{path.name[:LONGEST]}.{Process.current()}-{secrets.token_hex(4)}.part")


@contextmanager
def naming(path: Path, *hidden: Path) -> Iterator[None]:
    """Have an error of the system name a path if it names none, as for a full disk, or one that is hidden."""
    try:
        yield
    except OSError as error:
        if error.filename is None or any(Path(str(error.filename)).is_relative_to(h) for h in hidden):
            error.filename = str(path)
        raise


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder next to a path, for what is going to be moved there; it is removed on leaving.

    Args:
        path: Where its content is going to be; the folder above is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(path.parent)
    folder = temporary_path(path)
    try:
        with naming(path, folder):
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_once(folder: Path) -> None:
    """Remove what dead processes have left in a folder, once for each process."""
    key = os.getpid(), str(folder)
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what dead processes have left in a folder."""
    try:
        with os.scandir(folder) as entries:
            left = [e for e in entries if e.name.endswith(".part") and _is_left(e.name)]
    except OSError:
        return
    for entry in left:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                Path(entry.path).unlink()


def _is_left(name: str) -> bool:
    match = MARK.fullmatch(name)
    process = Process.parse(match[1]) if match else None
    return process is not None and process.is_dead

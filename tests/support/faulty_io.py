"""Files whose operations fail, or end the process, at a chosen step: in this process, or for a program.

    python -m tests.support.faulty_io KIND STEP MATCH COUNT_FILE -- MODULE WORDS...

Steps are the operations that change what is on the disk, in files and folders whose path contains MATCH: opening to
write, each write, fsync, rename, and removal. Writes of Python's own files count too, but not those of C libraries.
KIND is ``kill`` (SIGKILL before the step), ``torn`` (half a write, then SIGKILL), ``ENOSPC``, ``EIO``, ``EROFS`` or
another name of an error, ``short`` (half of a write, which says so), ``power`` (a loss of power: what was
not synced is lost), or ``none``. COUNT_FILE gets the number of steps
that were taken, unless the process is killed; ``-`` for none.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Killed(BaseException):
    """Stands for SIGKILL in this process: from then on no operation has an effect."""


@dataclass
class Fault:
    """A fault of the disk.

    Attributes:
        kind: See the module.
        step: The step at which it happens, counted from 1; a full disk or a broken one stays so.
        match: What the path contains.
        real: Whether the process is killed, rather than `Killed` raised.
        taken: The steps so far.
        log: What they were.
    """

    kind: str = "none"
    step: int = 0
    match: str = ""
    real: bool = False
    taken: int = 0
    log: list[str] = field(default_factory=list)
    dead: bool = False
    unsynced: dict[str, list[tuple[Path, bytes | None]]] = field(default_factory=dict)
    """The files of each folder that were renamed since it was synced, with what the name held before."""
    written: set[str] = field(default_factory=set)
    """Files with data that were not synced."""

    @property
    def happened(self) -> bool:
        """Whether the step was reached."""
        return self.kind != "none" and self.taken >= self.step

    def die(self) -> None:
        """End the process, for ``power`` with the disk as it may be after a loss of power."""
        self.dead = True
        if self.kind == "power":
            for name in filter(os.path.exists, self.written):
                os.truncate(name, Path(name).stat().st_size // 2)
            for path, held in reversed([change for changes in self.unsynced.values() for change in changes]):
                _put_back(path, held)
        if self.real:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Killed

    def follow(self, what: str, path: str) -> None:
        """Keep what a loss of power would take back."""
        if self.kind != "power":
            return
        if what == "fsync":
            self.written.discard(path)
            self.unsynced.pop(path, None)
        elif what == "write":
            self.written.add(path)
        elif what == "rename":  # a removal may well have reached the disk before
            target = Path(path)
            held = _held(target)
            self.unsynced.setdefault(str(target.parent), []).append((target, held))

    def before(self, what: str, path: Any) -> bool:
        """Take a step; return whether it is a write that is only half done."""
        if self.dead:
            raise Killed
        name = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else str(path)
        if self.match not in name:
            return False
        self.taken += 1
        self.log.append(f"{what} {Path(name).name}")
        if self.kind == "none" or self.taken < self.step:
            self.follow(what, name)
            return False
        if self.kind in {"torn", "short"}:
            first = self.taken == self.step
            if first and what == "write":
                return True
            if self.kind == "torn" and first:
                self.die()
            return False
        if self.kind in {"kill", "power"}:
            self.die()
        number = getattr(errno, self.kind)
        if self.kind == "ENOSPC" and what in {"remove", "fsync", "rename"}:
            return False  # a full disk refuses new data alone
        raise OSError(number, os.strerror(number), name)


def _held(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _put_back(path: Path, held: bytes | None) -> None:
    """Undo a change of a name, past the patched functions."""
    if held is None:
        if path.exists():
            _UNLINK(path)
        return
    descriptor = _OPEN(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    _WRITE(descriptor, held)
    os.close(descriptor)


_OPEN, _WRITE, _UNLINK = os.open, os.write, os.unlink


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@contextmanager
def faulty(fault: Fault) -> Iterator[Fault]:
    """Have the operations of this process on files meet a fault."""
    kept = {(module, name): getattr(module, name) for module, name in PATCHED}
    for module, name in PATCHED:
        setattr(module, name, _replacement(name, kept[module, name], fault))
    try:
        yield fault
    finally:
        for (module, name), function in kept.items():
            setattr(module, name, function)


PATCHED = (
    *((os, name) for name in ("write", "fsync", "replace", "rename", "unlink", "remove", "open")),
    (io, "open"),
    (builtins, "open"),
)


def _replacement(name: str, real: Callable[..., Any], fault: Fault) -> Callable[..., Any]:
    if name == "write":
        return lambda descriptor, data: _write(real, fault, _path_of(descriptor), descriptor, data)

    def by_descriptor(descriptor: Any, *args: Any) -> Any:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        fault.before(name, _path_of(number))
        return real(descriptor, *args)

    def moved(source: Any, target: Any, **more: Any) -> Any:
        fault.before("rename", target)
        return real(source, target, **more)

    def removed(path: Any, **more: Any) -> Any:
        fault.before("remove", path)
        return real(path, **more)

    def opened(path: Any, flags: int, *args: Any, **more: Any) -> Any:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            fault.before("open", path)
        return real(path, flags, *args, **more)

    def file(path: Any, mode: str = "r", buffering: int = -1, *args: Any, **more: Any) -> Any:
        if isinstance(path, int) or not set(mode) & set("wax+"):
            return real(path, mode, buffering, *args, **more)
        fault.before("open", path)
        raw = _Raw(path, mode.replace("b", "").replace("t", ""), fault)
        if buffering == 0:
            return raw
        whole = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return whole if "b" in mode else io.TextIOWrapper(whole, *args, **more)

    kinds = {"fsync": by_descriptor, "replace": moved, "rename": moved, "unlink": removed, "remove": removed}
    return kinds.get(name) or (opened if real.__module__ == "posix" else file)


def _write(real: Callable[..., int], fault: Fault, path: str, descriptor: int, data: Any) -> int:
    half = fault.before("write", path)
    whole = memoryview(data).cast("B")
    if not half:
        return real(descriptor, whole)
    count = real(descriptor, whole[: max(len(whole) // 2, 1)])
    if fault.kind == "torn":
        fault.die()
    return count


class _Raw(io.FileIO):
    """A file of Python whose writes are steps."""

    def __init__(self, path: Any, mode: str, fault: Fault) -> None:
        self.fault, self.path = fault, os.fsdecode(path)
        super().__init__(path, mode)

    def write(self, data: Any) -> int:
        return _write(lambda _, part: io.FileIO.write(self, part), self.fault, self.path, 0, data)


def main(kind: str, step: str, match: str, count: str, _: str, module: str, *words: str) -> None:
    """Run a module as a program that meets a fault."""
    fault = Fault(kind, int(step), match, real=True)
    sys.argv = [module, *words]
    try:
        with faulty(fault):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if count != "-":
            Path(count).write_text(str(fault.taken))


if __name__ == "__main__":
    main(*sys.argv[1:])

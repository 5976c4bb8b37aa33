"""Leftovers of a run in its process and on the disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.testing.training_probe import random_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.engine.protocol import Engine


@contextmanager
def watched(engine: Engine, changes: list[str], folders: Sequence[Path]) -> Iterator[None]:
    """Add changes to ``changes`` on leaving: those of the process, and in folders that should stay as they are."""
    engine.load()
    before = _state(folders)
    threads = set(threading.enumerate())
    try:
        yield
    finally:
        after = _state(folders)
        changes += [_described(name, before[name], after[name]) for name in before if before[name] != after[name]]
        left = [t.name for t in threading.enumerate() if t not in threads and t.is_alive()]
        changes += [f"the thread {name!r} still runs" for name in left if name not in OF_LIBRARIES]
        changes += [f"the process {child.name!r} still runs" for child in multiprocessing.active_children()]


OF_LIBRARIES = frozenset({"TMonitor"})
"""Threads that libraries of the engine start once for the whole process."""


def _described(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict):
        keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        return f"{name}: {', '.join(keys[:3])}{' and more' * (len(keys) > 3)}"
    return f"{name}: {before} became {after}" if len(f"{before}{after}") < 100 else f"{name}"


def _state(folders: Sequence[Path]) -> dict[str, Any]:
    root = logging.getLogger()
    return {
        **{f"files in {folder.name}": _files(folder) for folder in folders},
        "the working folder": str(Path.cwd()),
        "the environment": dict(os.environ),
        "sys.path": list(sys.path),
        "signal handlers": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
        "sys.excepthook": str(sys.excepthook),
        "warning filters": len(warnings.filters),
        "the root logger": (root.level, [str(h) for h in root.handlers]),
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's anomaly detection": torch.is_anomaly_enabled(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's cudnn flags": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "torch's threads": torch.get_num_threads(),
        "random numbers": random_state(),
    }


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for file in folder.rglob("*"):
        stat = file.lstat()
        found[str(file.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns) if file.is_file() else (0, 0)
    return found

"""Resources of the machine: processors, memory and disks, with the limits that a container sets."""

from __future__ import annotations

import importlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60
"""Bytes from which on a limit of the first version of cgroups means that there is none."""


def processors(cgroup: Path = CGROUP) -> dict[str, Any]:
    """Return how many processors there are, how many this process may use, and the container's limit."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {"count": os.cpu_count(), "affinity": affinity, "cgroup_limit": _processor_limit(cgroup)}


def memory(cgroup: Path = CGROUP) -> dict[str, int | None]:
    """Return bytes of memory, of the container's limit, and of the shared memory that data loaders use."""
    total = available = None
    with suppress(ImportError):  # a dependency of the engine, which may be what is missing
        found = importlib.import_module("psutil").virtual_memory()
        total, available = int(found.total), int(found.available)
    limit = _number(cgroup / "memory.max") or _number(cgroup / "memory" / "memory.limit_in_bytes")
    return {
        "total": total,
        "available": available,
        "cgroup_limit": limit if limit is not None and limit < UNLIMITED else None,
        "shared_free": free_space(Path("/dev/shm")),  # noqa: S108
    }


def free_space(folder: Path) -> int | None:
    """Return the free bytes where a folder is, or would be made; None if that is unknown."""
    existing = next((f for f in (folder, *folder.absolute().parents) if f.is_dir()), None)
    if existing is None or (existing != folder and folder.parts[:2] == ("/", "dev")):
        return None
    with suppress(OSError):
        return shutil.disk_usage(existing).free
    return None


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _processor_limit(cgroup: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _number(cgroup / "cpu" / "cpu.cfs_quota_us"), _number(cgroup / "cpu" / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return None

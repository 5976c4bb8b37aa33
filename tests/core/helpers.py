"""What the tests of the host share: the command as users call it, and packages that are not really installed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TRAINER = [sys.executable, "-m", "trainer_host"]


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        """The lines that tell a problem."""
        return [line.removeprefix("trainer: ") for line in self.err.splitlines() if line.startswith("trainer: ")]

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


def environment(*path: Path, **variables: str) -> dict[str, str]:
    """Return an environment without the caller's own settings, with folders to import from."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if (not k.startswith("TRAINER_") or k == "TRAINER_CACHE_DIR") and k not in {"FORCE_COLOR", "COLUMNS"}
    }
    joined = os.pathsep.join([*map(str, path), *filter(None, [kept.pop("PYTHONPATH", "")])])
    return {**kept, **({"PYTHONPATH": joined} if joined else {}), **variables}


def command(*words: str, cwd: Path, path: Iterable[Path] = (), **variables: str) -> Done:
    """Run ``trainer`` in a process of its own."""
    done = subprocess.run(
        [*TRAINER, *words], capture_output=True, text=True, cwd=cwd, env=environment(*path, **variables), check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def python(code: str, *path: Path, cwd: Path | None = None, **variables: str) -> str:
    """Run Python code in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(*path, **variables),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_package(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tasks: Mapping[str, str] | None = None,
    extensions: Mapping[str, str] | None = None,
    requires: Iterable[str] = (),
    metadata: str | None = None,
    entry_points: str | bytes | None = None,
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Write what an installer leaves of a package: metadata, entry points, and its modules. Return ``folder``."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(metadata)
    if entry_points is None:
        groups = {"trainer_host.tasks": tasks or {}, "trainer_host.plugins": extensions or {}}
        entry_points = "".join(
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()
        )
    (info / "entry_points.txt").write_bytes(entry_points if isinstance(entry_points, bytes) else entry_points.encode())
    for module, code in (modules or {}).items():
        (folder / f"{module}.py").write_text(code)
    importlib.invalidate_caches()
    return folder

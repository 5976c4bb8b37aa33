"""``trainer``, Python code and other programs, run in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TRAINER = [sys.executable, "-m", "trainer_host"]
DEADLINE_S = 500
"""Below the time limit of a test, so that a program that hangs fails with its output."""


@dataclass(frozen=True)
class Done:
    """A program that ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        """The lines that state a problem."""
        return [line.removeprefix("trainer: ") for line in self.err.splitlines() if line.startswith("trainer: ")]

    @property
    def said(self) -> list[str]:
        """The lines for people, without the head."""
        return [line for line in self.err.splitlines() if line and not line.startswith("trainer 0.")]

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


def process(
    *words: object, cwd: Path | None = None, path: Iterable[Path] = (), env: dict[str, str] | None = None, **more: str
) -> Done:
    """Run a program to its end; ``env`` replaces the environment that ``path`` and the variables describe."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env=environment(*path, **more) if env is None else env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def command(*words: object, cwd: Path | None = None, path: Iterable[Path] = (), **variables: str) -> Done:
    """Run ``trainer``."""
    return process(*TRAINER, *words, cwd=cwd, path=path, **variables)


def python(code: str, *path: Path, words: Iterable[object] = (), cwd: Path | None = None, **variables: str) -> str:
    """Run Python code that succeeds, and return what it prints."""
    done = process(sys.executable, "-c", code, *words, cwd=cwd, path=path, **variables)
    assert done.code == 0, done.err
    return done.out

"""A process that a test starts, and that ends with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import environment


@contextmanager
def started(
    words: Sequence[str], folder: Path, path: Sequence[Path] = (), **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a process with the modules of some folders, and end it in any case."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, cwd=folder, env=environment(*path, **variables), **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()

"""Processes of a server that has imported everything and computed nothing, so that they start within a second.

A fork of the test's own process would do so too, but hangs as soon as that has computed with several threads.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# All that a training imports, except polars, which starts threads: torch._inductor is needed to be deterministic.
_IMPORTS = ("trainer_host.session.training", "trainer_pose.validator", "trainer_pose.predictor", "torch._inductor")
_CONTEXT.set_forkserver_preload([*_IMPORTS, "torchvision", "matplotlib.font_manager"])


def started(function: Callable[..., int], *args: Any) -> BaseProcess:
    """Call a function, which can be pickled, in a process with this one's folder and environment."""
    process = _CONTEXT.Process(target=_call, args=(str(Path.cwd()), dict(os.environ), function, args))
    process.start()
    return process


def ended(function: Callable[..., int], *args: Any) -> int:
    """Return the exit status of such a process; negative for a signal."""
    return status(started(function, *args))


def status(process: BaseProcess) -> int:
    """Wait for a process, and return its exit status."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _call(folder: str, environment: Mapping[str, str], function: Callable[..., int], args: tuple[Any, ...]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = function(*args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""Processes of a server that has imported everything and computed nothing, so that they start within a second.

A fork of the test's own process would do so too, but hangs as soon as that has computed with several threads.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.support.command import DEADLINE_S, Done, environment

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


def warm_command(*words: object, cwd: Path) -> Done:
    """Run ``trainer`` as `command` does, without the seconds that its imports take."""
    (done,) = _commands(words, cwd, [environment()])
    return done


def warm_ranks(*words: object, cwd: Path, path: Iterable[Path] = (), ranks: int = 2) -> list[Done]:
    """Run ``trainer`` in several processes of one run, as something that starts ranks would; return what each did."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    given = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks)} for rank in range(ranks)]
    return _commands(words, cwd, [environment(*path, **place, **each) for each in given])


def _commands(words: Iterable[object], cwd: Path, environments: Iterable[dict[str, str]]) -> list[Done]:
    """Run a command in processes side by side."""
    with tempfile.TemporaryDirectory() as place:
        running = []
        for number, given in enumerate(environments):
            out, err = Path(place, f"out{number}"), Path(place, f"err{number}")
            process = _CONTEXT.Process(target=_call, args=(str(cwd), given, _trainer, ([*map(str, words)], out, err)))
            process.start()
            running.append((process, out, err))
        for process, _, _ in running:
            process.join(DEADLINE_S)
        for process, _, _ in running:
            process.kill()
        return [Done(status(process), out.read_text("utf-8"), err.read_text("utf-8")) for process, out, err in running]


def _trainer(words: list[str], out: Path, err: Path) -> int:
    from trainer_host.cli.main import main

    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
    sys.argv = ["trainer", *words]
    sys.path[:0] = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place not in sys.path]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def _call(folder: str, environment: Mapping[str, str], function: Callable[..., int], args: tuple[Any, ...]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # of loaders; a process of a server would start servers, too
    code = function(*args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

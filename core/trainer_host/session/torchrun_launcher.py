"""The launcher ``torchrun``: starts the processes of a run on this machine through the Python API of torchrun."""

from __future__ import annotations

import logging
import math
import os
import shlex
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import ExitCode
from trainer_host.base.launched_rank import PARENT, processes_in, send
from trainer_host.base.rank_failures import RankFailure, clear_failures, failures_in, leave_failure, root_cause
from trainer_host.base.rank_folder import AT_ONCE, entered_in
from trainer_host.base.signals import SAVING, handled_by
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.base.process_identity import Process
    from trainer_host.base.protocols import LaunchContext

NAME = "torchrun"
STOP_S = 600
"""Seconds that torchrun waits for the other processes after one has failed: the first may be saving a state."""
END_S = 10.0
"""Seconds that they have after a second one."""
PAUSE_S = 0.1
"""Seconds between two looks for processes that have not got a signal."""
HOST = "127.0.0.1"


class TorchrunLauncher:
    """Starts the processes on this machine, and waits for them."""

    def launch(self, ctx: LaunchContext) -> int:
        """Start the processes, wait until all have ended, and return an exit code: 0, or that of what went wrong."""
        shared = ctx.run_file.parent
        variables = {**ctx.environment, PARENT: str(os.getpid())}
        with _environment(variables), _quiet(), tempfile.TemporaryDirectory(prefix="trainer-") as logs:
            for left in range(ctx.max_restarts, -1, -1):
                clear_failures(shared)
                code, failure = _attempt(ctx, shared, logs)
                if failure is None or not failure.is_worth_a_restart or not left:
                    return code
                why = " ".join(problem.message for problem in failure.as_error().problems)
                ctx.reporter.warn(f"{why} Starting again ({counted(left, 'restart')} left).")
        return int(ExitCode.BUG)  # no attempt at all, which `max_restarts` excludes

    def preview(self, ctx: LaunchContext) -> str:
        """Return the command of the processes."""
        return f"# {ctx.processes} times, on this machine:\n{shlex.join(ctx.command)}\n"


def _attempt(ctx: LaunchContext, shared: Path, logs: str) -> tuple[int, RankFailure | None]:
    """Start the processes once; return an exit code, and the failure if there was one, which is left in the folder."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, launch_agent

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ctx.processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{HOST}:0",
        local_addr=HOST,  # the name of a machine may lead nowhere
        max_restarts=0,  # restarts are ours, each with a store of its own, and not after every error
        monitor_interval=0.1,
        logs_specs=DefaultLogsSpecs(log_dir=logs),
        signals_to_handle="",  # none: torchrun would send them to the workers of loaders too
        shutdown_timeout=STOP_S,
    )
    codes: dict[int, int] = {}
    ended: dict[int, float] = {}
    program, *words = ctx.command
    with _Signals(shared) as signals:
        try:
            launch_agent(config, program, words)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            ended = {rank: failure.timestamp + 1.0 for rank, failure in error.failures.items()}  # in whole seconds
    failure = root_cause(failures_in(shared), codes, ended)
    if failure is None:
        return int(ExitCode.DONE), None
    if signals.stopping and (failure.is_consequence or not failure.kind):
        return 128 + signals.stopping[0], None
    leave_failure(shared, failure)
    return int(failure.as_error().exit_code), None if signals.stopping else failure


class _Signals:
    """Signals to this process, passed on to its ranks while the context lasts.

    Each rank gets a request to stop once, also one that starts only then, and a second request if there was one; who
    is still there some seconds later is killed.

    Args:
        shared: The folder that the ranks share.

    Attributes:
        stopping: The signals that ask to stop.
    """

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.stopping: list[int] = []
        self._stack = ExitStack()
        self._over = threading.Event()

    def __enter__(self) -> _Signals:
        self._stack.enter_context(handled_by(self._save, SAVING))
        self._stack.enter_context(handled_by(self._stop))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._stack.close()

    def _save(self, number: int, _: Any) -> None:
        for process in entered_in(self.shared):  # others may not be ready for it
            send(process, number)

    def _stop(self, number: int, _: Any) -> None:
        self.stopping.append(number)
        if len(self.stopping) == 1:
            threading.Thread(target=self._pass_on, name="signals-to-ranks", daemon=True).start()

    def _pass_on(self) -> None:
        sent: Counter[Process] = Counter()
        kill_at = math.inf
        while not self._over.is_set():
            wanted = min(len(self.stopping), 2)
            if wanted == 2:
                with suppress(OSError):  # then they are killed
                    (self.shared / AT_ONCE).touch()
                kill_at = min(kill_at, time.monotonic() + END_S)
            for process in processes_in(self.shared):
                if time.monotonic() > kill_at:
                    send(process, getattr(signal, "SIGKILL", signal.SIGTERM))
                elif sent[process] < wanted:
                    send(process, self.stopping[sent[process]])
                    sent[process] += 1
            self._over.wait(PAUSE_S)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes, which inherit those of this one."""
    before: dict[str, Any] = {name: os.environ.get(name) for name in (*variables, "TORCHELASTIC_SIGNALS_TO_HANDLE")}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log of torchrun: what the user has to know, this process says in one line."""
    from torch.distributed.launcher import api as _  # noqa: F401 - makes its loggers

    names = [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed")]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled

"""The launcher ``torchrun``: starts the processes of a run on this machine through the Python API of torchrun."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import tempfile
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import ExitCode
from trainer_host.base.launched_rank import PARENT, end_ranks, signal_ranks
from trainer_host.base.rank_failures import RankFailure, clear_failures, failures_in, leave_failure, root_cause
from trainer_host.base.signals import SAVING, STOPPING, handled_by
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.base.protocols import LaunchContext

NAME = "torchrun"
STOP_S = 600
"""Seconds that the processes have to save the state after a signal."""
END_S = 10.0
"""Seconds that they have after a second one."""
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
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
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
        signals_to_handle=",".join(signal.Signals(number).name for number in STOPPING),
        shutdown_timeout=STOP_S,
    )
    codes: dict[int, int] = {}
    program, *words = ctx.command

    def stop(number: int, _: Any) -> None:
        raise SignalException("stopped", sigval=signal.Signals(number))

    # torchrun puts its own handlers in place of `stop`. Signals that save the state are passed on.
    with handled_by(lambda number, _: signal_ranks(shared, number), SAVING), handled_by(stop):
        try:
            launch_agent(config, program, words)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        except SignalException as error:
            return _stopped(shared, error.sigval)
    failure = root_cause(failures_in(shared), codes)
    if failure is None or not codes:
        return int(ExitCode.DONE), None
    leave_failure(shared, failure)
    return int(failure.as_error().exit_code), failure


def _stopped(shared: Path, number: int) -> tuple[int, None]:
    """End what is left of the processes: nothing, unless a second signal came while torchrun waited for them."""
    with handled_by(signal.SIG_IGN):
        signal_ranks(shared, number)
        end_ranks(shared, END_S)
    return 128 + number, None


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

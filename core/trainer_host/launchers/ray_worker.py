"""The part of `ray` that runs within the workers of Ray Train: each starts the process of one rank."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.train import collective
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from trainer_host.base.errors import EnvironmentProblemError, ExitCode, Problem
from trainer_host.base.rank_failures import FINAL
from trainer_host.base.rank_folder import RUN_FILE
from trainer_host.launchers.rank_process import POLL_S, STOPPED, RankProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.protocols import LaunchContext

GRACE_S = 20.0
"""Seconds that the other ranks have to end by themselves after one failed."""
CONSEQUENCES = STOPPED | {ExitCode.RANK}
"""Exit codes of ranks that were stopped, or lost another one."""


class RankFailedError(Exception):
    """A rank failed in a way that another start may not."""


class RunStatus:
    """What the workers and the launcher know of a run; one object, an actor that all of them call.

    Attributes:
        stops: How often the run was asked to stop: once with its state saved, twice at once.
        failure: The rank that failed first since the last start, rather than those that lost it, and its exit code.
        starts: How often the processes were started.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.failure: tuple[int, int] | None = None
        self.starts = 0

    def start(self) -> int:
        """Note another start, and return how many there were before it."""
        self.failure = None
        self.starts += 1
        return self.starts - 1

    def stop(self) -> None:
        """Have all ranks save the state and end, or end at once if they were asked before."""
        self.stops += 1

    def fail(self, rank: int, code: int) -> None:
        """Note that a rank failed."""
        if self.failure is None or (self.failure[1] in CONSEQUENCES and code not in CONSEQUENCES):
            self.failure = rank, code

    def has_started(self) -> bool:
        """Return whether the processes were started."""
        return self.starts > 0

    def read(self) -> tuple[int, tuple[int, int] | None]:
        """Return how often the run was asked to stop, and which rank failed."""
        return self.stops, self.failure


@dataclass(frozen=True)
class Work:
    """What a worker does: plain data, which Ray carries to its machine.

    Attributes:
        command: Words of the command of one process.
        environment: Variables of the processes.
        folder: The working folder.
        run_file: The resolved run.
        run: Its content, for machines that do not share its folder.
        save_dir: The run folder.
        stored: Whether Ray keeps the run folder in its storage.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    run_file: str
    run: bytes
    save_dir: str
    stored: bool

    @classmethod
    def of(cls, ctx: LaunchContext, stored: bool) -> Work:
        """Return the work of a run."""
        content = ctx.run_file.read_bytes() if ctx.run_file.is_file() else b""
        files = (str(ctx.run_file), content, str(ctx.save_dir))
        return cls(ctx.command, dict(ctx.environment), str(Path.cwd()), *files, stored)


def make_trainer(ctx: LaunchContext, resources: dict[str, float], storage: str | None, status: Any) -> Any:
    """Return the trainer of Ray that starts the workers."""
    return DataParallelTrainer(
        run_rank,
        train_loop_config={"work": Work.of(ctx, storage is not None), "status": status},
        scaling_config=ray.train.ScalingConfig(
            num_workers=ctx.processes, use_gpu=resources.get("GPU", 0) > 0, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=ctx.save_dir.name,
            storage_path=storage or str(ctx.save_dir / "ray"),
            failure_config=ray.train.FailureConfig(max_failures=ctx.max_restarts),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
        ),
    )


def run_rank(config: Mapping[str, Any]) -> None:
    """Run one rank to its end, in a worker.

    Raises:
        RankFailedError: If another start may succeed.
    """
    work, status = config["work"], config["status"]
    place = ray.train.get_context()
    rank = place.get_world_rank()
    shared = {"MASTER_ADDR": _address(), "MASTER_PORT": str(_free_port())}
    if rank == 0:
        shared["TORCHELASTIC_RESTART_COUNT"] = str(ray.get(status.start.remote()))
    shared = collective.broadcast_from_rank_zero(shared)
    own = {
        "RANK": rank,
        "WORLD_SIZE": place.get_world_size(),
        "LOCAL_RANK": place.get_local_rank(),
        "LOCAL_WORLD_SIZE": place.get_local_world_size(),
        "GROUP_RANK": place.get_node_rank(),
    }
    _restore(work, place.get_local_rank() == 0)
    collective.barrier()
    variables = {**work.environment, **shared, **{key: str(value) for key, value in own.items()}}
    folder = work.folder if Path(work.folder).is_dir() else None
    # Standard error, since Ray shows standard output on that of the command, where JSON belongs.
    code = _watch(RankProcess(work.command, variables, folder=folder, output=2), rank, status)
    keep = work.stored and rank == 0 and Path(work.save_dir).is_dir()
    checkpoint = ray.train.Checkpoint.from_directory(work.save_dir) if keep else None
    ray.train.report({"exit_code": code}, checkpoint=checkpoint)  # waits for the others too
    stops, failure = ray.get(status.read.remote())
    if failure is not None and failure[1] not in FINAL and not stops:
        raise RankFailedError(f"rank {failure[0]} ended with exit code {failure[1]}")


def _watch(process: RankProcess, rank: int, status: Any) -> int:
    """Wait for the process of a rank, pass a request to stop on to it, and return its exit code."""
    deadline = None
    try:
        while (code := process.code) is None:
            stops, failure = ray.get(status.read.remote())
            if stops:
                process.stop()
            if stops > 1:
                process.kill()
            if failure is not None and deadline is None:
                deadline = time.monotonic() + GRACE_S
            if deadline is not None and time.monotonic() > deadline:
                process.kill()
            time.sleep(POLL_S)
    finally:
        if process.code is None:
            process.kill()
    if code:
        ray.get(status.fail.remote(rank, code))
    return code


def _restore(work: Work, first_of_machine: bool) -> None:
    """Bring the run's folder to a machine that does not have it: as Ray stored it last, or with the run alone."""
    folder, run_file = Path(work.save_dir), Path(work.run_file)
    if not first_of_machine:
        return
    stored = ray.train.get_checkpoint()
    if stored is not None and not folder.exists():
        stored.to_directory(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    if work.run and not run_file.exists():
        run_file.parent.mkdir(parents=True, exist_ok=True)
        run_file.write_bytes(work.run)


def _address() -> str:
    address: Any = ray.util.get_node_ip_address
    return str(address())


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def outcome(ctx: LaunchContext, status: Any, result: Any, error: BaseException | None) -> int:
    """Return the exit code of a run, and bring its folder here if this machine does not share it.

    Raises:
        EnvironmentProblemError: If Ray failed, rather than a rank.
    """
    _, failure = ray.get(status.read.remote())
    if failure is not None:
        rank, code = failure
        if code not in STOPPED:
            ctx.reporter.warn(f"rank {rank} ended with exit code {code}.")
        return int(code)
    if error is not None:
        what = f"Ray could not run the processes: {(str(error).strip().splitlines() or [type(error).__name__])[-1]}"
        raise EnvironmentProblemError(Problem(what, "look at the cluster: ray status")) from error
    stored = getattr(result, "checkpoint", None)
    if stored is not None and not (ctx.save_dir / "weights").exists():
        stored.to_directory(str(ctx.save_dir))
    if not any((ctx.save_dir / name).exists() for name in ("weights", RUN_FILE)):
        ctx.reporter.warn(
            "the run folder is on the machine of rank 0 only. Fix: put it on storage that all machines share, or add "
            "ray.storage_path=DIR"
        )
    return ExitCode.DONE

"""The extension `slurm`: ``trainer run exp.yaml --launcher slurm`` submits the run as a job of Slurm."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, field_validator

from trainer_host.base.display import is_plain
from trainer_host.base.errors import EnvironmentProblemError, ExitCode, Problem, SettingsError
from trainer_host.base.signals import STOPPING, handled_by
from trainer_host.launchers.optional_package import import_package
from trainer_host.plugin.markers import hookimpl
from trainer_host.plugin.plugin_spec import ExtensionSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trainer_host.base.protocols import LaunchContext

NAME = "slurm"
FOLDER = "slurm"
"""The folder below that of the run, with the script, the output and the exit codes of its jobs."""
ENDED = frozenset(
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"]
)
"""States of a job that is over, which the queue lists for a while."""
SAFE_PATH = "export PYTHONSAFEPATH=1  # files of the working folder stand in for no module"
TIME = re.compile(r"(?:(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+))?(?::(?P<seconds>\d+))?)|(?P<plain>[\d:]+)")


class Slurm(BaseModel, frozen=True):
    """The options.

    Attributes:
        time: Time limit of a job, as ``sbatch --time`` has it: 04:00:00, or 1-12 for days and hours.
        partition: Partition to submit to; by default that of the cluster.
        account: Account to charge.
        qos: Quality of service.
        constraint: Features that the nodes must have.
        nodes: Number of nodes; the processes are divided evenly among them.
        cpus_per_task: Cores of each process.
        mem: Memory of each node, such as 32G.
        gpus_per_node: GPUs of each node; by default one for each process if ``device=`` names GPUs.
        warning: Seconds before the end of its time at which a job saves the state, ends, and is queued again.
        requeues: How often a job whose time is up is queued again.
        setup: Shell commands that run in the job before the processes, such as "module load cuda".
        sbatch: Other options of sbatch by name, such as {reservation: night}.
        wait: Whether to wait for the end of the job, its requeues included, and to return its exit code.
    """

    time: str = "01:00:00"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int = Field(1, ge=1)
    cpus_per_task: int | None = Field(None, ge=1)
    mem: str | None = None
    gpus_per_node: int | None = Field(None, ge=0)
    warning: int = Field(120, ge=1)
    requeues: int = Field(100, ge=0)
    setup: tuple[str, ...] = ()
    sbatch: dict[str, Any] = Field(default_factory=dict)
    wait: bool = False

    @field_validator("time", mode="before")
    @classmethod
    def _not_a_number(cls, value: Any) -> Any:
        if isinstance(value, (int, float)):  # YAML reads 4:00:00 as one, in seconds; to sbatch a number is minutes
            raise ValueError("must be HOURS:MINUTES:SECONDS, in a YAML file within quotes")  # noqa: TRY004 - pydantic
        return value

    @field_validator("time")
    @classmethod
    def _has_a_form_of_slurm(cls, value: str) -> str:
        minutes_of(value)
        return value

    @field_validator("setup", mode="before")
    @classmethod
    def _of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("partition", "account", "qos", "constraint", "mem", "sbatch")
    @classmethod
    def _of_one_line(cls, value: Any) -> Any:
        if has_control_characters(value):  # a new line would end the comment that holds the option
            raise ValueError("must not contain line breaks or other control characters")
        return value


def has_control_characters(value: Any) -> bool:
    """Return whether a text, or one in a mapping or a list, has characters that control a terminal or end a line."""
    if isinstance(value, Mapping):
        return any(map(has_control_characters, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple)):
        return any(map(has_control_characters, value))
    return not is_plain(str(value)) or "\n" in str(value)


def minutes_of(time_limit: str) -> int:
    """Return the minutes of a time limit in one of the forms of sbatch; a started minute counts.

    Raises:
        ValueError: If it has another form, or is 0.
    """
    found = TIME.fullmatch(time_limit)
    parts = [int(part) for part in (found["plain"] or "").split(":") if part] if found else []
    if found is None or len(parts) > 3:
        raise ValueError("must be MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS")
    if found["plain"] is None:
        days, hours, minutes, seconds = (int(found[k] or 0) for k in ("days", "hours", "minutes", "seconds"))
        hours += 24 * days
    else:  # as sbatch reads it: one number is minutes, two are minutes and seconds
        hours, minutes, seconds = [*[0] * (3 - len(parts)), *parts] if len(parts) > 1 else [0, *parts, 0]
    total = -(-(3600 * hours + 60 * minutes + seconds) // 60)
    if total <= 0:
        raise ValueError("must be at least a minute")
    return total


class SlurmLauncher:
    """Submits a job that starts the processes, and queues itself again when its time is up.

    Attributes:
        poll_s: Seconds between two looks at the queue while waiting for a job.
    """

    poll_s = 10.0

    def launch(self, ctx: LaunchContext) -> int:
        """Submit the job; with ``slurm.wait=true`` also wait for its end.

        Raises:
            SettingsError: If Slurm refuses the job.
        """
        submitit = import_package("submitit", NAME)
        options = _options(ctx)
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            what = "sbatch and srun not found."
            raise EnvironmentProblemError(Problem(what, "submit from a machine with the commands of Slurm"))
        executor = _executor(submitit.SlurmExecutor, ctx, options)
        from trainer_host.launchers.slurm_job import SlurmRank

        rank, users = SlurmRank(ctx.command, dict(ctx.environment)), _of_the_user()
        before = {*executor.folder.glob("*")}
        try:
            with submitit.helpers.clean_env(), submitit.helpers.environment_variables(**users):
                job = executor.submit(rank)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            _remove({*executor.folder.glob("*"), *executor.folder.glob(".*")} - before)
            said = str(error).strip().splitlines() or ["no reason given"]
            what = f"Slurm refused the job: {said[-1].removeprefix('sbatch: ').removeprefix('error: ')}."
            raise SettingsError(Problem(what, "change the slurm. options: trainer plugins show slurm")) from error
        ctx.reporter.note(f"Submitted job {job.job_id}: output in {job.paths.stdout}")
        ctx.reporter.note(f"To stop it with its state saved: scancel {job.job_id}")
        return self._wait(job.job_id, job.paths.folder) if options.wait else ExitCode.DONE

    def preview(self, ctx: LaunchContext) -> str:
        """Return the script that would be submitted."""
        submitit = import_package("submitit", NAME)

        class AnywhereExecutor(submitit.SlurmExecutor):  # type: ignore[name-defined,misc,unused-ignore]
            """Writes scripts also on machines without Slurm."""

            @classmethod
            def affinity(cls) -> int:
                """Return that it can be used."""
                return 1

        executor = _executor(AnywhereExecutor, ctx, _options(ctx))
        return str(executor._make_submission_file_text(executor._submitit_command_str, "preview"))

    def _wait(self, job: str, folder: Path) -> int:
        """Wait until a job has left the queue, and return its exit code; a signal cancels it."""
        signals: list[int] = []
        with handled_by(lambda number, _frame: signals.append(number), STOPPING):
            cancelled = False
            while _is_queued(job):
                if signals and not cancelled:
                    subprocess.run(["scancel", job], check=False)  # noqa: S603, S607
                    cancelled = True
                time.sleep(self.poll_s)
        if signals:
            return ExitCode.TERMINATED if signal.SIGTERM in signals else ExitCode.INTERRUPTED
        try:
            return int((folder / f"{job}_exit_code").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # no process of the run has ended by itself: a node failed, or Slurm killed it
            return 128 + signal.SIGKILL


def _of_the_user() -> dict[str, str]:
    """Return the variables by which users configure Slurm; all others of its names belong to a job around this one."""
    return {key: value for key, value in os.environ.items() if key == "SLURM_CONF" or key.startswith("SBATCH_")}


def _remove(files: Iterable[Path]) -> None:
    """Remove the files of a job that was refused, and their folder if nothing else is in it."""
    with suppress(OSError):
        for file in files:
            file.unlink()
            with suppress(OSError):
                file.parent.rmdir()


def _is_queued(job: str) -> bool:
    """Return whether a job waits or runs; also if the queue cannot be asked for the moment."""
    command = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        return "Invalid job id" not in done.stderr
    return bool(done.stdout.split()) and not ENDED.intersection(done.stdout.split())


def _options(ctx: LaunchContext) -> Slurm:
    return next((one for one in ctx.options.values() if isinstance(one, Slurm)), Slurm.model_validate({}))


def _executor(kind: Any, ctx: LaunchContext, options: Slurm) -> Any:
    """Return what submits the job.

    Raises:
        SettingsError: If the options do not fit the run.
    """
    if ctx.processes % options.nodes:
        what = f"{ctx.processes} processes cannot be divided among slurm.nodes={options.nodes}."
        raise SettingsError(Problem(what, f"give a multiple of {options.nodes} processes: --processes NUMBER"))
    if has_control_characters(str(ctx.save_dir)):
        what = f"the run folder has control characters in its name: {ctx.save_dir}"
        raise SettingsError(Problem(what, "give another name=NAME or project=DIR"))
    minutes = minutes_of(options.time)
    if options.warning >= 60 * minutes:
        what = f"slurm.warning={options.warning} is not less than slurm.time={options.time}."
        raise SettingsError(Problem(what, "give a longer slurm.time or a shorter slurm.warning, in seconds"))
    warning = import_package("submitit.slurm.slurm", NAME).SlurmJobEnvironment.USR_SIG
    # Slurm may send the warning up to a minute early: before Python handles it, it would end the job.
    patient = ["sh", "-c", f'trap "" {warning}; exec "$0" "$@"', sys.executable]
    executor = kind(folder=ctx.save_dir / FOLDER, max_num_timeout=options.requeues, python=shlex.join(patient))
    executor.update_parameters(**_parameters(ctx, options, minutes))
    return executor


def _parameters(ctx: LaunchContext, options: Slurm, minutes: int) -> dict[str, Any]:
    """Return the parameters of the job by submitit's names."""
    per_node = ctx.processes // options.nodes
    on_cpu = not ctx.devices or all(device == "cpu" for device in ctx.devices)
    gpus = (0 if on_cpu else per_node) if options.gpus_per_node is None else options.gpus_per_node
    named = {
        key: getattr(options, key) for key in ("partition", "account", "qos", "constraint", "cpus_per_task", "mem")
    }
    more: Mapping[str, Any] = {"requeue": True, **{k.replace("_", "-"): v for k, v in options.sbatch.items()}}
    given = {
        **{key: value for key, value in named.items() if value is not None},
        "job_name": ctx.save_dir.name,
        "time": minutes,
        "nodes": options.nodes,
        "ntasks_per_node": per_node,
        "signal_delay_s": options.warning,
        "setup": [SAFE_PATH, *options.setup],
        "wckey": None,
        "additional_parameters": dict(more),
        "srun_args": ["--kill-on-bad-exit=1"],  # a process that fails ends all
    }
    return {**given, **({"gpus_per_node": gpus} if gpus else {})}


class SlurmHooks:
    """Brings the launcher."""

    @hookimpl
    def launchers(self) -> dict[str, SlurmLauncher]:
        """Return the launcher by its name."""
        return {NAME: SlurmLauncher()}


EXTENSION = ExtensionSpec(hooks=SlurmHooks(), options=Slurm)

"""The extension `ray`: ``trainer run exp.yaml --launcher ray`` starts the processes with Ray Train."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from trainer_host.base.errors import EnvironmentProblemError, ExitCode, Problem
from trainer_host.base.signals import STOPPING, handled_by
from trainer_host.launchers.optional_package import import_package
from trainer_host.plugin.markers import hookimpl
from trainer_host.plugin.plugin_spec import ExtensionSpec

if TYPE_CHECKING:
    from trainer_host.base.protocols import LaunchContext

NAME = "ray"
POLL_S = 0.5
END_S = 20.0
"""Seconds that the workers have to end their processes after a second signal."""


class Ray(BaseModel, frozen=True):
    """The options.

    Attributes:
        address: Address of the cluster, as ``ray.init`` has it; by default RAY_ADDRESS or a running cluster of this
            machine, and otherwise one that lasts as long as the run.
        storage_path: Where Ray keeps the run folder too, such as s3://bucket/runs; by default nowhere.
        cpus_per_process: Cores that each process reserves.
        gpus_per_process: GPUs that each process reserves; by default one if ``device=`` names GPUs.
        resources: Other resources that each process reserves, such as {accelerator_type:A100: 0.01}.
    """

    address: str | None = None
    storage_path: str | None = None
    cpus_per_process: float = Field(1, ge=0)
    gpus_per_process: float | None = Field(None, ge=0)
    resources: dict[str, float] = Field(default_factory=dict)


class RayLauncher:
    """Starts the processes within the workers of Ray Train."""

    def launch(self, ctx: LaunchContext) -> int:
        """Start the processes, wait for them, and return the exit code of the first rank that failed.

        Raises:
            EnvironmentProblemError: If there is no cluster, or if it cannot run the processes.
        """
        ray = import_package("ray", NAME)
        import_package("ray.train", NAME)
        from trainer_host.launchers import ray_worker

        options = _options(ctx)
        own = not ray.is_initialized()
        try:
            _connect(ray, options)
            return self._run(ray, ray_worker, ctx, options)
        finally:
            if own:
                ray.shutdown()

    def preview(self, ctx: LaunchContext) -> str:
        """Return what would be started, as YAML."""
        import yaml

        from trainer_host.base.atomic_io import plain

        options = _options(ctx)
        shown = {
            "address": options.address or os.environ.get("RAY_ADDRESS") or "this machine",
            "processes": ctx.processes,
            "resources of each": _resources(ctx, options),
            "restarts": ctx.max_restarts,
            "storage": options.storage_path or "none",
            "command": list(ctx.command),
        }
        return yaml.safe_dump(plain(shown), sort_keys=False)

    def _run(self, ray: Any, worker: Any, ctx: LaunchContext, options: Ray) -> int:
        """Run the processes to their end; a signal stops them with their state saved."""
        signals: list[int] = []
        status = ray.remote(num_cpus=0)(worker.RunStatus).remote()
        trainer = worker.make_trainer(ctx, _resources(ctx, options), options.storage_path, status)
        fit = _Call(trainer.fit)
        thread = threading.Thread(target=fit, daemon=True)
        with handled_by(lambda number, _frame: signals.append(number), STOPPING):
            thread.start()
            asked, end = 0, math.inf
            while thread.is_alive() and time.monotonic() < end:
                if signals and not ray.get(status.has_started.remote()):
                    return _code_of(signals)  # nothing runs
                if asked < min(len(signals), 2):
                    if not asked:
                        ctx.reporter.note("Stopping: the state is saved after this batch.")
                    status.stop.remote()
                    asked += 1
                    end = time.monotonic() + END_S if asked == 2 else end
                time.sleep(POLL_S)
        if len(signals) > 1:
            return _code_of(signals)
        code: int = worker.outcome(ctx, status, fit.value, fit.error)
        return _code_of(signals) if code == ExitCode.TERMINATED and signals else code


class _Call:
    """A call of a function in a thread: its value, or its error."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.value: Any = None
        self.error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self.value = self._function()
        except BaseException as error:  # for the main thread
            self.error = error


def _code_of(signals: list[int]) -> int:
    """Return the exit code for the first signal; the ranks get SIGTERM for any."""
    return ExitCode.INTERRUPTED if signals[0] == signal.SIGINT else ExitCode.TERMINATED


def _options(ctx: LaunchContext) -> Ray:
    return next((one for one in ctx.options.values() if isinstance(one, Ray)), Ray.model_validate({}))


def _resources(ctx: LaunchContext, options: Ray) -> dict[str, float]:
    """Return what each process reserves."""
    on_cpu = not ctx.devices or all(device == "cpu" for device in ctx.devices)
    gpus = (0.0 if on_cpu else 1.0) if options.gpus_per_process is None else options.gpus_per_process
    return {"CPU": options.cpus_per_process, **({"GPU": gpus} if gpus else {}), **options.resources}


def _connect(ray: Any, options: Ray) -> None:
    """Connect to a cluster, or start one for this run.

    Raises:
        EnvironmentProblemError: If the cluster cannot be reached.
    """
    address = options.address or os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": True, "configure_logging": False, "ignore_reinit_error": True}
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"connect to the Ray cluster at {address}" if address else "start Ray on this machine"
        what = f"cannot {where}: {(str(error).splitlines() or [type(error).__name__])[0]}"
        raise EnvironmentProblemError(Problem(what, "start it, or give its address: ray.address=HOST:PORT")) from error


class RayHooks:
    """Brings the launcher."""

    @hookimpl
    def launchers(self) -> dict[str, RayLauncher]:
        """Return the launcher by its name."""
        return {NAME: RayLauncher()}


EXTENSION = ExtensionSpec(hooks=RayHooks(), options=Ray)

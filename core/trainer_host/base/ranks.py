"""The ranks of a run: the place of this process among those that train together, read from the environment.

torchrun and whatever sets its variables (Ray, Kubernetes) are recognised, and the tasks of a job step of Slurm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
RESTART = "TORCHELASTIC_RESTART_COUNT"
LOWEST_PORT, PORTS = 15_000, 17_000
"""Ports that jobs of Slurm meet on, below those from 32768 on that Linux gives away by itself."""
STEP = re.compile(r"SLURM_STEP_(ID|NUM_TASKS)")
"""Variables that only ``srun`` sets: a batch script has a rank too, but is one process."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run.

    Attributes:
        rank: Its number in the run.
        world_size: Processes of the run.
        local_rank: Its number on this machine.
        local_world_size: Processes of the run on this machine.
        restart: How often a launcher has restarted the processes.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restart: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run writes."""
        return self.rank == 0


def is_rank(environ: Mapping[str, str]) -> bool:
    """Return whether a launcher has started this process as one of a run, which may be the only one."""
    return {RANK, WORLD_SIZE} <= environ.keys() or _is_task(environ)


def ranks_of_environment(environ: Mapping[str, str]) -> Ranks:
    """Return the place of the process that an environment describes; the only one if it describes none.

    Raises:
        SettingsError: If the variables contradict each other.
    """
    if {RANK, WORLD_SIZE} <= environ.keys():
        return _of_torchrun(environ)
    return _of_slurm(environ) if _is_task(environ) else Ranks()


def rank_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which torch finds the other processes, as far as the launcher has not set them.

    Raises:
        SettingsError: If the address cannot be found.
    """
    ranks = ranks_of_environment(environ)
    if ranks.world_size == 1:
        return {}
    found = {
        RANK: str(ranks.rank),
        WORLD_SIZE: str(ranks.world_size),
        LOCAL_RANK: str(ranks.local_rank),
        LOCAL_WORLD_SIZE: str(ranks.local_world_size),
    }
    if _is_task(environ) and not {RANK, WORLD_SIZE} <= environ.keys():
        found |= {ADDRESS: _first_host(environ), PORT: _port(environ)}
    if missing := [name for name in (ADDRESS, PORT) if name not in {**found, **environ}]:
        what = f"{RANK} and {WORLD_SIZE} are set, but not {' and '.join(missing)}."
        fix = f"start the processes with torchrun, or unset {RANK} and {WORLD_SIZE}"
        raise SettingsError(Problem(what, fix))
    return {name: value for name, value in found.items() if name not in environ}


def devices_of(setting: Any) -> tuple[str, ...]:
    """Return the devices that the setting ``device`` names: ``0`` and ``1`` for ``0,1``, or for ``cuda:0,cuda:1``."""
    if setting is None:
        return ()
    parts = setting if isinstance(setting, (list, tuple)) else str(setting).strip("()[] ").split(",")
    names = [str(part).strip().removeprefix("cuda:") for part in parts]
    return tuple(name for name in names if name)


def _of_torchrun(environ: Mapping[str, str]) -> Ranks:
    rank, size = _number(environ, RANK), _number(environ, WORLD_SIZE, 1)
    if rank >= size:
        what = f"{RANK}={rank} is not below {WORLD_SIZE}={size}."
        raise SettingsError(Problem(what, "start the processes with torchrun, or unset both"))
    local_size = _number(environ, LOCAL_WORLD_SIZE, 1) if LOCAL_WORLD_SIZE in environ else size
    local = _number(environ, LOCAL_RANK) if LOCAL_RANK in environ else rank % local_size
    restart = _number(environ, RESTART) if RESTART in environ else 0
    return Ranks(rank, size, local, local_size, restart)


def _is_task(environ: Mapping[str, str]) -> bool:
    """Return whether a process is one of several tasks that ``srun`` started."""
    return "SLURM_PROCID" in environ and any(map(STEP.fullmatch, environ)) and _tasks(environ) > 1


def _tasks(environ: Mapping[str, str]) -> int:
    name = next((n for n in ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") if n in environ), None)
    return _number(environ, name, 1) if name else 1


def _of_slurm(environ: Mapping[str, str]) -> Ranks:
    size = _tasks(environ)
    listed = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE") or ""
    node = _number(environ, "SLURM_NODEID") if "SLURM_NODEID" in environ else 0
    counts = _counts(listed)
    local_size = counts[node] if node < len(counts) else size
    restart = _number(environ, "SLURM_RESTART_COUNT") if "SLURM_RESTART_COUNT" in environ else 0
    return Ranks(_number(environ, "SLURM_PROCID"), size, _number(environ, "SLURM_LOCALID"), local_size, restart)


def _counts(text: str) -> list[int]:
    """Return the numbers of a list such as ``2(x3),1``."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in found for _ in range(int(times or 1))]


def _first_host(environ: Mapping[str, str]) -> str:
    """Return the first of the nodes of a job step, such as ``gpu001`` of ``gpu[001-003,7],login1``."""
    if ADDRESS in environ:
        return environ[ADDRESS]
    listed = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or environ.get("SLURM_NODELIST")
    found = re.match(r"(?:[^\[,\s]|\[\d[^\]]*\])+", (listed or "").strip())
    if found is None:
        what = "Slurm does not say on which nodes the tasks of this step are (SLURM_STEP_NODELIST is not set)."
        raise SettingsError(Problem(what, f"set {ADDRESS} to the host of the first task"))
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", found[0])


def _port(environ: Mapping[str, str]) -> str:
    """Return a port that all tasks of a step agree on, and that another step on these nodes hardly has."""
    job, step = (environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    number = (int(job) if job.isdigit() else 0) * 7 + (int(step) if step.isdigit() else 0)
    return environ.get(PORT) or str(LOWEST_PORT + number % PORTS)


def _number(environ: Mapping[str, str], name: str, least: int = 0) -> int:
    text = environ.get(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < least:
        what = f"the environment variable {name}={text} is not a number from {least} on."
        raise SettingsError(Problem(what, f"start the processes with torchrun or srun, or unset {name}"))
    return int(text)

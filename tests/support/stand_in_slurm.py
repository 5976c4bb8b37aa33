"""Slurm for one machine, as far as jobs of the host use it.

``sbatch``, ``srun``, ``scontrol``, ``squeue`` and ``scancel`` behave as the manual pages of Slurm say:

- A job has one number for all its starts; SLURM_RESTART_COUNT counts those after the first.
- ``srun`` starts a process for each task, with its place in SLURM_PROCID, SLURM_LOCALID and SLURM_NODEID, and ends with
  the highest exit code. With ``--kill-on-bad-exit`` the first task that fails ends all others.
- The signal of ``--signal`` and the SIGTERM of ``scancel`` reach every process of every task, and not the script.

Run as a script, it is the command of its first word; ``warn``, which Slurm does not have, lets the time of a job run
out. STAND_IN_SLURM names the folder with a folder for each job.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("sbatch", "srun", "scontrol", "squeue", "scancel", "warn")
KILL_WAIT_S = 10
"""Seconds between SIGTERM and SIGKILL."""


def install(folder: Path) -> dict[str, str]:
    """Write the commands, and return the variables with which they are found."""
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    for name in COMMANDS:
        words = shlex.join([sys.executable, str(Path(__file__).resolve()), name])
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    return {"STAND_IN_SLURM": str(folder / "jobs"), "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def job_folder(job: str) -> Path:
    return Path(os.environ["STAND_IN_SLURM"]) / job


def set_state(job: str, state: str) -> None:
    """Write the state of a job, whole."""
    part = job_folder(job) / "state.part"
    part.write_text(state, encoding="utf-8")
    part.replace(job_folder(job) / "state")


def options_of(script: str) -> dict[str, str]:
    """Return the options in the comments of a script."""
    lines = re.findall(r"^#SBATCH --(.+)$", script, re.MULTILINE)
    pairs = (line.partition("=") for line in lines)
    return {name: shlex.split(value)[0] if value else "" for name, _, value in pairs}


def sbatch(script: str) -> int:
    """Queue a job, which begins at once."""
    options = options_of(Path(script).read_text(encoding="utf-8"))
    if options.get("partition") == "missing":
        sys.stderr.write("sbatch: error: Batch job submission failed: Invalid partition name specified\n")
        return 1
    job = str(1 + len(list(job_folder("").iterdir())))
    job_folder(job).mkdir()
    (job_folder(job) / "script.sh").write_text(Path(script).read_text(encoding="utf-8"), encoding="utf-8")
    set_state(job, "PENDING")
    controller = [sys.executable, __file__, "controller", job]
    away = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(controller, start_new_session=True, **away)
    print(f"Submitted batch job {job}")
    return 0


def controller(job: str) -> int:
    """Run the script of a job, again for each requeue."""
    folder = job_folder(job)
    options = options_of((folder / "script.sh").read_text(encoding="utf-8"))
    tasks = int(options.get("nodes", 1)) * int(options.get("ntasks-per-node", 1))
    given = {"SLURM_JOB_ID": job, "SLURM_NTASKS": tasks, "SLURM_JOB_NUM_NODES": options.get("nodes", 1)}
    given["SLURM_JOB_NODELIST"] = "localhost"
    for start in range(10):
        variables = {**os.environ, **{k: str(v) for k, v in given.items()}}
        if start:
            variables["SLURM_RESTART_COUNT"] = str(start)
        with Path(options["output"].replace("%j", job)).open("a") as out:
            command = ["/bin/bash", str(folder / "script.sh")]
            process = subprocess.Popen(command, env=variables, stdout=out, stderr=out)
            set_state(job, "RUNNING")
            code = process.wait()
        if not (folder / "requeue").exists():
            break
        (folder / "requeue").unlink()
    (folder / "exit").write_text(str(code), encoding="utf-8")
    set_state(job, "")  # it has left the queue
    return 0


def srun(*words: str) -> int:
    """Run the tasks of a step."""
    options, rest = {}, list(words)
    while rest and rest[0].startswith("--"):
        name, _, value = rest.pop(0)[2:].partition("=")
        options[name] = rest.pop(0) if name in {"output", "error"} else value
    job, count = os.environ["SLURM_JOB_ID"], int(os.environ["SLURM_NTASKS"])
    per_node = count // int(os.environ["SLURM_JOB_NUM_NODES"])
    tasks = []
    for rank in range(count):
        place = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank % per_node, "SLURM_NODEID": rank // per_node}
        files = [options[key].replace("%j", job).replace("%t", str(rank)) for key in ("output", "error")]
        with Path(files[0]).open("a") as out, Path(files[1]).open("a") as err:
            variables = {**os.environ, **{k: str(v) for k, v in place.items()}}
            tasks.append(subprocess.Popen(rest, env=variables, stdout=out, stderr=err, start_new_session=True))
    (job_folder(job) / "tasks").write_text(" ".join(str(task.pid) for task in tasks), encoding="utf-8")
    while any(task.poll() is None for task in tasks):
        ending = job_folder(job) / "ending"
        if not ending.exists() and options.get("kill-on-bad-exit") == "1" and any(task.poll() for task in tasks):
            terminate(job)
        if ending.exists() and time.time() - ending.stat().st_mtime > KILL_WAIT_S:
            send(signal.SIGKILL, [task.pid for task in tasks if task.poll() is None])
        time.sleep(0.05)
    (job_folder(job) / "ending").unlink(missing_ok=True)
    return max(task.wait() if task.wait() >= 0 else 128 - task.wait() for task in tasks)


def scontrol(verb: str, job: str) -> int:
    """Queue a job again: what runs of it is ended first."""
    assert verb == "requeue", verb
    (job_folder(job) / "requeue").touch()
    terminate(job)
    return 0


def squeue(*words: str) -> int:
    """Print the state of a job."""
    print((job_folder(words[words.index("--jobs") + 1]) / "state").read_text(encoding="utf-8"))
    return 0


def scancel(job: str) -> int:
    """Cancel a job."""
    terminate(job)
    return 0


def tasks_of(job: str) -> list[int]:
    """Return the processes of the tasks that a job started last."""
    return [int(number) for number in (job_folder(job) / "tasks").read_text(encoding="utf-8").split()]


def warn(job: str) -> int:
    """Send the signal that the job asked for, as Slurm does before its time is up."""
    name = options_of((job_folder(job) / "script.sh").read_text(encoding="utf-8"))["signal"].partition("@")[0]
    send(signal.Signals[f"SIG{name}"], tasks_of(job))
    return 0


def send(number: int, tasks: list[int]) -> None:
    """Send a signal to all processes of the tasks, each of which is a session."""
    for task in tasks:
        with suppress(ProcessLookupError):
            os.killpg(task, number)


def terminate(job: str) -> None:
    """End the tasks of a job: SIGCONT, SIGTERM, and later SIGKILL from `srun` for what is still there."""
    send(signal.SIGCONT, tasks_of(job))
    send(signal.SIGTERM, tasks_of(job))
    (job_folder(job) / "ending").touch()


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))

"""Launches small ranks with Ray, one task after the other on one cluster: run as a script.

    python -m tests.support.ray_launches FOLDER TASK...

Prints one JSON object: the exit code, the warnings and the seconds of each task. A ``wait`` gets SIGTERM when all ranks
run; ``die-once`` has a storage of Ray.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import ray

from tests.support import small_rank
from tests.support.recording_reporter import RecordingReporter
from trainer_host.base.protocols import LaunchContext
from trainer_host.launchers.ray_cluster import Ray, RayLauncher

RANKS = 2


def launch(folder: Path, task: str) -> dict[str, object]:
    """Launch the ranks of a task in a folder of its name."""
    run = folder / task
    run.mkdir()
    (run / "run.yaml").write_text("task: small\n", encoding="utf-8")
    options = Ray(cpus_per_process=0.5, storage_path=str(folder / "storage") if task == "die-once" else None)
    reporter = RecordingReporter()
    ctx = LaunchContext(
        run_file=run / "run.yaml",
        save_dir=run,
        processes=RANKS,
        command=(sys.executable, small_rank.__file__, str(run), task),
        environment={"EXTRA": "given"},
        max_restarts=1,
        reporter=reporter,
        options={"ray": options},
    )
    if task == "wait":
        threading.Thread(target=_terminate, args=(run,)).start()
    began = time.monotonic()
    code = RayLauncher().launch(ctx)
    return {"code": int(code), "warnings": reporter.warnings, "seconds": time.monotonic() - began}


def _terminate(run: Path) -> None:
    while not all(small_rank.starts(run, rank) for rank in range(RANKS)):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


def main(folder: str, *tasks: str) -> None:
    """Launch each task, and print the outcomes."""
    ray.init(num_cpus=4, include_dashboard=False, _temp_dir=str(Path(folder) / "ray"))
    try:
        found = {task: launch(Path(folder), task) for task in tasks}
    finally:
        ray.shutdown()
        shutil.rmtree(Path(folder) / "ray", ignore_errors=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

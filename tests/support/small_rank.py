"""The process of a rank, for tests of launchers: run as a script.

    python small_rank.py FOLDER TASK

It writes where it is, then does what TASK says. ``wait`` waits for SIGTERM, saves its state and ends with 143; with a
state it ends with 0 at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def main(folder: Path, task: str) -> int:
    rank, state = os.environ["RANK"], folder / "state"
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    signal.signal(signal.SIGUSR2, lambda *_: (folder / f"warned-{rank}").touch())
    resumed = state.exists()
    with (folder / f"rank-{rank}.jsonl").open("a", encoding="utf-8") as file:
        known = {key: os.environ.get(key) for key in (*PLACE, "EXTRA")}
        file.write(json.dumps({**known, "resumed": resumed, "pid": os.getpid()}) + "\n")
    if task == "wait" and not resumed:
        while not stopped:
            time.sleep(0.02)
        if rank == "0":
            state.write_text("5", encoding="utf-8")
        return 143
    while task == "stay":  # whatever comes
        time.sleep(0.02)
    if task == "settings":
        return 3
    if task == "fail":
        return fail(int(rank))
    if task == "die-once" and rank == "1" and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


def fail(rank: int) -> int:
    """Fail in the second rank; the first one has lost it, and ends with another code and earlier."""
    from trainer_host import LossError
    from trainer_host.base.rank_failures import RankFailure, leave_failure

    if rank == 0:
        return 10
    time.sleep(0.3)
    leave_failure(Path(os.environ["TRAINER_HOST_RANKS"]), RankFailure.of(rank, LossError("the loss is NaN.")))
    return 7


def starts(folder: Path, rank: int) -> list[dict[str, object]]:
    """Return what a rank wrote at each start."""
    path = folder / f"rank-{rank}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def is_running(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))

"""The number of threads that a training uses on a CPU."""

from __future__ import annotations

import os
import re

from trainer_host.base.errors import Problem, SettingsError


def wanted_threads() -> int | None:
    """Return what ``TRAINER_THREADS`` says; None leaves the number to the engine.

    ``OMP_NUM_THREADS`` does not count: the engine sets it to 1 when it is imported.

    Raises:
        SettingsError: If it is not a number of threads.
    """
    wanted = os.environ.get("TRAINER_THREADS", "").strip()
    if not wanted:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", wanted) or int(wanted) == 0:
        what = f"TRAINER_THREADS={wanted} is not a number of threads."
        raise SettingsError(Problem(what, "Fix: write TRAINER_THREADS=4, or unset it"))
    return int(wanted)

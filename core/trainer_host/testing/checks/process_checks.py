"""Checks of the effects on the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, check

if TYPE_CHECKING:
    from trainer_host.testing.bench import Bench


@check(
    "two-runs-in-one-process",
    why="Notebooks, sweeps and services train repeatedly in one process.",
    fix="keep no state in modules or on the hooks' object: create it in a hook, for each run",
    needs=("trains", "same-seed"),
)
def two_runs_in_one_process(bench: Bench) -> str:
    """A second training in the same process, compared with the first."""
    try:
        again = bench.again()
    except Exception as error:
        raise CheckFailedError(f"the second training fails: {reason(error)}.") from error
    if again.recording.weights[0] != bench.first().recording.weights[0]:
        raise CheckFailedError("the second training gives other weights, unless the plugin is imported again.")
    return "the second training gives the same weights as the first."


@check(
    "nothing-left-behind",
    why="Leftovers in the process or on the disk interfere with the next run.",
    fix="write only into ctx.save_dir, and restore or end what you change or start, in on_train_end or evaluate_best",
    needs=("trains",),
)
def nothing_left_behind(bench: Bench) -> str:
    """Threads, files outside the run's folder, and global state of Python and torch after a training."""
    bench.first()
    if changes := bench.changed["first"]:
        raise CheckFailedError(f"the training leaves changes behind: {'; '.join(changes)}.")
    return "the process and the folders are unchanged."

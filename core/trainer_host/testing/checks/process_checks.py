"""Checks of what a plugin does to the process that it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.testing.bench import reason
from trainer_host.testing.check_outcome import CheckFailedError, check

if TYPE_CHECKING:
    from trainer_host.testing.bench import Bench


@check(
    "two-runs-in-one-process",
    why="Notebooks, sweeps and services train again and again in one process.",
    mend="Keep nothing in modules or on the hooks' object: build it in a hook, anew for each run.",
    needs=("trains", "same-seed"),
)
def two_runs_in_one_process(bench: Bench) -> str:
    """Whether a second training in the same process gives what the first one gave."""
    try:
        again = bench.again()
    except Exception as error:
        raise CheckFailedError(f"the second training fails: {reason(error)}.") from error
    if again.recording.weights[0] != bench.first().recording.weights[0]:
        raise CheckFailedError("the second training gives other weights, and a plugin imported anew the same again.")
    return "the second training gives the same as the first."


@check(
    "nothing-left-behind",
    why="What one run leaves in the process or on the disk is in the way of the next, or of somebody else's.",
    mend="Write into ctx.save_dir alone, and put back or end what you change or start, in on_train_end or final_eval.",
    needs=("trains",),
)
def nothing_left_behind(bench: Bench) -> str:
    """Threads, files outside of the run's folder, and global state of Python and torch after a training."""
    bench.first()
    if changes := bench.changed["first"]:
        raise CheckFailedError(f"the training leaves something behind: {'; '.join(changes)}.")
    return "the process and the folders are as they were."

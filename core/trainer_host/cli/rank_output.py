"""The output of a rank: the first one shows the run, any other its errors, and whoever launched them gets all."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from trainer_host.base.errors import ExitCode, SettingsError, StoppedError, TrainerError
from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.rank_failures import RankFailure, leave_failure
from trainer_host.base.ranks import Ranks, ranks_of_environment

if TYPE_CHECKING:
    from trainer_host.cli.console_reporter import ConsoleReporter


def shows_the_run() -> bool:
    """Return whether this process shows head and outcome of a run: not beside a launcher or a first rank that does."""
    launched = LaunchedRank.of(os.environ)
    return _ranks().is_first and not (launched and launched.is_reported)


def head(reporter: ConsoleReporter) -> None:
    """Show the program's name and version, once for a run."""
    if shows_the_run():
        reporter.head()


def left_for_launcher(error: BaseException) -> RankFailure | None:
    """Return the failure of a rank, which is left for whoever launched it; None for any other process."""
    ranks, launched = _ranks(), LaunchedRank.of(os.environ)
    if ranks.world_size == 1 and launched is None:
        return None
    trace = "" if isinstance(error, TrainerError) else "".join(traceback.format_exception(error))
    failure = RankFailure.of(ranks.rank, error, trace)
    if launched is not None:
        leave_failure(launched.shared, failure)
    return failure


def is_shown(failure: RankFailure) -> bool:
    """Return whether a rank shows its failure itself: no launcher does, and no other rank has a better message."""
    launched = LaunchedRank.of(os.environ)
    reported = launched is not None and launched.is_reported
    return not reported and (failure.rank == 0 or not failure.is_consequence)


def exit_code(failure: RankFailure, error: BaseException) -> int:
    """Return the exit code of a rank that shows nothing: 0 for a stop of all, which the launcher reports.

    torchrun ends the other processes when one fails, which may still be saving the state.
    """
    launched = LaunchedRank.of(os.environ)
    reported = launched is not None and launched.is_reported
    return ExitCode.DONE if reported and isinstance(error, StoppedError) and error.by_all else failure.exit_code


def _ranks() -> Ranks:
    try:
        return ranks_of_environment(os.environ)
    except SettingsError:  # which is what is to be shown
        return Ranks()

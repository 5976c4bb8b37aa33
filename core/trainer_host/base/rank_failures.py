"""Errors of the processes of a run, left in a folder for whoever started them: a small file for each rank.

The first one that is no consequence of another is the one to report.
"""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import (
    ExitCode,
    PluginCrashError,
    Problem,
    RankError,
    StoppedError,
    TrainerError,
)
from trainer_host.base.rank_folder import failure_file, failure_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


STOPPED = frozenset({ExitCode.INTERRUPTED, ExitCode.TERMINATED, -signal.SIGINT, -signal.SIGTERM})
"""Exit codes of a process that was stopped by a signal."""

FINAL = frozenset(
    {
        *(ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.USAGE, ExitCode.SETTINGS, ExitCode.DATASET),
        *(ExitCode.PLUGIN, ExitCode.UNSAFE, ExitCode.LOSS, ExitCode.MEMORY),
    }
)
"""Exit codes after which another start would end in the same way, or is not wanted."""


class RankCrashError(TrainerError):
    """A process of the run failed with an error that the host does not expect.

    Attributes:
        trace: Its traceback as text.
    """

    def __init__(self, *problems: Problem | str, trace: str = "") -> None:
        super().__init__(*problems)
        self.trace = trace


@dataclass(frozen=True)
class RankFailure:
    """The end of a rank.

    Attributes:
        rank: The rank.
        kind: The class of the error; empty if the process left none.
        exit_code: Its exit code; negative for a signal.
        problems: Its problems as plain data.
        retryable: Whether the same command may work later without a change.
        trace: Its traceback; empty for an expected error.
        details: Its details for the JSON of the command, and further arguments of its class.
        at: When it happened, in seconds.
    """

    rank: int
    kind: str
    exit_code: int
    problems: tuple[Mapping[str, Any], ...] = ()
    retryable: bool = False
    trace: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0

    @classmethod
    def of(cls, rank: int, error: BaseException, trace: str = "") -> RankFailure:
        """Return the failure of an error.

        Args:
            rank: The rank that it ended.
            error: The error.
            trace: Its traceback, for an error that is not expected.
        """
        kind, now = type(error).__name__, time.time()
        if not isinstance(error, TrainerError):
            message = f"{kind}: {error}".splitlines()[0]
            return cls(rank, kind, int(ExitCode.BUG), (Problem(message).as_json(),), trace=trace, at=now)
        details = dict(error.details)
        if isinstance(error, PluginCrashError):
            trace = error.trace
            details |= {"plugin": error.plugin, "distribution": error.distribution, "hook": error.hook}
        problems = tuple(problem.as_json() for problem in error.problems)
        return cls(rank, kind, int(error.exit_code), problems, error.retryable, trace, details, now)

    @property
    def is_consequence(self) -> bool:
        """Whether another rank is what failed: this one lost it, or was stopped because of it."""
        return self.kind in {RankError.__name__, StoppedError.__name__} or (not self.kind and self.exit_code in STOPPED)

    @property
    def is_worth_a_restart(self) -> bool:
        """Whether another attempt may go better: not for a wrong setting, dataset or plugin, and not for a stop."""
        return not self.kind or self.exit_code not in FINAL

    def as_error(self) -> TrainerError:
        """Return the error that reports it, and names the rank."""
        problems = tuple(_named(Problem(**one), self.rank) for one in self.problems)
        details, kind = dict(self.details), _classes().get(self.kind)
        error: TrainerError
        if not self.kind:
            error = RankError(*self._vanished())
        elif kind is PluginCrashError:
            named = {key: details.pop(key) for key in ("plugin", "distribution", "hook")}
            error = PluginCrashError(problems[0], **named, trace=self.trace)
        elif kind is StoppedError:
            error = StoppedError(*problems, terminated=self.exit_code == ExitCode.TERMINATED)
        elif kind is None:
            error = RankCrashError(*problems, trace=self.trace)
        else:
            error = kind(*problems)
        error.details |= {**details, "rank": self.rank}
        return error

    def _vanished(self) -> tuple[Problem, ...]:
        if self.exit_code >= 0:
            what = f"rank {self.rank} ended with exit code {self.exit_code} and no error message."
            return (Problem(what, "look at the output above"),)
        with suppress(ValueError):
            name = signal.Signals(-self.exit_code).name
            hint = "The system may have run out of memory." if name == "SIGKILL" else None
            return (Problem(f"rank {self.rank} was killed by {name}.", "start the run again", hint=hint),)
        return (Problem(f"rank {self.rank} was killed by signal {-self.exit_code}.", "start the run again"),)


def _named(problem: Problem, rank: int) -> Problem:
    return replace(problem, message=f"[rank {rank}] {problem.message}")


def _classes() -> dict[str, type[TrainerError]]:
    """Return the classes of expected errors by name."""
    found: dict[str, type[TrainerError]] = {}
    left = [TrainerError]
    while left:
        kind = left.pop()
        found[kind.__name__] = kind
        left += kind.__subclasses__()
    return found


def leave_failure(folder: Path, failure: RankFailure) -> None:
    """Write the file of a rank; that it cannot be written changes nothing."""
    with suppress(OSError, TypeError, ValueError):
        atomic_write(failure_file(folder, failure.rank), json.dumps(asdict(failure), default=str).encode())


def failures_in(folder: Path) -> list[RankFailure]:
    """Return the failures that ranks have left in a folder."""
    found = []
    for file in failure_files(folder):
        with suppress(OSError, ValueError, TypeError):
            data = json.loads(file.read_text(encoding="utf-8"))
            found.append(RankFailure(**{**data, "problems": tuple(data.get("problems", ()))}))
    return found


def clear_failures(folder: Path) -> None:
    """Remove what ranks of an earlier attempt have left."""
    for file in failure_files(folder):
        file.unlink(missing_ok=True)


def root_cause(
    left: Iterable[RankFailure],
    exit_codes: Mapping[int, int] | None = None,
    ended: Mapping[int, float] | None = None,
) -> RankFailure | None:
    """Return the failure to report; None if there is none.

    Args:
        left: What the ranks have left.
        exit_codes: Exit codes of the ranks that failed, as far as they are known; negative for a signal.
        ended: When they ended, in seconds; by default after those that have left a failure.
    """
    failures = {one.rank: one for one in left}
    for rank, code in (exit_codes or {}).items():
        if rank not in failures and code != 0:
            at = (ended or {}).get(rank, float("inf"))
            failures[rank] = RankFailure(rank, "", code, retryable=True, at=at)
    ordered = sorted(
        failures.values(), key=lambda one: (one.is_consequence, not one.is_consequence and one.at, one.rank)
    )
    return ordered[0] if ordered else None

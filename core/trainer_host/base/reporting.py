"""Progress of a run, for the person who waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Attributes:
        epoch: The current epoch, counted from 1.
        epochs: Epochs that are planned.
        batch: Batches of this epoch that are done.
        batches: Batches of an epoch.
        losses: Mean losses of this epoch so far, by name.
        seconds_left: Estimate of the time that is left, or None if there is none yet.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds_left: float | None = None


@dataclass(frozen=True)
class EpochReport:
    """One epoch that is done.

    Attributes:
        epoch: The epoch, counted from 1.
        epochs: Epochs that are planned.
        seconds: How long it took, validation included; of a resumed epoch, its part after the resume.
        seconds_left: Estimate of the time that is left, or None if there is none yet.
        losses: Mean training losses by name.
        metrics: Validation metrics that belong in a summary, by name; None if the epoch was not evaluated.
        best: Whether the epoch is the best so far, and was written as the best checkpoint.
    """

    epoch: int
    epochs: int
    seconds: float
    seconds_left: float | None
    losses: Mapping[str, float]
    metrics: Mapping[str, float | None]
    best: bool


class Reporter(Protocol):
    """Shows a run to people. Every method may do nothing."""

    def note(self, text: str) -> None:
        """Show something that is worth knowing."""

    def warn(self, text: str) -> None:
        """Show something that needs attention."""

    def progress(self, progress: Progress) -> None:
        """Show where the training stands; called after each batch."""

    def epoch(self, report: EpochReport) -> None:
        """Show an epoch that is done."""

    def close(self) -> None:
        """End whatever is being drawn."""


class NullReporter:
    """A reporter that shows nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show nothing."""

    def progress(self, progress: Progress) -> None:
        """Show nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class RankReporter(NullReporter):
    """Shows the warnings of a process that is not the first of its run, with its number.

    Args:
        inner: Shows them.
        rank: The number.
    """

    def __init__(self, inner: Reporter, rank: int) -> None:
        self.inner, self.rank = inner, rank

    def warn(self, text: str) -> None:
        """Show something that needs attention."""
        self.inner.warn(f"[rank {self.rank}] {text}")

    def close(self) -> None:
        """End whatever is being drawn."""
        self.inner.close()

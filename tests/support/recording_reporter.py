"""A reporter that keeps what it is given."""

from __future__ import annotations

from trainer_host.base.reporting import NullReporter


class RecordingReporter(NullReporter):
    """Keeps notes and warnings, in their order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)

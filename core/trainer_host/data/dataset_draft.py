"""A dataset YAML while it is read: the only stage at which its keys change in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.findings import Finding, Severity
from trainer_host.data.description import Description, line_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.yaml_document import Document
    from trainer_host.data.description import Split


class Draft(dict[str, Any]):
    """The keys of a dataset YAML that is being read, with the findings so far.

    Args:
        file: The YAML.
        document: Its content.
    """

    def __init__(self, file: Path, document: Document) -> None:
        super().__init__(document.content)
        self.file, self.lines, self.findings = str(file.absolute()), dict(document.lines), list(document.findings)

    def note_key(self, key: str, code: str, message: str, fix: str = "", severity: Severity = "error") -> None:
        """Add a finding about a key, with its line."""
        self.findings.append(Finding(code, message, fix, self.file, line_of(key, self.lines), severity))

    def finished(self, splits: Mapping[str, Split]) -> Description:
        """Return the dataset as it was read."""
        return Description(
            self, file=self.file, splits=splits, findings=self.findings, lines=self.lines, engine_reads=True
        )

"""What a check of a dataset found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer_host.base.errors import DatasetError, DatasetKeyError, Problem

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One finding of a dataset check.

    Attributes:
        code: Stable name of the kind of finding, such as ``missing-key``.
        message: What is wrong, as a sentence without a final line break.
        fix: What to write or do, as an imperative that begins with a small letter.
        file: The file at fault, where one is, as an absolute path.
        line: Its line, counted from 1.
        severity: An ``error`` stops the run, a ``warning`` is shown.
        split: The split it belongs to, where it is one split's.
        image: The one image that cannot be used because of it. ``--bad=skip`` leaves such images out; an error
            without an image always stops the run.
    """

    code: str
    message: str
    fix: str = ""
    file: str | None = None
    line: int | None = None
    severity: Severity = "error"
    split: str | None = None
    image: str | None = None

    def problem(self) -> Problem:
        """Return the finding as a problem that an error can carry."""
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return Problem(self.message, f"Fix: {self.fix}" if self.fix else None, where)


MISSING_KEY = "missing-key"
"""The code of a finding that names a key which the dataset lacks; raised as a `DatasetKeyError`."""


def raise_errors(findings: list[Finding]) -> None:
    """Raise all errors among the findings in one exception.

    Raises:
        DatasetKeyError: Where every error is a missing key.
        DatasetError: For any other errors.
    """
    errors = [f for f in findings if f.severity == "error"]
    if not errors:
        return
    kind = DatasetKeyError if all(f.code == MISSING_KEY for f in errors) else DatasetError
    raise kind(*(f.problem() for f in errors))

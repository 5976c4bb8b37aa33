"""Findings of a dataset check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import ExitCode, Problem, SettingsError, TrainerError
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning"]
"""Severity of a finding: an error stops the run, a warning is shown."""


@dataclass(frozen=True)
class Finding:
    """One finding of a dataset check.

    Attributes:
        code: Stable name of the kind of finding, such as ``missing-key``.
        message: What is wrong, as a sentence without a final line break.
        fix: What to write or do, as an imperative that begins with a small letter.
        file: The faulty file as an absolute path, if there is one.
        line: Its line, counted from 1.
        severity: An ``error`` stops the run, a ``warning`` is shown.
        split: The split that it belongs to, if it is one split's.
        image: The one image that cannot be used because of it. ``--bad=skip`` skips such images; an error
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
        place = display_path(Path(self.file)) if self.file else None
        where = f"{place}:{self.line}" if place and self.line else place
        return Problem(self.message, f"{self.fix}" if self.fix else None, where)


class DatasetError(TrainerError, RuntimeError):
    """The dataset cannot be used. Also a `RuntimeError`, as the engine's own trainers raise.

    Attributes:
        findings: Every error that a check found; ``problems`` shows the first of each kind and counts the others.
    """

    exit_code = ExitCode.DATASET
    findings: tuple[Finding, ...] = ()


class DatasetKeyError(DatasetError, KeyError):
    """The dataset lacks a key that the task needs. Also a `KeyError`, as the engine's own trainers raise."""

    __str__ = TrainerError.__str__


MISSING_KEY = "missing-key"
"""The code of a finding that names a key which the dataset lacks; raised as a `DatasetKeyError`."""

SHOWN = 3
"""Findings of a kind that are shown before the others are counted."""
SKIP_SHARE = 0.1
"""Largest fraction of a split's images that ``--bad=skip`` skips."""


@dataclass(frozen=True)
class Tolerance:
    """How to handle images that cannot be used.

    Attributes:
        text: The option as it was given.
        share: Fraction of a split's images that may be skipped; 0 if each stops the run.
    """

    text: str = "fail"
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """Return what ``fail``, ``skip`` or ``skip:1%`` means.

        Raises:
            SettingsError: If it is none of them.
        """
        word, colon, share = text.strip().lower().partition(":")
        if word == "fail" and not colon:
            return cls()
        if word == "skip" and not colon:
            return cls("skip", SKIP_SHARE)
        try:
            number = float(share.removesuffix("%")) / 100
        except ValueError:
            number = -1.0
        if word == "skip" and share.endswith("%") and 0 < number <= 1:
            return cls(text, number)
        raise SettingsError(Problem(f"--bad={text} is not valid.", "write --bad=fail, --bad=skip, or --bad=skip:1%"))


FAIL = Tolerance()
"""Each image that cannot be used stops the run."""


def by_code(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return findings by their codes, errors before warnings."""
    groups: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda f: f.severity != "error"):
        groups.setdefault(finding.code, []).append(finding)
    return groups


def grouped(findings: Iterable[Finding], shown: int = SHOWN) -> list[Problem]:
    """Return the first findings of each kind, and how many more there are."""
    problems = []
    for code, group in by_code(findings).items():
        problems += [f.problem() for f in group[:shown]]
        if more := len(group) - shown if len(group) > shown else 0:
            files = len({f.file for f in group})
            problems.append(Problem(f"... and {more} more of {code}, in {counted(files, 'file')}."))
    return problems


def raise_errors(findings: list[Finding], hint: str = "") -> None:
    """Raise all errors among the findings in one exception, which has them all as ``findings``.

    Args:
        findings: What was found.
        hint: What to do if not all errors are shown.

    Raises:
        DatasetKeyError: If every error is a missing key.
        DatasetError: For any other errors.
    """
    errors = [f for f in findings if f.severity == "error"]
    if not errors:
        return
    kind = DatasetKeyError if all(f.code == MISSING_KEY for f in errors) else DatasetError
    problems = grouped(errors)
    if hint and len(problems) < len(errors):
        problems.append(Problem(f"the dataset has {counted(len(errors), 'error')}.", hint=hint))
    error = kind(*problems)
    error.findings = tuple(errors)
    raise error

"""``trainer check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer_host.cli.shared_options import declared_command, make_request, word_fixes

if TYPE_CHECKING:
    from trainer_host.session.dataset_check import CheckResult


@declared_command("DATASET [SETTINGS]...")
def check(words: tuple[str, ...], given: dict[str, Any]) -> int:
    """Check a dataset: YAML, images and label files, to the line.

    Nothing is trained, and the dataset is not written to.

    \b
    trainer check my.yaml
    trainer check my.yaml --task NAME --report check.html
    trainer check annotations.json images=photos/

    The exit code is 4 if there is an error.
    """
    from trainer_host.base.errors import ExitCode
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit
    from trainer_host.session.dataset_check import check as session

    reporter = make_reporter()
    request, registry = make_request("check", _named(words), given)
    options = request.options
    result = session(request, registry, reporter)
    _show(result, options.verbose, options.strict)
    for line in result.notes:
        reporter.note(line)
    if options.json:
        emit(result.as_json())
    return int(ExitCode.DATASET if result.fails(options.strict) else ExitCode.DONE)


def _named(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with ``data=`` before the dataset, which need not be written."""
    names = word_fixes(words, "check")  # which are reported as they stand
    plain = [w for w in words if ("=" not in w or Path(w).exists()) and w not in names]
    if len(plain) > 1:
        raise click.UsageError(f"only one dataset can be checked, not {' and '.join(plain)}.")
    return tuple(f"data={w}" if w in plain else w for w in words)


def _show(result: CheckResult, verbose: bool, strict: bool) -> None:
    from trainer_host.base.display import escaped
    from trainer_host.base.findings import SHOWN, grouped
    from trainer_host.base.wording import counted
    from trainer_host.session.dataset_check import summary

    for line in summary(result):
        click.echo(escaped(line), err=True)
    for severity, colour in (("error", "red"), ("warning", "yellow")):
        found = [f for f in result.findings if f.severity == severity]
        for problem in grouped(found, len(found) if verbose else SHOWN):
            click.echo(f"{click.style(severity, fg=colour)}: {problem}", err=True)
    errors, warnings = result.counts["errors"], result.counts["warnings"]
    if not errors and not warnings:
        click.echo("No problems found. Ready to train.", err=True)
        return
    parts = [counted(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    verdict = "Ready to train" if result.trainable else "Not ready to train"
    if errors and result.trainable:
        verdict += ", without the faulty split"
    if strict and not errors:
        verdict += ", but --strict fails on warnings"
    click.echo(f"{' and '.join(parts)}. {verdict}.", err=True)

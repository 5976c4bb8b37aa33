"""``trainer convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainer_host.cli.shared_options import declared_command, make_request


@declared_command("DATASET DIR [SETTINGS]...")
def convert(words: tuple[str, ...], given: dict[str, Any]) -> None:
    """Write a dataset of any format as a YOLO one, into a new folder.

    \b
    trainer convert annotations.json DIR images=photos/
    trainer convert train.json,val.json DIR
    trainer convert project/config.yaml DIR --task NAME
    trainer convert data.yaml DIR --holdout 0.2

    The first word is the dataset, the last the folder. Errors of the dataset stop it, and nothing is written then.
    """
    from trainer_host.base.findings import by_code, grouped
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit
    from trainer_host.session.dataset_conversion import convert as session

    reporter = make_reporter()
    settings, folder = _split(words)
    request, registry = make_request("convert", settings, given)
    result = session(request, registry, folder, reporter)
    for group in by_code(result.findings).values():
        for problem in grouped(group, len(group) if request.options.verbose else 3):
            reporter.warn(str(problem))
    for line in result.lines():
        reporter.note(line)
    if request.options.json:
        emit(result.as_json())


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], Path]:
    """Return the words with ``data=`` before the dataset, and the folder to write to."""
    plain = [w for w in words if "=" not in w or Path(w).exists()]
    others = tuple(w for w in words if w not in plain)
    given = any(w.startswith("data=") for w in others)
    if len(plain) != 2 - given:
        raise click.UsageError("give the dataset and the folder to write: trainer convert SOURCE DIR")
    return (others if given else (f"data={plain[0]}", *others)), Path(plain[-1])

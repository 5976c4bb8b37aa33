"""``trainer resume``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from trainer_host.cli.rank_output import head
from trainer_host.cli.run import finish
from trainer_host.cli.shared_options import declared_command, load_engine, make_request, quiet_engine


@declared_command("RUN [SETTINGS]...")
def resume(words: tuple[str, ...], given: dict[str, Any]) -> None:
    """Go on with a run that was stopped or killed, in its folder. A finished run is left as it is.

    \b
    trainer resume runs/TASK/train                a run's folder, its run.yaml, or a checkpoint in it
    trainer resume runs/TASK/train epochs=200     with more epochs
    trainer resume runs/TASK/train --allow torch  with another release of torch

    Task, settings, plugins and dataset come from the record of the run. What differs is listed, and refused if it
    would change the result.
    """
    from trainer_host.cli.console_reporter import make_reporter

    runs = [word for word in words if "=" not in word or Path(word).exists()]
    if len(runs) != 1:
        raise click.UsageError(SEVERAL if runs else _which())
    reporter = make_reporter()
    head(reporter)
    with quiet_engine():
        settings = tuple(word for word in words if word not in runs)
        request, registry = make_request("resume", (f"resume={runs[0]}", *settings), given)
        load_engine(request, registry)
        from trainer_host.session.training import run as session

        result = session(request, registry, reporter)
    finish(request, result, reporter)


SEVERAL = "one run can be resumed at a time."


def _which() -> str:
    """Return the message for a command without a run, with those that can be resumed."""
    from trainer_host.session.run_search import unfinished_runs

    found = unfinished_runs()
    if not found:
        return "name the run to resume: trainer resume runs/TASK/NAME (no unfinished run found in runs)"
    command = f"trainer resume {shlex.quote(found[0])}"
    several = f" (unfinished, latest first: {', '.join(found)})" if len(found) > 1 else ""
    return f"name the run to resume: {command}{several}"

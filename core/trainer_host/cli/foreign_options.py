"""Options that are settings: ``--epochs 3``, as other programs have it, where the host takes ``epochs=3``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS_TAKEN = ("run", "val", "predict", "check")


def explained(error: click.ClickException, arguments: Sequence[str]) -> click.ClickException:
    """Return the error of an unknown option with what to write, if it is a setting; any other error as it is.

    Args:
        error: The error.
        arguments: The words of the command line.
    """
    if not isinstance(error, click.NoSuchOption) or not arguments or arguments[0] not in SETTINGS_TAKEN:
        return error
    from trainer_host.base.settings import parse_value
    from trainer_host.engine.factory import default_engine

    text = _value(error.option_name, arguments)
    name = error.option_name.lstrip("-").replace("-", "_")
    message, value = f"{error.message.rstrip('.')}.", None if text is None else parse_value(text)
    problem = default_engine().settings.option_problem(message, name, value)
    if problem is None:
        return error
    if (problem.fix or "").startswith("write ") and not (problem.fix or "").startswith("write --"):
        problem = replace(problem, hint="Settings are written without dashes.")
    return click.NoSuchOption(error.option_name, str(problem), ctx=error.ctx)  # without those that only look like it


def _value(option: str, arguments: Sequence[str]) -> str | None:
    for word, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        name, equals, text = word.partition("=")
        if name == option:
            return text if equals else None if following.startswith("-") else following
    return None

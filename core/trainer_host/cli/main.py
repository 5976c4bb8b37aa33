"""The command's entry: lazy sub-commands, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import importlib
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from trainer_host.base.errors import ExitCode, Problem, StoppedError, TrainerError
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMANDS = {
    "run": ("trainer_host.cli.run", "Train a model."),
    "val": ("trainer_host.cli.finished", "Measure a finished model."),
    "predict": ("trainer_host.cli.finished", "Find objects in images, folders or videos."),
    "check": ("trainer_host.cli.check", "Check a dataset, to the file and the line."),
    "convert": ("trainer_host.cli.convert", "Write a dataset of another format as a YOLO one."),
    "plugins": ("trainer_host.cli.plugins", "List, check and show plugins."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; its help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, with the nearest name where there is none."""
        name = args[0] if args else ""
        if name not in COMMANDS:
            from trainer_host.base.errors import nearest

            near = nearest(name, COMMANDS)
            hint = f" Did you mean {near!r}?" if near else f" Commands: {', '.join(COMMANDS)}."
            ctx.fail(f"there is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="trainer", message="%(prog)s %(version)s")
def cli() -> None:
    """Train vision models whose tasks are plugins.

    \b
    trainer run --task NAME                         train on a built-in sample
    trainer run --task NAME data=my.yaml epochs=50  train on a dataset of yours
    trainer predict model=best.pt source=images/    use the result
    trainer plugins                                 what is installed
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    sys.exit(guarded(arguments))


def guarded(arguments: list[str] | None = None) -> int:
    """Run the command; an expected error is one line for each problem, anything else keeps its traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="trainer", standalone_mode=False)
    except TrainerError as error:
        _report(error, "--json" in arguments)
        return int(error.exit_code)
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:
            emit(_as_json(type(error).__name__, error.exit_code, [Problem(error.format_message())]))
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        _report(StoppedError("stopped."), "--json" in arguments)
        return int(ExitCode.INTERRUPTED)
    return code if isinstance(code, int) else int(ExitCode.DONE)  # click returns the code of an early exit


def _report(error: TrainerError, as_json: bool) -> None:
    for problem in error.problems:
        click.echo(f"trainer: {problem}", err=True)
    if as_json:
        emit(_as_json(type(error).__name__, error.exit_code, error.problems, error.retryable))


def _as_json(kind: str, code: int, problems: Iterable[Problem], retryable: bool = False) -> dict[str, Any]:
    return {
        "status": "stopped" if code >= ExitCode.INTERRUPTED else "error",
        "error": kind,
        "exit_code": int(code),
        "problems": [{"message": p.message, "fix": p.fix, "where": p.where} for p in problems],
        "retryable": retryable,
    }


def emit(data: Any) -> None:
    """Print one JSON object on standard output; a number that is not finite is null."""
    click.echo(json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

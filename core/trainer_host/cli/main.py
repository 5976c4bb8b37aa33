"""The command's entry: lazy sub-commands, and the one place where errors become lines and exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from trainer_host._early_signals import leave
from trainer_host.base.display import escaped, escaped_lines, json_text
from trainer_host.base.errors import (
    EnvironmentProblemError,
    ExitCode,
    PluginCrashError,
    Problem,
    StoppedError,
    TrainerError,
)
from trainer_host.base.openmp_waits import own_process
from trainer_host.base.rank_failures import RankCrashError
from trainer_host.base.signals import StopRequest, handled_by
from trainer_host.cli.rank_output import exit_code, is_shown, left_for_launcher
from trainer_host.cli.standard_streams import (
    ClosedPipeError,
    close_output,
    flushed,
    is_output_error,
    leave_on_signals,
    prepare_streams,
    say,
    unpiped,
)
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.shell_completion import CompletionItem

    from trainer_host.plugin.registry import Registry

COMMANDS = {
    "run": ("trainer_host.cli.run", "Train a model."),
    "resume": ("trainer_host.cli.resume", "Go on with a run that was stopped or killed."),
    "val": ("trainer_host.cli.val", "Evaluate a trained model."),
    "predict": ("trainer_host.cli.predict", "Find objects in images, folders or videos."),
    "check": ("trainer_host.cli.check", "Check a dataset, to the file and the line."),
    "convert": ("trainer_host.cli.convert", "Write a dataset of another format as a YOLO one."),
    "plugins": ("trainer_host.cli.plugins", "List, check and show plugins."),
    "doctor": ("trainer_host.cli.doctor", "Show versions, devices and problems of the installation."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; its help imports none of them."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Read the command line, which prints the help if it is asked for."""
        with unpiped():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command."""
        with unpiped():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands: the host's in the order of their use, then those of plugins."""
        return [*COMMANDS, *(r.name for r in _registry(ctx).available("command"))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            PluginError: If it is a plugin's and cannot be used.
        """
        if cmd_name in COMMANDS:
            with handled_by(leave):
                module = importlib.import_module(COMMANDS[cmd_name][0])
            command: click.Command = getattr(module, cmd_name)
            return command
        from trainer_host.plugin.plugin_commands import load_command

        registry = _registry(ctx)
        commands = [r for r in registry.records if r.kind == "command"]
        names = {r.name for r in commands} | {f"{r.distribution}:{r.name}" for r in commands}
        return load_command(registry.select(cmd_name, "command")) if cmd_name in names else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, with the nearest name if there is none."""
        name = args[0] if args else ""
        command = self.get_command(ctx, name)
        if command is None:
            ctx.fail(f"unknown command {name!r}. {self._instead(ctx, args)}")
        return name, command, args[1:]

    def _instead(self, ctx: click.Context, args: list[str]) -> str:
        """Return advice on a command line whose first word is not a command."""
        from trainer_host.base.errors import nearest
        from trainer_host.cli.foreign_commands import command_instead, not_offered

        known = self.list_commands(ctx)
        if fix := command_instead(args, [r.name for r in _registry(ctx).available("task")]):
            return f"Fix: {fix}"
        if remark := not_offered(args):
            return remark
        near = nearest(args[0], known) if args else None
        return f"Did you mean {near!r}?" if near else f"Commands: {', '.join(known)}."

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        if added := _registry(ctx).available("command"):
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(escaped(r.name), escaped(f"from {r.origin}")) for r in added])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command without importing any."""
        from click.shell_completion import CompletionItem

        names = [n for n in self.list_commands(ctx) if n.startswith(incomplete)]
        items = [CompletionItem(n, help=COMMANDS[n][1] if n in COMMANDS else None) for n in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _registry(ctx: click.Context) -> Registry:
    """Return the installed plugins, found once for a command line that names no command of the host."""
    from trainer_host.plugin.registry import Registry

    if __name__ not in ctx.meta:
        ctx.meta[__name__] = Registry.installed()
    found: Registry = ctx.meta[__name__]
    return found


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="trainer", message="%(prog)s %(version)s")
def cli() -> None:
    """Train vision models whose tasks are plugins.

    \b
    trainer run --task NAME                         train on a built-in sample
    trainer run --task NAME data=my.yaml epochs=50  train on your dataset
    trainer predict model=best.pt source=images/    use the result
    trainer plugins                                 what is installed
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    if arguments is None:
        prepare_streams()
        own_process()
    try:
        code = guarded(arguments)
    except Exception as error:
        if isinstance(error, OSError) and is_output_error(error):  # an error was to be reported there
            code = close_output(error)
        else:  # a bug, whose text may quote what a file provides
            say(escaped_lines(traceback.format_exc()).rstrip("\n"))
            code = int(ExitCode.BUG)
    if not flushed():
        code = code or int(ExitCode.STORAGE)
    if arguments is None:
        leave_on_signals(code)
    sys.exit(code)


def guarded(arguments: list[str] | None = None) -> int:
    """Run the command; an expected error is one line for each problem, anything else keeps its traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    stop = StopRequest(when="the command was not finished")
    with stop.listening():
        try:
            require_working_folder(arguments)
            code = cli.main(arguments, prog_name="trainer", standalone_mode=False, obj=stop)
        except Exception as error:
            caught = stop.instead_of(error, "the command was not finished")
            answered, stop.over = stop.over, True
            return _code_of(caught, arguments, answered)
        except KeyboardInterrupt:
            stop.over = True
            return _report(StoppedError("stopped."), "--json" in arguments)
        stop.over = True
    return code if isinstance(code, int) else int(ExitCode.DONE)  # click returns the code of an early exit


def _code_of(error: BaseException, arguments: list[str], answered: bool) -> int:
    """Report an error and return the exit code; a bug is raised."""
    as_json = "--json" in arguments and not answered
    if not isinstance(error, click.ClickException) and (failure := left_for_launcher(error)) is not None:
        if not is_shown(failure):
            return exit_code(failure, error)
        error = failure.as_error()
        as_json = as_json and failure.rank == 0
    if isinstance(error, TrainerError):
        return _report(error, as_json)
    if isinstance(error, click.ClickException):
        from trainer_host.cli.foreign_options import explained

        error = explained(error, arguments)
        _show_usage(error)
        if as_json:
            emit(_as_json(type(error).__name__, error.exit_code, [Problem(error.format_message())]))
        return error.exit_code
    if isinstance(error, click.exceptions.Abort):
        return _report(StoppedError("stopped."), as_json)
    if isinstance(error, ClosedPipeError):
        return close_output()
    if isinstance(error, OSError) and is_output_error(error):
        return close_output(error)
    from trainer_host.engine.error_translation import known_error
    from trainer_host.engine.factory import default_engine
    from trainer_host.plugin.plugin_commands import crash_of_command
    from trainer_host.plugin.registry import Registry

    crash = crash_of_command(error, Registry.installed()) if isinstance(error, Exception) else None
    known = crash or known_error(error, engine=default_engine())
    if known is None:
        raise error
    return _report(known, as_json)


def require_working_folder(arguments: list[str]) -> None:
    """Refuse to work in a folder that was removed; help and the version need none.

    Raises:
        EnvironmentProblemError: If the working folder is gone.
    """
    if not arguments or {"-h", "--help", "-V", "--version"} & set(arguments):
        return
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        what = f"the working folder no longer exists ({error.strerror})."
        raise EnvironmentProblemError(Problem(what, "change to a folder that exists")) from error


def _show_usage(error: click.ClickException) -> None:
    """Show an error of the command line, whose words may be names of files."""
    shown = io.StringIO()
    error.show(file=shown)
    say(escaped_lines(shown.getvalue()).rstrip("\n"))


def _report(error: TrainerError, as_json: bool) -> int:
    for problem in error.problems:
        say(f"trainer: {problem}")
    data = _as_json(type(error).__name__, error.exit_code, error.problems, error.retryable)
    if isinstance(error, (PluginCrashError, RankCrashError)):
        say(escaped_lines(error.trace).rstrip("\n"))
    if isinstance(error, PluginCrashError):
        data |= {"plugin": error.plugin, "distribution": error.distribution, "hook": error.hook}
    if as_json:
        emit({**error.details, **data})
    return int(error.exit_code)


def _as_json(kind: str, code: int, problems: Iterable[Problem], retryable: bool = False) -> dict[str, Any]:
    return {
        "status": "stopped" if code >= ExitCode.INTERRUPTED else "error",
        "error": kind,
        "exit_code": int(code),
        "problems": [problem.as_json() for problem in problems],
        "retryable": retryable,
    }


def emit(data: Any) -> None:
    """Print one JSON object on standard output; a number that is not finite is null."""
    context = click.get_current_context(silent=True)
    if context is not None and isinstance(context.obj, StopRequest):
        context.obj.over = True  # a signal from now on would be a second answer
    click.echo(json_text(data))

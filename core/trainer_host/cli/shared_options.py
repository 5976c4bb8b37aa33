"""The options and arguments that several commands share."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainer_host.base.settings import parse_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer_host.plugin.discovery import Kind
    from trainer_host.session.resolution import Request

F = TypeVar("F", bound="Callable[..., Any]")


class Setting(click.ParamType):  # type: ignore[type-arg]
    """A word of the form ``key=value``, completed with the engine's keys."""

    name = "key=value"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Complete the name of a key."""
        from click.shell_completion import CompletionItem

        from trainer_host.engine.factory import make_engine

        if "=" in incomplete:
            return []
        keys = [CompletionItem(f"{k}=") for k in sorted(make_engine().settings.keys()) if k.startswith(incomplete)]
        return keys or [CompletionItem(incomplete, type="file")]


def _complete_plugins(kind: Kind) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
        from trainer_host.plugin.registry import Registry

        return [r.name for r in Registry.installed().available(kind) if r.name.startswith(incomplete)]

    return complete


def task_option(envvar: str | None = None) -> Callable[[F], F]:
    """Add the option for the task, with a variable where no file of the user's says it better."""
    return click.option(
        "--task",
        metavar="NAME",
        envvar=envvar,
        shell_complete=_complete_plugins("task"),
        help="The task; left out, the model or the dataset tells it.",
    )


bad_option = click.option(
    "--bad",
    metavar="fail|skip|skip:1%",
    envvar="TRAINER_BAD",
    help="What becomes of images that cannot be used: fail (the default) stops, skip leaves out up to a tenth of each "
    "split, skip:1% up to 1%.",
)


def shared(command: F) -> F:
    """Add what every command that runs a model takes."""
    return _shared(command, "[SETTINGS]...", "Show all that the engine says.")


def shared_by_datasets(words: str) -> Callable[[F], F]:
    """Add what every command that reads a dataset takes, whose arguments are shown as ``words``."""
    return lambda command: _shared(command, words, "Show every finding.")


def _shared(command: F, words: str, verbose: str) -> F:
    for decorate in reversed(
        [
            click.argument("settings", nargs=-1, type=Setting(), metavar=words),
            click.option(
                "--plugin",
                "plugins",
                multiple=True,
                metavar="NAME|FILE.py",
                envvar="TRAINER_PLUGIN",
                shell_complete=_complete_plugins("extension"),
                help="Switch on an extension; repeatable.",
            ),
            click.option(
                "--no-plugin",
                "no_plugins",
                multiple=True,
                metavar="NAME",
                help="Switch off a plugin or a distribution; also TRAINER_NO_PLUGIN.",
            ),
            click.option("--offline", is_flag=True, envvar="TRAINER_OFFLINE", help="Fetch nothing from a network."),
            click.option(
                "--verbose",
                "-v",
                is_flag=True,
                envvar="TRAINER_VERBOSE",
                help=verbose,
            ),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        ]
    ):
        command = decorate(command)
    return command


def make_request(
    settings: tuple[str, ...],
    task: str | None,
    plugins: tuple[str, ...],
    no_plugins: tuple[str, ...],
    offline: bool,
    verbose: bool,
    exact: bool = False,
    file: Path | None = None,
    bad: str | None = None,
    best_metric: str | None = None,
) -> Request:
    """Return the request that a command line makes."""
    from trainer_host.session.resolution import Request

    context = click.get_current_context(silent=True)
    given = parse_pairs(settings, "source" if context is not None and context.info_name == "predict" else "data")
    given = replace(given, task=task or given.task, plugins=[*given.plugins, *plugins], bad=bad)
    given.best_metric = best_metric
    return Request(given, file, no_plugins, exact, offline, verbose)


@contextmanager
def quiet_engine() -> Iterator[None]:
    """Keep standard output for results: whatever the engine prints goes to standard error."""
    kept = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = kept


def load_engine() -> None:
    """Import the engine, which takes seconds; a signal meanwhile ends the process at once.

    Raising within an import would leave modules half made, and the engine's libraries swallow some of what is raised.
    """
    from trainer_host._early_signals import leave
    from trainer_host.base.signals import handled_by
    from trainer_host.engine.error_translation import translated
    from trainer_host.engine.factory import make_engine

    with handled_by(leave), translated():
        make_engine().load()


def split_file(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """Return the settings file among the words of a command, and the other words.

    Raises:
        click.UsageError: If there are several.
    """
    files = [w for w in words if "=" not in w and w.lower().endswith((".yaml", ".yml"))]
    if len(files) > 1:
        raise click.UsageError(f"only one settings file can be given, not {', '.join(files)}.")
    return (Path(files[0]) if files else None), tuple(w for w in words if w not in files)

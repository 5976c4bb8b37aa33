"""The options and arguments of commands, made from the declarations in `trainer_host.base.run_options`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer_host.base.run_options import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer_host.base.option_declaration import RunOption
    from trainer_host.base.request import Request
    from trainer_host.plugin.registry import Registry


class SettingType(click.ParamType):  # type: ignore[type-arg]
    """A word of the form ``key=value``, completed with the engine's keys."""

    name = "key=value"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Complete the name of a key."""
        from click.shell_completion import CompletionItem

        from trainer_host.engine.factory import default_engine

        if "=" in incomplete:
            return []
        keys = [CompletionItem(f"{k}=") for k in sorted(default_engine().settings.keys()) if k.startswith(incomplete)]
        return keys or [CompletionItem(incomplete, type="file")]


class DeclaredCommand(click.Command):
    """A command whose options are those that are declared for it; its function gets the words and the options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the command."""
        declared_for = declared(self.name).values()
        options = [_click_option(one) for one in declared_for if one.flag]
        return [*self.params, *options, *super().get_params(ctx)[len(self.params) :]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; options that are not on it are not passed on."""
        rest = super().parse_args(ctx, args)
        words = ctx.params.pop("settings", ())
        given = {k: v for k, v in ctx.params.items() if v is not None and v != ()}
        ctx.params = {"words": words, "given": given}
        return rest


def declared_command(words: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator for a command with its declared options, whose arguments are shown as ``words``."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made: click.Command = click.command(
            cls=DeclaredCommand, context_settings={"help_option_names": ["-h", "--help"]}
        )(function)
        made.params.append(click.Argument(["settings"], nargs=-1, type=SettingType(), metavar=words))
        return made

    return decorate


def _click_option(one: RunOption) -> click.Option:
    """Return an option of the command; None means that it was not given."""
    names = ["/".join(filter(None, [one.flag, one.off_flag])), *([one.short] if one.short else []), one.name]
    text = f"{one.help[:-1]}; repeatable." if one.repeatable else one.help
    if one.is_switch:
        value = {} if one.off_flag else {"flag_value": not one.off_help}
        return click.Option(names, is_flag=True, default=None, type=bool, help=one.off_help or text, **value)
    kinds: dict[str, Any] = {
        "file": click.Path(path_type=Path, dir_okay=False),
        "folder": click.Path(path_type=Path, file_okay=False),
    }
    complete = {"task": _complete("task"), "plugins": _complete("extension")}.get(one.name)
    return click.Option(
        names,
        multiple=one.repeatable,
        type=kinds.get(one.file_type, str),
        metavar=one.metavar,
        help=text,
        shell_complete=complete,
    )


def _complete(kind: str) -> Any:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
        from trainer_host.plugin.registry import Registry

        records = Registry.installed().records
        return [r.name for r in records if r.kind == kind and r.name.startswith(incomplete)]

    return complete


def make_request(
    command: str, words: tuple[str, ...], given: dict[str, Any], path_key: str = "data"
) -> tuple[Request, Registry]:
    """Return the complete request of a command line, and the plugins that it can use."""
    from trainer_host.base.request import from_command
    from trainer_host.session.opening import open_request

    return open_request(from_command(command, words, given, path_key, word_fixes(words, command)), "command")


def word_fixes(words: tuple[str, ...], command: str) -> dict[str, str]:
    """Return what to write for words that are names of tasks, of commands or of runs."""
    bare = [word for word in words if "=" not in word]
    if not bare:
        return {}
    from trainer_host.session.near_runs import word_of_a_run

    runs = {word: fix for word in bare if (fix := word_of_a_run(word, command))}
    absent = [word for word in bare if not Path(word).exists()]
    if not absent:
        return runs
    from trainer_host.cli.foreign_commands import fixes
    from trainer_host.plugin.registry import Registry

    return {**runs, **fixes(absent, command, [record.name for record in Registry.installed().available("task")])}


@contextmanager
def quiet_engine() -> Iterator[None]:
    """Keep standard output for results: whatever the engine prints goes to standard error."""
    kept = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = kept


def load_engine(request: Request, registry: Registry) -> None:
    """Import the engine of a request, which takes seconds; a signal meanwhile ends the process at once.

    Raising within an import would leave modules half made, and the engine's libraries swallow some of what is raised.
    """
    from trainer_host._early_signals import leave
    from trainer_host.base.signals import handled_by
    from trainer_host.engine.error_translation import translated
    from trainer_host.session.working_engine import engine_of_request

    with handled_by(leave), translated():
        engine_of_request(request, registry).load()


def split_file(words: tuple[str, ...]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the settings file among the words of a command, as an option, and the other words.

    Raises:
        click.UsageError: If there are several.
    """
    files = [w for w in words if "=" not in w and w.lower().endswith((".yaml", ".yml"))]
    if len(files) > 1:
        raise click.UsageError(f"only one settings file can be given, not {', '.join(files)}.")
    return {"settings_file": Path(files[0])} if files else {}, tuple(w for w in words if w not in files)

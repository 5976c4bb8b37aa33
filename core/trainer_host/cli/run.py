"""``trainer run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainer_host.cli.rank_output import head, shows_the_run
from trainer_host.cli.shared_options import declared_command, load_engine, make_request, quiet_engine, split_file

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.base.results import RunResult
    from trainer_host.cli.console_reporter import ConsoleReporter
    from trainer_host.plugin.registry import Registry


@declared_command("[SETTINGS]...")
def run(words: tuple[str, ...], given: dict[str, Any]) -> None:
    """Train a model.

    \b
    trainer run --task NAME                                  the built-in sample
    trainer run data=my.yaml model=yolo26n.yaml epochs=50
    trainer run exp.yaml lr0=0.001 optimizer=AdamW           a settings file, and changes to it
    trainer run --task NAME --plugin cbam cbam.gain=0.5      an extension and its option

    SETTINGS are key=value for the engine, PLUGIN.OPTION=VALUE for plugins, and at most one settings file.
    The command line takes precedence over the file, the file over the task's defaults.
    """
    from trainer_host.cli.console_reporter import make_reporter

    file, settings = split_file(words)
    reporter = make_reporter()
    head(reporter)
    with quiet_engine():
        request, registry = make_request("run", settings, {**given, **file})
        load_engine(request, registry)
        if request.options.dry_run:
            from trainer_host.session.launching import preview_if_asked

            # First: a launcher adds the extension that brings it, whose options are unknown otherwise.
            preview = preview_if_asked(request, registry, reporter) if request.options.launcher else None
            resolved = _resolved(request, registry, reporter) if preview is None else None
        else:
            from trainer_host.session.training import run as session

            result = session(request, registry, reporter)
    if request.options.dry_run:
        if preview is not None:
            _print_preview(preview, request.options.json)
        elif resolved is not None:
            _print_settings(resolved, request.options.json)
        return
    finish(request, result, reporter)


def finish(request: Request, result: RunResult, reporter: ConsoleReporter) -> None:
    """Show the outcome of a training."""
    from trainer_host.cli.main import emit

    if not shows_the_run():
        return
    if not result.nothing_done:
        reporter.summary(result)
    if request.options.json:
        emit(result.as_json())


def _resolved(request: Request, registry: Registry, reporter: Reporter) -> ResolvedRun:
    from trainer_host.session.training import resolve_only

    return resolve_only(request, registry, reporter)


def _print_preview(preview: str, as_json: bool) -> None:
    from trainer_host.cli.main import emit

    if as_json:
        emit({"preview": preview})
    else:
        click.echo(preview, nl=False)


def _print_settings(resolved: ResolvedRun, as_json: bool) -> None:
    from trainer_host.base.resolved_run import as_yaml
    from trainer_host.cli.main import emit

    if as_json:
        emit(resolved.content())
    else:
        click.echo(as_yaml(resolved.content()), nl=False)

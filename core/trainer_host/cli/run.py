"""``trainer run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trainer_host.cli.shared_options import (
    bad_option,
    load_engine,
    make_request,
    quiet_engine,
    shared,
    split_file,
    task_option,
)

if TYPE_CHECKING:
    from trainer_host.base.results import RunResult
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.resolution import Request


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@task_option("TRAINER_TASK")
@shared
@click.option(
    "--exact",
    is_flag=True,
    envvar="TRAINER_EXACT",
    help="Keep the stock engine's arithmetic, bit for bit; refuse an untested engine.",
)
@bad_option
@click.option(
    "--best-metric",
    metavar="NAME|min:NAME",
    envvar="TRAINER_BEST_METRIC",
    help="The metric that tells the best checkpoint, by its name in results.csv; min: where the lowest is the best.",
)
@click.option(
    "--tracker",
    "trackers",
    multiple=True,
    metavar="NAME",
    envvar="TRAINER_TRACKER",
    help="Switch on an experiment tracker of the engine, such as tensorboard or mlflow; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Print the settings that a run would have, as a settings file.")
def run(
    settings: tuple[str, ...],
    task: str | None,
    plugins: tuple[str, ...],
    no_plugins: tuple[str, ...],
    offline: bool,
    verbose: bool,
    as_json: bool,
    exact: bool,
    bad: str | None,
    best_metric: str | None,
    trackers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Train a model.

    \b
    trainer run --task NAME                                  the built-in sample
    trainer run data=my.yaml model=yolo11n.yaml epochs=50
    trainer run exp.yaml lr0=0.001 optimizer=AdamW           a settings file, and changes to it
    trainer run --task NAME --plugin cbam cbam.gain=0.5      an extension and its option

    SETTINGS are key=value for the engine, PLUGIN.OPTION=VALUE for plugins, and at most one settings file.
    What the command line says goes before the file, the file before the task's defaults.
    """
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.plugin.registry import Registry

    file, words = split_file(settings)
    reporter = make_reporter()
    reporter.head()
    with quiet_engine():
        request = make_request(words, task, plugins, no_plugins, offline, verbose, exact, file, bad, best_metric)
        request.given.trackers = tuple(dict.fromkeys(trackers))
        load_engine()
        if dry_run:
            shown = _settings(request, Registry.installed(no_plugins), reporter)
        else:
            from trainer_host.session.training import run as session

            result = session(request, Registry.installed(no_plugins), reporter)
    if dry_run:
        _print_settings(shown, as_json)
        return
    _print_result(result, reporter, as_json)


def _settings(request: Request, registry: Registry, reporter: Any) -> dict[str, Any]:
    from trainer_host.engine.error_translation import translated

    with translated():
        from trainer_host.engine.factory import make_engine
        from trainer_host.session.resolution import resolve
        from trainer_host.session.run_record import settings_as_data

        with make_engine().log(reporter, request.verbose):
            return settings_as_data(resolve(request, registry, reporter))


def _print_settings(shown: dict[str, Any], as_json: bool) -> None:
    from trainer_host.cli.main import emit

    if as_json:
        emit(shown)
        return
    import yaml

    from trainer_host.base.display import is_plain

    text = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)
    if not is_plain(text):  # YAML has escapes of its own, which mean the same when the text is read
        text = yaml.safe_dump(shown, sort_keys=False)
    click.echo(text, nl=False)


def _print_result(result: RunResult, reporter: Any, as_json: bool) -> None:
    from trainer_host.cli.main import emit

    reporter.summary(result)
    if as_json:
        emit(result.as_json())

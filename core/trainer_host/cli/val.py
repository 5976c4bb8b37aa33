"""``trainer val``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trainer_host.cli.shared_options import load_engine, make_request, quiet_engine, shared, task_option

if TYPE_CHECKING:
    from pathlib import Path


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@task_option()
@shared
def val(
    settings: tuple[str, ...],
    task: str | None,
    plugins: tuple[str, ...],
    no_plugins: tuple[str, ...],
    offline: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Evaluate a trained model. Its plugins are restored from the file.

    \b
    trainer val model=runs/NAME/train/weights/best.pt
    trainer val model=best.pt data=other.yaml
    """
    from trainer_host.base.atomic_io import display_path
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit
    from trainer_host.plugin.registry import Registry

    reporter = make_reporter()
    with quiet_engine():
        request = make_request(settings, task, plugins, no_plugins, offline, verbose)
        load_engine()
        from trainer_host.session.evaluation import val as session

        result = session(request, Registry.installed(no_plugins), reporter)
    reporter.metrics(result.metrics)
    if has_pictures(result.save_dir):
        reporter.note(f"Plots are in {display_path(result.save_dir)}.")
    if as_json:
        emit(result.as_json())


def has_pictures(folder: Path) -> bool:
    """Return whether a task has drawn something into a folder; not every task does."""
    return any(file.suffix in {".jpg", ".png", ".mp4"} for file in folder.iterdir())

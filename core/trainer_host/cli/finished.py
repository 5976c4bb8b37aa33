"""``trainer val`` and ``trainer predict``."""

from __future__ import annotations

from pathlib import Path

import click

from trainer_host.cli.options import load_engine, make_request, quiet_engine, shared, task_option


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
    """Measure a finished model. Its plugins are restored from the file.

    \b
    trainer val model=runs/NAME/train/weights/best.pt
    trainer val model=best.pt data=other.yaml
    """
    from trainer_host.base.data import nearby
    from trainer_host.cli.console import make_reporter
    from trainer_host.cli.main import emit

    reporter = make_reporter()
    with quiet_engine():
        request = make_request(settings, task, plugins, no_plugins, offline, verbose)
        load_engine()
        from trainer_host.session.finished import val as session

        result = session(request, reporter)
    reporter.metrics(result.metrics)
    if has_pictures(result.save_dir):
        reporter.note(f"Plots are in {nearby(result.save_dir)}.")
    if as_json:
        emit(result.as_json())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@task_option()
@shared
@click.option(
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json|FILE.csv",
    help="Write what was found into a file; repeatable.",
)
@click.option("--no-pictures", is_flag=True, help="Draw no pictures.")
def predict(
    settings: tuple[str, ...],
    task: str | None,
    plugins: tuple[str, ...],
    no_plugins: tuple[str, ...],
    offline: bool,
    verbose: bool,
    as_json: bool,
    outputs: tuple[Path, ...],
    no_pictures: bool,
) -> None:
    """Find objects in an image, a folder or a video.

    \b
    trainer predict model=best.pt source=images/
    trainer predict model=best.pt source=video.mp4 conf=0.5 --output found.csv
    """
    from trainer_host.base.data import nearby
    from trainer_host.cli.console import make_reporter
    from trainer_host.cli.main import emit

    reporter = make_reporter()
    with quiet_engine():
        request = make_request(settings, task, plugins, no_plugins, offline, verbose)
        load_engine()
        from trainer_host.session.finished import predict as session

        result = session(request, reporter, outputs, not no_pictures)
    count = sum(len(p["objects"]) for p in result.predictions)
    frames = len(result.predictions)
    reporter.note(f"Found {count} object{'s' * (count != 1)} in {frames} image{'s' * (frames != 1)}.")
    if result.save_dir is not None and has_pictures(result.save_dir):
        reporter.note(f"Pictures are in {nearby(result.save_dir)}.")
    for output in outputs:
        reporter.note(f"Written: {output}")
    if as_json:
        emit(result.as_json())


def has_pictures(folder: Path) -> bool:
    """Return whether a task has drawn something into a folder; not every task does."""
    return any(file.suffix in {".jpg", ".png", ".mp4"} for file in folder.iterdir())

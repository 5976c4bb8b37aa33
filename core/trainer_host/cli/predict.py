"""``trainer predict``."""

from __future__ import annotations

from pathlib import Path

import click

from trainer_host.base.errors import ExitCode
from trainer_host.cli.shared_options import load_engine, make_request, quiet_engine, shared, task_option


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
@click.option("--no-pictures", is_flag=True, help="Do not save pictures; the same as save=False.")
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
) -> int:
    """Find objects in an image, a folder or a video.

    \b
    trainer predict model=best.pt source=images/
    trainer predict model=best.pt source=video.mp4 conf=0.5 --output found.csv
    """
    from trainer_host.base.atomic_io import display_path
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit
    from trainer_host.plugin.registry import Registry

    reporter = make_reporter()
    with quiet_engine():
        request = make_request(settings, task, plugins, no_plugins, offline, verbose)
        load_engine()
        from trainer_host.session.prediction import predict as session

        result = session(request, Registry.installed(no_plugins), reporter, outputs, not no_pictures, keep=as_json)
    found = f"{result.objects} object{'s' * (result.objects != 1)}"
    reporter.note(f"Found {found} in {result.images} image{'s' * (result.images != 1)}.")
    made = [file for file in result.files if file not in outputs]
    if result.save_dir is not None and made:
        pictures = any(file.parent == result.save_dir for file in made)
        reporter.note(f"{'Pictures' if pictures else 'Results'} are in {display_path(result.save_dir)}.")
    for output in outputs:
        reporter.note(f"Written: {output}")
    if as_json:
        emit(result.as_json())
    return int(ExitCode.DATASET if result.unreadable else ExitCode.DONE)

"""``trainer predict``."""

from __future__ import annotations

from typing import Any

from trainer_host.base.errors import ExitCode
from trainer_host.base.wording import counted
from trainer_host.cli.shared_options import declared_command, load_engine, make_request, quiet_engine


@declared_command("[SETTINGS]...")
def predict(words: tuple[str, ...], given: dict[str, Any]) -> int:
    """Find objects in an image, a folder or a video.

    \b
    trainer predict model=best.pt source=images/
    trainer predict model=best.pt source=video.mp4 conf=0.5 --output found.csv
    """
    from trainer_host.base.atomic_io import display_path
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit

    reporter = make_reporter()
    with quiet_engine():
        request, registry = make_request("predict", words, given, "source")
        options = request.options
        load_engine(request, registry)
        from trainer_host.session.prediction import predict as session

        result = session(request, registry, reporter, options.outputs, options.pictures is not False, keep=options.json)
    reporter.note(f"Found {counted(result.objects, 'object')} in {counted(result.images, 'image')}.")
    made = [file for file in result.files if file not in options.outputs]
    if result.save_dir is not None and made:
        pictures = any(file.parent == result.save_dir for file in made)
        reporter.note(f"{'Pictures' if pictures else 'Results'} are in {display_path(result.save_dir)}.")
    for output in options.outputs:
        reporter.note(f"Written: {output}")
    if options.json:
        emit(result.as_json())
    return int(ExitCode.DATASET if result.unreadable else ExitCode.DONE)

"""``trainer predict``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import ExitCode, Problem
from trainer_host.base.wording import counted, listed
from trainer_host.cli.shared_options import declared_command, load_engine, make_request, quiet_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMED = 5
"""Images without objects that are named; the others are counted."""
LOW = 0.05
"""A threshold that shows objects of which a model is far from certain."""


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
    if result.images and not result.objects:
        reporter.warn(str(nothing_found(request.values)))
    elif result.empty:
        reporter.note(f"Nothing found in {listed(map(display_path, result.empty), NAMED)}.")
    made = [file for file in result.files if file not in options.outputs]
    if result.save_dir is not None and made:
        pictures = any(file.parent == result.save_dir for file in made)
        reporter.note(f"{'Pictures' if pictures else 'Results'} are in {display_path(result.save_dir)}.")
    for output in options.outputs:
        reporter.note(f"Written: {output}")
    if options.json:
        emit(result.as_json())
    return int(ExitCode.DATASET if result.unreadable else ExitCode.DONE)


def nothing_found(settings: Mapping[str, Any]) -> Problem:
    """Return why a model may have found nothing, by the settings of a prediction."""
    if settings.get("classes") is not None:
        return Problem("nothing was found of the classes that classes= names.", "remove classes=")
    conf = settings.get("conf")
    if conf is not None and conf <= LOW:
        return Problem(f"nothing was found, with a threshold of conf={conf}.", "train the model longer")
    return Problem("nothing was found.", f"lower the threshold to see objects of less certainty: conf={LOW}")

"""``trainer val``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_host.cli.shared_options import declared_command, load_engine, make_request, quiet_engine

if TYPE_CHECKING:
    from pathlib import Path


@declared_command("[SETTINGS]...")
def val(words: tuple[str, ...], given: dict[str, Any]) -> None:
    """Evaluate a trained model. Its plugins are restored from the file.

    \b
    trainer val model=runs/NAME/train/weights/best.pt
    trainer val model=best.pt data=other.yaml
    """
    from trainer_host.base.atomic_io import display_path
    from trainer_host.cli.console_reporter import make_reporter
    from trainer_host.cli.main import emit

    reporter = make_reporter()
    with quiet_engine():
        request, registry = make_request("val", words, given)
        load_engine(request, registry)
        from trainer_host.session.evaluation import val as session

        result = session(request, registry, reporter)
    reporter.metrics(result.metrics)
    if has_pictures(result.save_dir):
        reporter.note(f"Plots are in {display_path(result.save_dir)}.")
    if request.options.json:
        emit(result.as_json())


def has_pictures(folder: Path) -> bool:
    """Return whether a task has drawn something into a folder; not every task does."""
    return any(file.suffix in {".jpg", ".png", ".mp4"} for file in folder.iterdir())

"""The result folder of an evaluation or a prediction."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from trainer_host.session.run_folders import claim_folder, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.protocol import Command


@contextmanager
def result_folder(task: str, settings: Mapping[str, Any], command: Command, reporter: Reporter) -> Iterator[Path]:
    """Make a result folder, and keep other runs out of it; one that stays empty is removed.

    That of an evaluation stays: it is part of the result, also without plots.

    Args:
        task: The task's name.
        settings: ``project``, ``name``, ``exist_ok`` and ``save_dir`` as the engine knows them.
        command: ``val`` or ``predict``.
        reporter: Who shows warnings.
    """
    made: list[Path] = []
    done = False
    try:
        folder = claim_folder(task, settings, command, made)
        lock = hold_folder(folder, reporter)
        try:
            yield folder
        finally:
            lock.release()
        done = True
    finally:
        if command == "predict" or not done:
            with suppress(OSError):  # not empty, so not ours alone
                for path in made:
                    path.rmdir()

"""The engine's own log, turned towards the person who waits for the run."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ultralytics.utils import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.base.reporting import Reporter


COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class _ToReporter(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.INFO)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        text = COLOURS.sub("", record.getMessage()).strip()
        if text and record.levelno >= logging.WARNING:
            self.reporter.warn(text)
        elif text:
            self.reporter.note(text)


@contextmanager
def engine_log(reporter: Reporter, verbose: bool = False) -> Iterator[None]:
    """Show the engine's warnings through ``reporter``, and all it says where ``verbose`` is set.

    The engine draws its own progress bars only at the level INFO, so they are hidden unless ``verbose`` is set.
    """
    level, handlers = LOGGER.level, LOGGER.handlers[:]
    if not verbose:
        LOGGER.handlers[:] = [_ToReporter(reporter)]
        LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.handlers[:] = handlers
        LOGGER.setLevel(level)

"""The engine's own log, turned towards the person who waits for the run."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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


class _WithoutBars:
    """Standard output without the progress bars that the engine draws whatever its log level is."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, unless it moves the cursor."""
        if "\r" in text or "\x1b[K" in text:
            self._bar = True
            return len(text)
        if text == "\n" and self._bar:
            self._bar = False  # the line break that ends a bar
            return 1
        return int(self._stream.write(text))

    _bar = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def engine_log(reporter: Reporter, verbose: bool = False) -> Iterator[None]:
    """Show the engine's warnings through ``reporter``, and all it says where ``verbose`` is set.

    The engine draws its own progress bars only at the level INFO, so they are hidden unless ``verbose`` is set.
    """
    level, handlers = LOGGER.level, LOGGER.handlers[:]
    if not verbose:
        LOGGER.handlers[:] = [_ToReporter(reporter)]
        LOGGER.setLevel(logging.WARNING)
    stdout = sys.stdout
    if not verbose:
        sys.stdout = _WithoutBars(stdout)
    try:
        yield
    finally:
        sys.stdout = stdout
        LOGGER.handlers[:] = handlers
        LOGGER.setLevel(level)

"""The engine's log, redirected to the reporter of a run."""

from __future__ import annotations

import logging
import re
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ultralytics.utils import LOGGER

from trainer_host.base.display import escaped_lines
from trainer_host.engine.error_translation import known_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer_host.base.reporting import Reporter
    from trainer_host.engine.protocol import Engine


COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""Sequences that set colours and weights of letters, and nothing else."""


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


class _Escaped(logging.Handler):
    """Hands messages on to the engine's own handlers, with colours but without other control sequences."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        super().__init__()
        self.onto = handlers

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        places = [0, *(i for m in STYLES.finditer(text) for i in m.span()), len(text)]
        parts = [text[i:j] for i, j in pairwise(places)]
        shown = logging.makeLogRecord(vars(record))
        shown.msg, shown.args = "".join(p if i % 2 else escaped_lines(p) for i, p in enumerate(parts)), ()
        for handler in self.onto:
            if record.levelno >= handler.level:
                handler.handle(shown)


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


def _thread_hook(reporter: Reporter, engine: Engine | None, otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a hook for errors in threads, such as those that draw: a warning if the cause is known."""

    def hook(args: Any) -> None:
        error = args.exc_value
        if isinstance(error, OSError) and error.filename is not None:
            reporter.warn(f"{error.filename}: cannot write the file: {error.strerror}. Continuing without it.")
        elif error is not None and (known := known_error(error, engine=engine)) is not None:
            reporter.warn(str(known))
        else:
            otherwise(args)

    return hook


@contextmanager
def engine_log(reporter: Reporter, verbose: bool = False, engine: Engine | None = None) -> Iterator[None]:
    """Show the engine's warnings through ``reporter``, and its whole log if ``verbose`` is set.

    The engine draws its own progress bars only at the level INFO, so they are hidden unless ``verbose`` is set.
    """
    level, handlers = LOGGER.level, LOGGER.handlers[:]
    LOGGER.handlers[:] = [_Escaped(handlers) if verbose else _ToReporter(reporter)]
    if not verbose:
        LOGGER.setLevel(logging.WARNING)
    stdout, excepthook = sys.stdout, threading.excepthook
    threading.excepthook = _thread_hook(reporter, engine, excepthook)
    if not verbose:
        sys.stdout = _WithoutBars(stdout)
    try:
        yield
    finally:
        sys.stdout, threading.excepthook = stdout, excepthook
        LOGGER.handlers[:] = handlers
        LOGGER.setLevel(level)

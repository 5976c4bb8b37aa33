"""Process-wide state of the interpreter, restored after a call; needs no library."""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def preserved_process() -> Iterator[None]:
    """Restore on leaving, also after an exception, what libraries change when they are imported or used.

    That is: environment, working folder, random numbers of Python, signal handlers, warning filters, logging, the hooks
    for uncaught exceptions, the fault handler and the import path.
    """
    with ExitStack() as stack:
        for part in (_environment, _random, _signals, _hooks, _logging, warnings.catch_warnings):
            stack.enter_context(part())
        yield


@contextmanager
def _environment() -> Iterator[None]:
    environment, path = dict(os.environ), sys.path[:]
    try:
        folder: Path | None = Path.cwd()
    except OSError:  # it was removed
        folder = None
    try:
        yield
    finally:
        for key in os.environ.keys() - environment.keys():
            del os.environ[key]
        os.environ.update({k: v for k, v in environment.items() if os.environ.get(k) != v})
        sys.path[:] = path
        if folder is not None:
            with suppress(OSError):  # either folder may be gone
                os.chdir(folder)


@contextmanager
def _random() -> Iterator[None]:
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _hooks() -> Iterator[None]:
    hooks = sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook
    faults = faulthandler.is_enabled()
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook = hooks
        if faulthandler.is_enabled() and not faults:
            faulthandler.disable()


@contextmanager
def _logging() -> Iterator[None]:
    kept = {n: (log.level, log.handlers[:], log.propagate, log.disabled) for n, log in _loggers()}
    disabled = logging.root.manager.disable
    try:
        yield
    finally:
        logging.disable(disabled)
        for name, log in _loggers():
            if name in kept:
                level, log.handlers[:], log.propagate, log.disabled = kept[name]
                if log.level != level:
                    log.setLevel(level)
            elif name.partition(".")[0] not in sys.modules:
                log.setLevel(logging.NOTSET)  # of a package that the engine silences without importing it


def _loggers() -> list[tuple[str, logging.Logger]]:
    found = [("", logging.getLogger())]
    return found + [(n, log) for n, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)]

"""Standard output and standard error of the command: closed, full, or read by nobody."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from trainer_host._early_signals import SIGNALS
from trainer_host.base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT_ERRORS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def prepare_streams() -> None:
    """Replace streams that the caller has closed, and let standard error fail without ending the command."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    stderr: Any = Lenient(sys.stderr)
    sys.stderr = stderr


def say(text: str) -> None:
    """Print lines for people on standard error; that nobody reads them, or no disk takes them, changes nothing."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)


def is_output_error(error: OSError) -> bool:
    """Return whether an error is that of a stream: it names no file."""
    return error.filename is None and error.errno in OUTPUT_ERRORS


class ClosedPipeError(Exception):
    """Whoever read standard output went away."""


@contextmanager
def unpiped() -> Iterator[None]:
    """Name a closed pipe by an error of the host's, since click ends the process with its own exit code for one."""
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error


def close_output(error: OSError | None = None) -> int:
    """Give up standard output; without an error, because its reader went away, which is not worth a line."""
    if error is not None and error.errno != errno.EPIPE:
        say(f"trainer: cannot write to standard output: {error.strerror}. Fix: free space, or redirect it elsewhere")
    with suppress(OSError, ValueError):  # what is left in the buffer would fail again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(ExitCode.STORAGE)


def flushed() -> bool:
    """Flush standard output, and return whether it took everything."""
    try:
        sys.stdout.flush()
    except OSError as error:
        close_output(error)
        return False
    except ValueError:  # closed
        return True
    return True


def leave_on_signals(code: int) -> None:
    """End the process with its exit code if a signal comes while Python and the libraries shut down."""

    def end(_number: int, _frame: Any) -> None:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)

    with suppress(ValueError):  # not the main thread
        for number in SIGNALS:
            signal.signal(number, end)


class Lenient:
    """A stream whose reader may go away, or whose disk may be full: what cannot be written is dropped.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        with suppress(OSError, ValueError):
            return int(self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is kept back, or drop it."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

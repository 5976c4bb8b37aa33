"""Signals to a run: the first SIGINT or SIGTERM waits for its state to be saved, the second does not.

SIGUSR1 and SIGUSR2, by which schedulers warn of the end of a job, save the state, and the run goes on.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import PluginCrashError, StoppedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

STOPPING = (signal.SIGINT, signal.SIGTERM)
SAVING = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Signals that save the state; Windows does not have them."""

OUTLIVE_S = 60
"""Seconds that a worker stays after a signal that is not from its parent."""


class StopRequest:
    """A request by signal to end the run.

    Attributes:
        requested: Whether it did.
        terminated: Whether it was SIGTERM.
        waits: Whether the run will end by itself, with a checkpoint; otherwise the signal ends it at once.
        when: Where the run stands when it does not wait, for the message.
        over: Whether the outcome is certain, so that a signal changes nothing any more.
        notify: Shows a text while the run goes on to where it ends.
        save_requested: Whether a signal asked for the state to be saved; whoever saves it sets this back.
        listens: Whether it handles signals.
        insists: Says whether another signal is a second request, and not the first one on another way.
    """

    def __init__(self, when: str = "before training began", notify: Callable[[str], None] = lambda _: None) -> None:
        self.notify = notify
        self.requested = self.terminated = self.waits = self.over = self.save_requested = False
        self.when = when
        self.process = os.getpid()
        self.listens = False
        self.insists: Callable[[], bool] = lambda: True

    def handle(self, number: int, _frame: Any) -> None:
        """Take note of a signal.

        Raises:
            StoppedError: If the run does not wait, or was asked before.
        """
        if os.getpid() != self.process:
            self._handle_in_worker(number)
            return
        if self.over:
            return
        if number in SAVING:
            self.save_requested = True
            return
        again, self.requested, self.terminated = self.requested, True, number == signal.SIGTERM
        if again and self.waits and not self.insists():
            return
        if again or not self.waits:
            raise self.error("without saving the state" if self.waits else self.when)
        with suppress(RuntimeError):  # the signal came within another write to the console
            self.notify(
                f"Stopping ({self.name}): the state is saved after this batch. Press Ctrl-C again to stop at once."
            )

    @staticmethod
    def _handle_in_worker(number: int) -> None:
        """Let the run end its loaders' workers, which inherit the handlers: Ctrl-C reaches them too."""
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def error(self, how: str, by_all: bool = False) -> StoppedError:
        """Return the error that ends the run, or all processes of it by themselves."""
        error = StoppedError(f"stopped by {self.name}: {how}.", terminated=self.terminated)
        error.by_all = by_all
        return error

    @property
    def name(self) -> str:
        """The name of the signal."""
        return "SIGTERM" if self.terminated else "SIGINT"

    def instead_of(self, error: BaseException, how: str) -> BaseException:
        """Return the message for an error that ends the run.

        After a request to stop it is a consequence: of a worker that was stopped too, or of an import that was cut
        short, since libraries swallow what is raised within one and fail later.
        """
        if not self.requested or isinstance(error, (StoppedError, StorageError)):
            return error
        cause = error.__cause__ if isinstance(error, PluginCrashError) else error
        return self.error(f"{how} ({type(cause).__name__} while stopping)")

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Handle signals if this is the main thread, and restore the handlers on leaving."""
        self.listens = threading.current_thread() is threading.main_thread()
        try:
            with handled_by(self.handle, (*STOPPING, *SAVING)):
                yield self
        finally:
            self.listens = False


@contextmanager
def handled_by(
    handler: Callable[[int, Any], Any] | signal.Handlers, numbers: Iterable[int] = STOPPING
) -> Iterator[None]:
    """Have a function handle signals if this is the main thread, and restore the handlers on leaving."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in kept.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)


def outlive_a_signal(stop: StopRequest) -> None:
    """Have this worker survive a first SIGTERM that is not from its parent.

    Schedulers send it to every process of a run, which needs its workers until the state is saved. A parent that ends
    its workers does so at once; a second signal from elsewhere does too.
    """
    if not stop.listens or not hasattr(signal, "sigwaitinfo"):  # by which can be seen who sent it
        return
    stop.listens = False  # in this process
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait_for_parent, args=(os.getppid(),), name="stop-of-worker", daemon=True).start()


def _wait_for_parent(parent: int) -> None:
    found: signal.struct_siginfo | None = signal.sigwaitinfo({signal.SIGTERM})
    if found is not None and found.si_pid != parent:
        # Not for ever: the system makes one of two signals that come at the same moment.
        found = signal.sigtimedwait({signal.SIGTERM}, OUTLIVE_S)
    os._exit(0 if found is not None and found.si_pid == parent else 128 + signal.SIGTERM)


def unhandled() -> AbstractContextManager[None]:
    """Return a context in which signals end the process at once: Python calls no handler while torch waits."""
    return handled_by(signal.SIG_DFL)

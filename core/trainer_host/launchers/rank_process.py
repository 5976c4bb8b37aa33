"""The process of one rank, for launchers that have a process of their own beside each."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from trainer_host.base.child_process import code_command
from trainer_host.base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLL_S = 0.2
"""Seconds between two looks at the process. A signal handler that waits for a process which is waited for already would
never return, so nobody waits without a limit."""
_START = """
import os, signal, sys
for number in filter(None, sys.argv[2].split(",")):
    signal.signal(int(number), signal.SIG_IGN)
if sys.platform == "linux":  # whoever started it may be killed: then this process saves its state and ends too
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(143)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Prepares the process before its program runs. A function between fork and exec is not safe with threads around it."""
STOPPED = frozenset({ExitCode.INTERRUPTED, ExitCode.TERMINATED})


class RankProcess:
    """The process of one rank.

    Args:
        command: Words of its command.
        environment: Its variables, besides those of this process.
        ignored: Signals that it ignores until it handles them; otherwise they would kill it while it starts.
        folder: Its working folder; by default that of this process.
        output: The file descriptor that it writes its output to; by default that of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ignored: Sequence[int] = (),
        folder: str | None = None,
        output: int | None = None,
    ) -> None:
        self._asked = False
        start = code_command(_START, str(os.getpid()), ",".join(map(str, map(int, ignored))), *command)
        self._child = subprocess.Popen(start, env={**os.environ, **environment}, cwd=folder, stdout=output)  # noqa: S603

    @property
    def code(self) -> int | None:
        """Its exit code as a shell has it, with 128 added to the number of a signal that killed it; None if it runs."""
        code = self._child.poll()
        return 128 - code if code is not None and code < 0 else code

    def stop(self) -> None:
        """Ask the run to save its state and to end. A second request would end it at once, so only the first counts."""
        if not self._asked and self.code is None:
            self._child.send_signal(signal.SIGTERM)
        self._asked = True

    def save(self) -> None:
        """Ask the run to save its state and to go on."""
        if self.code is None:
            self._child.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End the process at once, and wait for it."""
        self._child.kill()
        self._child.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        while (code := self.code) is None:
            time.sleep(POLL_S)
        return code

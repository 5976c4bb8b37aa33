"""The launcher `popen`: the processes of a run on this machine, with words before the command of each.

trainer run exp.yaml --processes 2 --launcher popen popen.before="['nice', '-n', '10']"
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from trainer_host import ExitCode, ExtensionSpec, LaunchContext, hookimpl

HERE = "127.0.0.1"
AGAIN = {ExitCode.BUG, ExitCode.STORAGE, ExitCode.RANK, 128 + signal.SIGKILL}
"""Exit codes of failures that may not come again."""


@dataclass(frozen=True)
class Options:
    """The options."""

    before: tuple[str, ...] = ()  # words before the command, such as nice or numactl with their arguments


class PopenLauncher:
    """Starts a process for each rank, and waits for all of them."""

    def preview(self, ctx: LaunchContext) -> str:
        """Return the command of the processes."""
        return f"# {ctx.processes} times:\n{shlex.join(self._words(ctx))}\n"

    def launch(self, ctx: LaunchContext) -> int:
        """Start the processes, again if one failed by chance, and return the exit code."""
        self.asked: list[int] = []
        self.running: list[subprocess.Popen[bytes]] = []
        kept = {number: signal.signal(number, self._pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for _ in range(ctx.max_restarts + 1):
                code = self._attempt(ctx)
                if self.asked or code not in AGAIN:
                    break
            return code
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _words(self, ctx: LaunchContext) -> list[str]:
        (options,) = (one for one in ctx.options.values() if isinstance(one, Options))
        return [*options.before, *ctx.command]

    def _attempt(self, ctx: LaunchContext) -> int:
        with socket.socket() as free:
            free.bind((HERE, 0))
            port = free.getsockname()[1]
        size = str(ctx.processes)
        together = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": HERE, "MASTER_PORT": str(port)}
        self.running = []
        try:
            for rank in map(str, range(ctx.processes)):
                variables = {**os.environ, **ctx.environment, **together, "RANK": rank, "LOCAL_RANK": rank}
                # Sessions of their own, so that Ctrl+C reaches them once, from here.
                self.running.append(subprocess.Popen(self._words(ctx), env=variables, start_new_session=True))
            return self._wait()
        finally:
            for process in self.running:
                process.kill()
                process.wait()

    def _wait(self) -> int:
        first = 0
        while any(process.poll() is None for process in self.running):
            failed = [process.returncode for process in self.running if process.returncode]
            if failed and not first:
                first = failed[0]
                self._pass_on(signal.SIGTERM)
            time.sleep(0.1)
        codes = [first, *(process.returncode for process in self.running)]
        code = next((code for code in codes if code), 0)
        return code if code >= 0 else 128 - code

    def _pass_on(self, number: int, frame: Any = None) -> None:
        """Ask the processes to save the state and to end."""
        if frame is not None:
            self.asked.append(number)
        for process in self.running:
            if process.poll() is None:
                process.send_signal(number)


class Hooks:
    """A launcher."""

    @hookimpl
    def launchers(self) -> dict[str, PopenLauncher]:
        """Return it by the name that ``--launcher`` gives it."""
        return {"popen": PopenLauncher()}


EXTENSION = ExtensionSpec(hooks=Hooks(), options=Options)

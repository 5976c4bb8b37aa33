"""The request for a run of several processes: how many, where, who starts them, and by which command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host.base.child_process import module_command
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.ranks import devices_of, is_rank, ranks_of_environment
from trainer_host.base.reporting import NullReporter
from trainer_host.base.run_options import declared
from trainer_host.base.settings import shown_value
from trainer_host.base.wording import counted
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resume_request import split_resume
from trainer_host.session.run_record import FILE
from trainer_host.session.torchrun_launcher import NAME as TORCHRUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import GivenValue, Request
    from trainer_host.engine.protocol import LiveRun

OF_LAUNCH = frozenset({"processes", "launcher", "max_restarts", "if_exists", "dry_run", "json", "settings_file"})
"""Options that the process which launches has carried out itself."""


@dataclass(frozen=True)
class LaunchRequest:
    """What is asked of a launcher.

    Attributes:
        request: What was given, without the run that is resumed.
        folder: The folder of that run.
        processes: Processes to start.
        device: The setting ``device``.
        launcher: Its name.
    """

    request: Request
    folder: Path | None
    processes: int
    device: Any
    launcher: str

    @classmethod
    def of(cls, request: Request) -> LaunchRequest | None:
        """Return what is asked; None if one process is, or if this process is a rank itself."""
        if is_rank(os.environ):
            return None
        rest, folder = split_resume(request, NullReporter())
        given, settings = dict(rest.given), dict(rest.settings)
        if folder is not None and (folder / FILE).exists():
            recorded = RecordedRun.read(folder, rest).request
            given, settings = {**recorded.given, **given}, {**recorded.settings, **settings}
            if "device" in rest.settings and "processes" not in rest.given:
                given.pop("processes", None)
        device = settings["device"].value if "device" in settings else None
        processes = given["processes"].value if "processes" in given else max(len(devices_of(device)), 1)
        name = rest.options.launcher
        if processes == 1 and len(devices_of(device)) < 2 and name in {None, TORCHRUN}:
            return None
        return cls(rest, folder, processes, device, name or TORCHRUN)

    @property
    def of_run(self) -> Request:
        """The request of the run that is resumed; a new run's own."""
        if self.folder is None or not (self.folder / FILE).exists():
            return self.request
        return RecordedRun.read(self.folder, self.request).request

    def command(self, *words: str) -> tuple[str, ...]:
        """Return the command of a process: ``run`` or ``resume`` with its words, and the options that it needs."""
        return tuple(module_command("trainer_host", *words, *_flags(self.request, words[0])))


def compare_with_ranks(request: Request, reporter: Reporter) -> None:
    """Refuse or warn of a request for another number of processes than the environment says that there are.

    Raises:
        SettingsError: If there is one, and several devices are named.
    """
    ranks, device, one = ranks_of_environment(os.environ), request.values.get("device"), request.given.get("processes")
    if ranks.world_size == 1 and len(devices_of(device)) > 1:
        what = f"device={shown_value(device)} names several devices, but WORLD_SIZE=1 says that this process is alone."
        raise SettingsError(Problem(what, "unset RANK and WORLD_SIZE, so that a process is started for each"))
    if one is not None and one.origin != "file" and one.value != ranks.world_size and ranks.is_first:
        here = counted(ranks.world_size, "process was", "processes were")
        reporter.warn(f"--processes {one.value} has no effect: {here} started (RANK and WORLD_SIZE). Fix: unset both")


def require_repeatable(run: LiveRun) -> LiveRun:
    """Refuse a run that no other process can make again.

    Raises:
        SettingsError: If it is one.
    """
    if run.resolved.objects:
        names = ", ".join(run.resolved.objects)
        what = f"{names} was given as an object, which other processes cannot make again."
        raise SettingsError(Problem(what, "name an installed plugin or a Python file"))
    return run


def words_of(settings: Mapping[str, GivenValue]) -> Iterator[str]:
    """Yield settings as a command takes them."""
    for key, one in settings.items():
        value = ",".join(map(str, one.value)) if isinstance(one.value, (list, tuple)) else one.value
        yield f"{key}={value}"


def _flags(request: Request, command: str) -> Iterator[str]:
    """Yield the options of a request that its processes need on their command lines."""
    for name, option in declared(command).items():
        kept = name not in OF_LAUNCH and (command == "resume" or not option.recorded)
        if name not in request.given or not kept or not option.flag.startswith("--"):
            continue
        value = request.given[name].value
        if name == "plugins" and command == "run":
            continue  # they are in the file
        if option.is_switch:
            yield from [option.flag] if value else [option.off_flag] if option.off_flag else []
        else:
            for one in value if isinstance(value, tuple) else (value,):
                yield from (option.flag, str(option.as_data(one)))

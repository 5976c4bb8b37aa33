"""Runs of several processes: started here through a launcher, from the resolved run in a file."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import atomic_write, display_path
from trainer_host.base.child_process import module_command
from trainer_host.base.errors import (
    ExitCode,
    LossError,
    Problem,
    RankError,
    SettingsError,
    StoppedError,
    StorageError,
    TrainerError,
    unknown,
)
from trainer_host.base.folder_lock import FolderLock
from trainer_host.base.launched_rank import QUIET, RUN_FILE, SHARED, clear
from trainer_host.base.protocols import LaunchContext
from trainer_host.base.rank_failures import FOLDER, failures_in, root_cause
from trainer_host.base.ranks import devices_of, is_rank, ranks_of_environment
from trainer_host.base.reporting import NullReporter
from trainer_host.base.resolved_run import as_yaml
from trainer_host.base.results import Ending, RunResult
from trainer_host.base.run_options import declared
from trainer_host.base.settings import shown_value
from trainer_host.base.wording import counted
from trainer_host.engine.rank_devices import devices_to_launch
from trainer_host.plugin.hook_collection import joined
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume_request import in_its_folder, joined_request, more_epochs, split_resume
from trainer_host.session.run_folders import claim_folder, claim_named_folder, hold_folder, wanted_folder
from trainer_host.session.run_record import FILE, record_failure
from trainer_host.session.torchrun_launcher import NAME as TORCHRUN
from trainer_host.session.torchrun_launcher import TorchrunLauncher
from trainer_host.session.working_engine import working_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.protocols import Launcher
    from trainer_host.base.rank_failures import RankFailure
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import GivenValue, Request
    from trainer_host.engine.protocol import Engine, LiveRun
    from trainer_host.plugin.registry import Registry

OF_LAUNCH = frozenset({"processes", "launcher", "max_restarts", "if_exists", "dry_run", "json", "settings_file"})
"""Options that the process which launches has carried out itself."""
HANDED_OVER = "launched"
"""How a run ends here whose launcher has handed it to a scheduler."""


def launch_if_asked(request: Request, registry: Registry, reporter: Reporter) -> RunResult | None:
    """Carry out a run of several processes, and return its outcome; None for a run of this process.

    Raises:
        TrainerError: For every cause that is expected; the message names the rank.
    """
    if is_rank(os.environ):
        _compare_with_ranks(request, reporter)
    asked = _Asked.of(request)
    if asked is None:
        return None
    try:
        return _Launch(asked, registry, reporter).carry_out()
    finally:
        reporter.close()


def preview_if_asked(request: Request, registry: Registry, reporter: Reporter) -> str | None:
    """Return what the launcher would start; None for a run of this process, or one that is finished."""
    asked = _Asked.of(request)
    return None if asked is None else _Launch(asked, registry, reporter).preview()


@dataclass(frozen=True)
class _Asked:
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
    def of(cls, request: Request) -> _Asked | None:
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


@dataclass
class _Launch:
    """One run that is launched.

    Attributes:
        asked: What is asked.
        registry: The plugins to choose from.
        reporter: Shows notes and warnings.
        devices: The device of each process.
        launcher: What starts them.
        handed_over: Whether the launcher has left them to a scheduler.
    """

    asked: _Asked
    registry: Registry
    reporter: Reporter
    devices: tuple[str, ...] = ()
    launcher: Launcher = field(default_factory=TorchrunLauncher)
    handed_over: bool = False

    def carry_out(self) -> RunResult | None:
        """Start the processes, wait for them, and return the outcome; None if the run is finished."""
        asked = self.asked
        with working_engine(_recorded(asked), self.registry, self.reporter) as engine:
            self.devices = self._devices(engine)
            folder = asked.folder
            if folder is None:
                run = _repeatable(resolve(self._request(), self.registry, self.reporter, engine))
                self.launcher = self._launcher(run)
                folder, is_new = self._claim(run)
                if is_new:
                    with self._held(folder, made=True):
                        return self._start(run, folder, ("run", str(self._written(run, folder))))
            with self._held(folder):
                return self._resume(folder, engine)

    def _resume(self, folder: Path, engine: Engine) -> RunResult | None:
        if (run := self._resumed(folder, engine)) is None:
            return None
        self.launcher = self._launcher(run)
        return self._start(run, folder, self._words_of_resume(folder))

    def _resumed(self, folder: Path, engine: Engine) -> LiveRun | None:
        """Return the run of a folder as it goes on; None if it is finished."""
        request = in_its_folder(self.asked.request)
        recorded = RecordedRun.read(folder, request)
        if recorded.is_finished and more_epochs(request, recorded, engine) is None:
            return None
        problems = setting_problems(request, self.registry, engine)
        known, _ = joined_request(request, recorded, engine, problems)
        return _repeatable(resolve(known, self.registry.without(known.off), self.reporter, engine))

    def _words_of_resume(self, folder: Path) -> tuple[str, ...]:
        return ("resume", str(folder), *_words(in_its_folder(self.asked.request).settings))

    def preview(self) -> str | None:
        """Return what the launcher would start; None if the run is finished."""
        asked = self.asked
        with working_engine(_recorded(asked), self.registry, self.reporter) as engine:
            self.devices = self._devices(engine)
            if (folder := asked.folder) is not None:
                run, words = self._resumed(folder, engine), self._words_of_resume(folder)
            else:
                run = _repeatable(resolve(self._request(), self.registry, self.reporter, engine))
                folder = wanted_folder(run.chain.name, run.resolved.settings, asked.request.options.if_exists)
                words = ("run", str(folder / FOLDER / RUN_FILE))
            return self._launcher(run).preview(self._context(run, folder, words)) if run is not None else None

    def _devices(self, engine: Engine) -> tuple[str, ...]:
        """Return the device of each process that is started here; those that the user names for other machines.

        Raises:
            SettingsError: If they are not there; problems of other settings are reported too.
        """
        if self.asked.launcher != TORCHRUN:
            return devices_of(self.asked.device)
        try:
            return devices_to_launch(self.asked.device, self.asked.processes)
        except SettingsError as error:
            problems = error.problems
        try:
            resolve(self._request(), self.registry, NullReporter(), engine)
        except SettingsError as error:
            problems = (*error.problems, *problems)
        raise SettingsError(*problems)

    def _request(self) -> Request:
        """Return the request, with the extension that brings the launcher."""
        request, name = self.asked.request, self.asked.launcher
        plugins = request.options.plugins
        brings = {r.name for r in self.registry.available("extension") if not r.always}
        if name in brings and name not in plugins:
            request = request.with_options(plugins=(*plugins, name))
        return request.with_options(processes=self.asked.processes)

    def _claim(self, run: LiveRun) -> tuple[Path, bool]:
        if_exists, settings = self.asked.request.options.if_exists, run.resolved.settings
        if if_exists is None or if_exists == "new":
            return claim_folder(run.chain.name, settings), True
        return claim_named_folder(run.chain.name, settings, if_exists)

    def _written(self, run: LiveRun, folder: Path) -> Path:
        """Write the run for its processes, and return the file."""
        shared = folder / FOLDER
        kept = {key: run.repeats[key] for key in ("versions", "plugins", "dataset") if key in run.repeats}
        record = {**run.resolved.record(), **kept}
        atomic_write(shared / RUN_FILE, as_yaml({**run.resolved.content(), "record": record}).encode())
        return shared / RUN_FILE

    @contextmanager
    def _held(self, folder: Path, made: bool = False) -> Iterator[None]:
        """Keep other launchers away from a run, and remove at the end what its processes share, unless they still run.

        Args:
            folder: The folder of the run.
            made: Whether it was made for this run.

        Raises:
            StorageError: If another launcher or another run holds it.
        """
        shared, ours = folder / FOLDER, False
        try:
            shared.mkdir(exist_ok=True)
        except OSError as error:
            what = f"cannot write to the run folder: {error.strerror}."
            raise StorageError(Problem(what, "make it writable", str(folder))) from error
        lock = FolderLock(shared, self.reporter.warn, shown=folder)
        try:
            hold_folder(folder, self.reporter).release()  # held by a run whose launcher does not wait for it
            ours = True
            clear(shared)
            yield
        finally:
            if ours and not self.handed_over:
                clear(shared)
            lock.release()
            with suppress(OSError):  # not empty: handed over, or another launcher came
                shared.rmdir()
                if made:
                    folder.rmdir()

    def _start(self, run: LiveRun, folder: Path, words: tuple[str, ...]) -> RunResult:
        launcher, shared = self.launcher, folder / FOLDER
        ctx = self._context(run, folder, words)
        devices = f" on {', '.join(ctx.devices)}" if ctx.devices and ctx.devices[0] != "cpu" else ""
        self.reporter.note(f"Starting {_processes(ctx)}{devices} ({self.asked.launcher}).")
        before = _content(folder)
        code = launcher.launch(ctx)
        if code != ExitCode.DONE:
            raise self._error(code, folder, shared, before)
        recorded = RecordedRun.read(folder, self.asked.request) if (folder / FILE).exists() else None
        self.handed_over = recorded is None or not recorded.is_finished
        return self._result(run, folder, recorded)

    def _context(self, run: LiveRun, folder: Path, words: tuple[str, ...]) -> LaunchContext:
        asked = self.asked
        quiet = {QUIET: "1"} if isinstance(self.reporter, NullReporter) else {}
        return LaunchContext(
            run_file=folder / FOLDER / RUN_FILE,
            save_dir=folder,
            processes=asked.processes,
            devices=self.devices,
            max_restarts=asked.request.options.max_restarts,
            command=tuple(module_command("trainer_host", *words, *_flags(asked.request, words[0]))),
            environment={SHARED: str(folder / FOLDER), **quiet},
            reporter=self.reporter,
            options=run.chain.options,
        )

    def _launcher(self, run: LiveRun) -> Launcher:
        """Return the launcher.

        Raises:
            SettingsError: If there is none of this name.
        """
        found = {TORCHRUN: TorchrunLauncher(), **joined(run.chain.manager, "launchers", "launcher")}
        name = self.asked.launcher
        if name not in found:
            problem = unknown("launcher", name, found)
            raise SettingsError(replace(problem, fix="add the extension that brings it: --plugin NAME"))
        launcher: Launcher = found[name]
        return launcher

    def _result(self, run: LiveRun, folder: Path, recorded: RecordedRun | None) -> RunResult:
        if recorded is not None and recorded.is_finished:
            return replace(recorded.result(), nothing_done=False)
        ending = Ending(HANDED_OVER, f"handed over to {self.asked.launcher}")
        return RunResult(run.chain.name, folder, None, None, 0, {}, ending=ending)

    def _error(self, code: int, folder: Path, shared: Path, before: bytes | None) -> TrainerError:
        """Return the error of a run whose processes failed or were stopped.

        Args:
            code: The exit code of the launcher.
            folder: The folder of the run.
            shared: The folder with the failures of its processes.
            before: The record of the run before they were started.
        """
        failures = failures_in(shared)
        failure = root_cause(failures)
        cause = failure if failure is not None and not failure.is_consequence else None
        if code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED} and cause is None:
            return _stopped(code, failures)
        error = failure.as_error() if failure is not None else RankError(_unexplained(code))
        if cause is None:
            error.exit_code = ExitCode(code) if code in ExitCode._value2member_map_ else ExitCode.RANK
        if _content(folder) in {None, before}:  # they have refused the run, and a run that is refused changes nothing
            return error
        with suppress(TrainerError, OSError):  # such as a full disk: the error itself is what counts
            record_failure(folder, "loss not finite" if isinstance(error, LossError) else "failed", str(error))
            if RecordedRun.read(folder, self.asked.request).state_entries:
                command = shlex.join(["trainer", "resume", display_path(folder)])
                error.details |= {"save_dir": str(folder), "resume": command}
                if isinstance(error, RankError):
                    error.problems = tuple(replace(problem, fix=command) for problem in error.problems)
        return error


def _content(folder: Path) -> bytes | None:
    """Return the record of a run as it is, for a comparison; None if there is none."""
    with suppress(OSError):
        return (folder / FILE).read_bytes()
    return None


def _unexplained(code: int) -> Problem:
    """Return the problem of a run of which only the exit code is known."""
    return Problem(f"the processes of the run failed (exit code {code}).", "look at their output, then start it again")


def _compare_with_ranks(request: Request, reporter: Reporter) -> None:
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


def _processes(ctx: LaunchContext) -> str:
    return f"{ctx.processes} processes" if ctx.processes > 1 else "1 process"


def _repeatable(run: LiveRun) -> LiveRun:
    """Refuse a run that no other process can make again.

    Raises:
        SettingsError: If it is one.
    """
    if run.resolved.objects:
        names = ", ".join(run.resolved.objects)
        what = f"{names} was given as an object, which other processes cannot make again."
        raise SettingsError(Problem(what, "name an installed plugin or a Python file"))
    return run


def _stopped(code: int, failures: list[RankFailure]) -> StoppedError:
    """Return the error of a run that was stopped, as its first rank has it."""
    name = "SIGTERM" if code == ExitCode.TERMINATED else "SIGINT"
    first = next((one for one in failures if one.rank == 0 and one.problems), None)
    if first is None:
        return StoppedError(f"stopped by {name}: before training began.", terminated=name == "SIGTERM")
    problems = [Problem(**one) for one in first.problems]
    # A second signal reaches the ranks as SIGTERM, whichever it was.
    same = [replace(one, message=one.message.replace("by SIGTERM", f"by {name}")) for one in problems]
    error = StoppedError(*same, terminated=name == "SIGTERM")
    error.details |= first.details
    return error


def _recorded(asked: _Asked) -> Request:
    """Return the request of the run that is resumed; a new run's own."""
    if asked.folder is None or not (asked.folder / FILE).exists():
        return asked.request
    return RecordedRun.read(asked.folder, asked.request).request


def _words(settings: Mapping[str, GivenValue]) -> Iterator[str]:
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

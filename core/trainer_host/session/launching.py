"""Runs of several processes: started here through a launcher, from the resolved run in a file."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import ExitCode, Problem, SettingsError, StorageError, unknown
from trainer_host.base.folder_lock import FolderLock
from trainer_host.base.launched_rank import QUIET, SHARED
from trainer_host.base.protocols import LaunchContext
from trainer_host.base.rank_folder import FOLDER, RUN_FILE, clear
from trainer_host.base.ranks import devices_of, is_rank
from trainer_host.base.reporting import NullReporter
from trainer_host.base.resolved_run import as_yaml
from trainer_host.base.wording import counted
from trainer_host.engine.rank_devices import devices_to_launch
from trainer_host.engine.rank_limits import require_possible
from trainer_host.plugin.hook_collection import joined
from trainer_host.session.launch_outcome import error_of, record_of, result_of
from trainer_host.session.launch_request import LaunchRequest, compare_with_ranks, require_repeatable, words_of
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume_request import in_its_folder, joined_request, more_epochs
from trainer_host.session.run_folders import claim_folder, claim_named_folder, hold_folder, wanted_folder
from trainer_host.session.run_record import FILE
from trainer_host.session.torchrun_launcher import NAME as TORCHRUN
from trainer_host.session.torchrun_launcher import TorchrunLauncher
from trainer_host.session.working_engine import working_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.base.protocols import Launcher
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.results import RunResult
    from trainer_host.engine.protocol import Engine, LiveRun
    from trainer_host.plugin.registry import Registry


def launch_if_asked(request: Request, registry: Registry, reporter: Reporter) -> RunResult | None:
    """Carry out a run of several processes, and return its outcome; None for a run of this process.

    Raises:
        TrainerError: For every cause that is expected; the message names the rank.
    """
    if is_rank(os.environ):
        compare_with_ranks(request, reporter)
    asked = LaunchRequest.of(request)
    if asked is None:
        return None
    try:
        return _Launch(asked, registry, reporter).carry_out()
    finally:
        reporter.close()


def preview_if_asked(request: Request, registry: Registry, reporter: Reporter) -> str | None:
    """Return what the launcher would start; None for a run of this process, or one that is finished."""
    asked = LaunchRequest.of(request)
    return None if asked is None else _Launch(asked, registry, reporter).preview()


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

    asked: LaunchRequest
    registry: Registry
    reporter: Reporter
    devices: tuple[str, ...] = ()
    launcher: Launcher = field(default_factory=TorchrunLauncher)
    handed_over: bool = False

    def carry_out(self) -> RunResult | None:
        """Start the processes, wait for them, and return the outcome; None if the run is finished."""
        asked = self.asked
        with working_engine(asked.of_run, self.registry, self.reporter) as engine:
            self.devices = self._devices(engine)
            folder = asked.folder
            if folder is None:
                run = self._possible(resolve(self._request(), self.registry, self.reporter, engine))
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
        return self._possible(resolve(known, self.registry.without(known.off), self.reporter, engine))

    def _words_of_resume(self, folder: Path) -> tuple[str, ...]:
        return ("resume", str(folder), *words_of(in_its_folder(self.asked.request).settings))

    def preview(self) -> str | None:
        """Return what the launcher would start; None if the run is finished."""
        asked = self.asked
        with working_engine(asked.of_run, self.registry, self.reporter) as engine:
            self.devices = self._devices(engine)
            if (folder := asked.folder) is not None:
                run, words = self._resumed(folder, engine), self._words_of_resume(folder)
            else:
                run = self._possible(resolve(self._request(), self.registry, self.reporter, engine))
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

    def _possible(self, run: LiveRun) -> LiveRun:
        """Refuse a run that other processes cannot make again, or several cannot do; warn of more than there are cores.

        Raises:
            SettingsError: If it is one.
        """
        processes, cores, on_cpu = self.asked.processes, os.cpu_count() or 1, "cpu" in self.devices
        if processes > 1:
            settings = {**run.resolved.defaults, **run.resolved.settings}
            require_possible(settings, processes, run.resolved.options.exact, on_cpu)
        if on_cpu and self.asked.launcher == TORCHRUN and processes > cores:
            self.reporter.warn(f"{processes} processes on {counted(cores, 'core')}: they are slower than {cores}.")
        return require_repeatable(run)

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
        ctx = self._context(run, folder, words)
        devices = f" on {', '.join(ctx.devices)}" if ctx.devices and ctx.devices[0] != "cpu" else ""
        self.reporter.note(
            f"Starting {counted(ctx.processes, 'process', 'processes')}{devices} ({self.asked.launcher})."
        )
        before = record_of(folder)
        code = self.launcher.launch(ctx)
        if code != ExitCode.DONE:
            raise error_of(code, folder, before, self.asked.request)
        recorded = RecordedRun.read(folder, self.asked.request) if (folder / FILE).exists() else None
        self.handed_over = recorded is None or not recorded.is_finished
        return result_of(run, folder, recorded, self.asked.launcher)

    def _context(self, run: LiveRun, folder: Path, words: tuple[str, ...]) -> LaunchContext:
        asked = self.asked
        quiet = {QUIET: "1"} if isinstance(self.reporter, NullReporter) else {}
        return LaunchContext(
            run_file=folder / FOLDER / RUN_FILE,
            save_dir=folder,
            processes=asked.processes,
            devices=self.devices,
            max_restarts=asked.request.options.max_restarts,
            command=asked.command(*words),
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

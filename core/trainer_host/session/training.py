"""A training from settings to result."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import (
    LossError,
    PluginCrashError,
    PluginError,
    SettingsError,
    StoppedError,
    StorageError,
    TrainerError,
    UnsafeError,
)
from trainer_host.base.findings import DatasetError
from trainer_host.base.folder_lock import FILE as LOCK
from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.rank_failures import FOLDER as RANKS
from trainer_host.base.reporting import NullReporter
from trainer_host.base.results import RunResult, UnreadableImage
from trainer_host.engine.error_translation import blamed, known_error
from trainer_host.engine.process_group import SingleProcess
from trainer_host.engine.process_state import preserved_state
from trainer_host.engine.resumption import Resumption
from trainer_host.engine.state_files import StateEntry, StateFiles
from trainer_host.session.launching import launch_if_asked
from trainer_host.session.opening import objects_of, refuse_absent_objects
from trainer_host.session.ranks import (
    DATASET,
    Crew,
    finish,
    follow,
    joined,
    note_other_number,
    peers_watched,
    reporter_of_rank,
    share_plan,
    stop_request,
    with_recorded_origins,
)
from trainer_host.session.recorded_environment import differences, report
from trainer_host.session.recorded_run import RecordedRun
from trainer_host.session.resolution import resolve, setting_problems
from trainer_host.session.resume import (
    accept,
    announce,
    as_data,
    good_state,
    in_its_folder,
    joined_request,
    more_epochs,
    position,
    refuse_more_epochs,
    split_resume,
)
from trainer_host.session.run_folders import claim_folder, claim_named_folder, hold_folder
from trainer_host.session.run_record import FILE, RunRecord
from trainer_host.session.working_engine import prepared, working_engine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from trainer_host.base.folder_lock import FolderLock
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.resolved_run import ResolvedRun
    from trainer_host.base.results import TrainingOutcome
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.protocol import Engine, LiveRun, Training
    from trainer_host.plugin.registry import Registry
    from trainer_host.session.recorded_environment import Difference

PICTURES = 6
FACTS = (
    *("epochs", "planned_epochs", "stop_reason", "stop_message", "best_epoch", "metrics", "metrics_of", "weights"),
)
"""Keys of the JSON that the record has too."""


def run(request: Request, registry: Registry, reporter: Reporter) -> RunResult:
    """Train, or resume a run, and return the outcome. The process is left as it was found.

    Raises:
        TrainerError: For every cause that is expected.
    """
    if (launched := launch_if_asked(request, registry, reporter)) is not None:
        return launched
    reporter = reporter_of_rank(reporter)
    stop = stop_request(reporter)
    try:
        request, folder = split_resume(with_recorded_origins(request))
        known = _recorded(folder, request)
        device = {**known.values, **request.values}.get("device")
        with working_engine(known, registry, reporter) as engine, stop.listening(), joined(device) as group:
            if not group.ranks.is_first:
                return follow(group, request, registry, stop, lambda run: _prepared(run, engine, reporter))
            with Crew(group).leading() as crew:
                result = _lead(folder, request, registry, reporter, stop, engine, crew)
            finish(crew, result)
            return result
    finally:
        reporter.close()


def _lead(
    folder: Path | None,
    request: Request,
    registry: Registry,
    reporter: Reporter,
    stop: StopRequest,
    engine: Engine,
    crew: Crew,
) -> RunResult:
    """Train as the first process of a run, or its only one."""
    rank = LaunchedRank.of(os.environ)
    if rank is not None and folder is None and rank.has_begun:
        folder, request = rank.run_folder, in_its_folder(request)
    if folder is not None:
        return resume(folder, request, registry, reporter, stop, engine, crew)
    run = resolve(request, registry, reporter if rank is None else NullReporter(), engine)
    with _prepared(run, engine, reporter):
        if rank is not None:
            return _train_in(rank.run_folder, run, reporter, stop, crew)
        return begin(run, request, registry, reporter, stop, crew)


def _recorded(folder: Path | None, request: Request) -> Request:
    """Return the request of the run that is resumed, whose task decides on the engine; a new run's own."""
    begun = folder is not None and (folder / FILE).exists()
    return RecordedRun.read(folder, request).request if folder is not None and begun else request


@contextmanager
def _prepared(run: LiveRun, engine: Engine, reporter: Reporter) -> Iterator[None]:
    """Prepare the engine of a run for work, if it is not the one that the request seemed to need."""
    if run.engine is engine:
        yield
    else:
        with preserved_state(lambda: run.engine), prepared(run.engine, reporter, run.options.verbose):
            yield


def begin(
    run: LiveRun,
    request: Request,
    registry: Registry,
    reporter: Reporter,
    stop: StopRequest,
    crew: Crew | None = None,
) -> RunResult:
    """Train in the folder that the request chooses, or go on with the run that is in it."""
    crew = crew or Crew(SingleProcess())
    if_exists = request.options.if_exists
    if if_exists is None or if_exists == "new":
        return train(run, reporter, stop, crew)
    folder, is_new = claim_named_folder(run.chain.name, run.resolved.settings, if_exists)
    if is_new:
        return _train_in(folder, run, reporter, stop, crew)
    return resume(folder, in_its_folder(request), registry, reporter, stop, run.engine, crew)


def train(run: LiveRun, reporter: Reporter, stop: StopRequest, crew: Crew | None = None) -> RunResult:
    """Train in a new folder, which holds the record of the run."""
    crew = crew or Crew(SingleProcess())
    return _train_in(claim_folder(run.chain.name, run.resolved.settings), run, reporter, stop, crew)


def _train_in(folder: Path, run: LiveRun, reporter: Reporter, stop: StopRequest, crew: Crew) -> RunResult:
    """Train in a folder, which holds the record of the run."""
    before = {entry.name for entry in folder.iterdir()}
    lock = hold_folder(folder, reporter)
    try:
        run = share_plan(crew, run, folder, ())
        return _Work(run, folder, RunRecord(folder, run.resolved), reporter, stop, lock, before, crew=crew).carry_out()
    finally:
        lock.release()


def resume(
    folder: Path,
    request: Request,
    registry: Registry,
    reporter: Reporter,
    stop: StopRequest,
    engine: Engine,
    crew: Crew,
) -> RunResult:
    """Go on with the run of a folder; a finished one is left as it is.

    Raises:
        SettingsError: If it cannot go on with what the user asks for.
    """
    lock = hold_folder(folder, reporter)
    try:
        names = {f.name for f in folder.iterdir()}
        if all(name in {LOCK, RANKS} or name.endswith(".part") for name in names):
            # It was claimed by a process that ended before it wrote a record.
            run = resolve(request, registry, reporter, engine)
            with _prepared(run, engine, reporter):
                run = share_plan(crew, run, folder, ())
                record = RunRecord(folder, run.resolved)
                return _Work(run, folder, record, reporter, stop, lock, set(), crew=crew).carry_out()
        recorded = RecordedRun.read(folder, request)
        more = more_epochs(request, recorded, engine)
        joined, changed = joined_request(request, recorded, engine, setting_problems(request, registry, engine))
        if recorded.is_finished:
            if more is None:
                return _finished(recorded, request, reporter)
            refuse_more_epochs(recorded, more)
        registry = registry.without(joined.off)
        refuse_absent_objects(joined, {*objects_of(registry), *request.settings}, "resume({file!r}")
        run = replace(resolve(joined, registry, reporter, engine), repeats=recorded.record)
        state = good_state(recorded, reporter)
        found = differences(run)
        accept(found, request.options.allow, reporter)
        announce(recorded, state, run.resolved.settings.get("epochs"), changed, reporter)
        note_other_number(recorded.request.options.processes, crew.group, reporter)
        before = {each.name for each in folder.iterdir()}
        run = share_plan(crew, run, folder, state.entries if state else ())
        record = RunRecord(folder, run.resolved, recorded.record)
        resumed = _Resumed(state.entries if state else (), [*changed, *found], request.options.allow)
        with _prepared(run, engine, reporter):
            return _Work(run, folder, record, reporter, stop, lock, before, resumed, crew=crew).carry_out()
    finally:
        lock.release()


def resolve_only(request: Request, registry: Registry, reporter: Reporter) -> ResolvedRun:
    """Return what `run` would carry out, also for a run that is resumed; nothing is trained or written."""
    request, folder = split_resume(request)
    with working_engine(_recorded(folder, request), registry, reporter) as engine:
        if folder is not None:
            recorded = RecordedRun.read(folder, request)
            request, _ = joined_request(request, recorded, engine, setting_problems(request, registry, engine))
            return resolve(request, registry.without(request.off), reporter, engine).resolved
        run = resolve(request, registry, reporter, engine)
        report(differences(run), run, reporter)
        return run.resolved


def _finished(recorded: RecordedRun, request: Request, reporter: Reporter) -> RunResult:
    """Return the outcome of a run that is finished, with nothing done."""
    reporter.note(f"{recorded.shown} is finished: nothing to do.")
    if without_effect := sorted(request.settings.keys() & {"patience", "time"}):
        keys = " and ".join(f"{key}=" for key in without_effect)
        reporter.warn(f"{keys} cannot continue a finished run. Fix: give more epochs: epochs=NUMBER")
    if not recorded.request.options.keep_state:
        StateFiles(recorded.folder / "weights").remove()  # in case the process was killed before it did
    return recorded.result()


@dataclass
class _Resumed:
    """What a run is resumed from.

    Attributes:
        entries: The recorded states up to the newest that is whole; none if there is none yet.
        differences: What differs from the record, and was accepted.
        allowed: Names of differences that are accepted.
    """

    entries: tuple[StateEntry, ...]
    differences: list[Difference]
    allowed: Collection[str]

    @property
    def entry(self) -> StateEntry | None:
        """The state."""
        return self.entries[-1] if self.entries else None


@dataclass
class _Work:
    """One training.

    Attributes:
        run: What it does.
        save_dir: Its folder.
        record: Its record.
        reporter: Shows the progress.
        stop: Whether it is to end early.
        lock: The lock of the folder.
        before: Names of what was in the folder before.
        resumed: What it is resumed from; None for a new run.
        began: Whether it has trained.
        crew: The processes that carry it out.
    """

    run: LiveRun
    save_dir: Path
    record: RunRecord
    reporter: Reporter
    stop: StopRequest
    lock: FolderLock
    before: Collection[str]
    resumed: _Resumed | None = None
    began: bool = False
    crew: Crew = field(default_factory=lambda: Crew(SingleProcess()))

    def carry_out(self) -> RunResult:
        """Train, and return the outcome."""
        resumption = Resumption(self.resumed.entries) if self.resumed and self.resumed.entries else None
        training = self.run.engine.training(
            self.run, self.save_dir, self.reporter, self.stop, resumption, self.record.save_states
        )
        try:
            outcome = self.train(training)
            predictions = self.picture(outcome)
        except BaseException as error:
            shown = self.record_error(error, training)
            self.lock.release()  # its file is the last one in a folder that is to go
            if not self.began or isinstance(shown, SettingsError):
                self.tidy(shown, self.before)
            if shown is not error:
                raise shown from error
            raise
        return self.record_result(outcome, predictions)

    def resume(self, dataset: Mapping[str, Any]) -> None:
        """Compare the dataset with the recorded one, and record that the run goes on.

        Raises:
            SettingsError: If it differs, and that is not allowed.
        """
        if (resumed := self.resumed) is None:
            return
        known = resumed.differences
        found = [one for one in differences(self.run, dataset.get("fingerprint")) if one not in known]
        accept(found, resumed.allowed, self.reporter)
        self.record.resume(resumed.entry, [*known, *found])
        if resumed.entry is None:  # rows of a run that saved no state
            (self.save_dir / self.run.engine.results_file).unlink(missing_ok=True)

    def train(self, training: Training) -> TrainingOutcome:
        """Prepare and train.

        Raises:
            StoppedError: If a signal ended it.
        """
        chain = self.run.chain
        with blamed(chain.manager, self.run.engine):
            dataset = training.prepare()
            self.crew.tell(DATASET)
            self.record.read(dataset)
            if self.resumed is None:
                report(differences(self.run, dataset.get("fingerprint")), self.run, self.reporter)
            self.resume(dataset)
            extensions = ", ".join(m.record.name for m in chain.extensions)
            also = f" with {extensions}" if extensions else ""
            self.reporter.note(f"Training {chain.name}{also} {training.describe()}.")
            for warning in training.warnings():
                self.reporter.warn(warning)
            if self.resumed is None and self.record.begin():
                StateFiles(self.save_dir / "weights").remove()  # of an earlier run in the folder
            self.began = True
            if (rank := LaunchedRank.of(os.environ)) is not None:
                rank.begin()
            with peers_watched(self.crew.group.ranks):
                outcome = training.train()
        if outcome.interrupted:
            self.stop.over = True  # what is left is to record it
            raise self.stop.error(self.kept(outcome.last))
        return outcome

    def kept(self, last: Path | None) -> str:
        """Return what a run that ends early leaves behind, for its message."""
        if states := self.record.outcome.get("states"):
            place = position(StateEntry.of_data(states[-1]), self.run.resolved.settings.get("epochs"))
            return f"the state is saved {place}"
        return f"last checkpoint {last or 'not saved'}"

    def record_error(self, error: BaseException, training: Training) -> BaseException:
        """Record why the training ended, and return the error to show."""
        last = training.last_checkpoint()
        known = known_error(error, self.save_dir, self.run.engine) or error
        shown = self.stop.instead_of(known, self.kept(last) if last or self.began else "before training began")
        shown = self.with_way_on(shown)
        with suppress(OSError):  # such as a full disk: show the error itself, not that of its record
            start = training.starting_weights()
            facts = {"weights": start.as_data()} if start else {}
            if isinstance(shown, LossError):
                facts |= shown.details
            self.record.end(_status(shown), error=str(shown) or type(shown).__name__, **facts)
        return shown

    def with_way_on(self, error: BaseException) -> BaseException:
        """Add to an error that ends a run which can be resumed where it is, and how to go on."""
        if isinstance(error, TrainerError) and self.record.outcome.get("states"):
            command = shlex.join(["trainer", "resume", display_path(self.save_dir)])
            error.details |= {"save_dir": str(self.save_dir), "resume": command}
            if isinstance(error, (StoppedError, StorageError)):
                error.problems = tuple(replace(p, fix=_then(p.fix, command)) for p in error.problems)
        return error

    def record_result(self, outcome: TrainingOutcome, predictions: Path | None) -> RunResult:
        """Record the outcome, and return it."""
        result = RunResult(
            task=self.run.chain.name,
            save_dir=self.save_dir,
            best=outcome.best,
            last=outcome.last,
            epochs=outcome.epochs,
            metrics=outcome.metrics,
            predictions=predictions,
            best_epoch=outcome.best_epoch,
            ending=outcome.ending,
            weights=outcome.weights,
            resumed_from=as_data(resumed.entry) if (resumed := self.resumed) and resumed.entry else None,
        )
        happened = {"recoveries": [dict(r) for r in outcome.recoveries], "reduced_batch": outcome.reduced_batch}
        more = {key: value for key, value in happened.items() if value}
        facts, keep = result.as_json(), self.run.options.keep_state
        if not keep:  # first, so that no record names a file that is gone
            self.record.outcome.pop("states", None)
        self.record.end("done", **{key: facts[key] for key in FACTS}, **more, threads=outcome.threads)
        if not keep:
            StateFiles(self.save_dir / "weights").remove()
        return result

    def tidy(self, error: BaseException, before: Collection[str]) -> None:
        """Remove the files of a run that was refused before it trained; what was there ``before`` stays."""
        engine, folder = self.run.engine, self.save_dir
        refused = isinstance(error, (SettingsError, DatasetError, PluginError, UnsafeError))
        crashed = isinstance(error, PluginCrashError)
        trained = any((folder / "weights").glob("*.pt")) or (folder / engine.results_file).exists()
        if crashed or not refused or trained:
            return
        for name in (FILE, engine.settings_file, "dataset.yaml", "train.txt", "val.txt", "test.txt"):
            if name not in before:
                (folder / name).unlink(missing_ok=True)
        for made in (folder / "weights", folder):
            with suppress(OSError):  # not empty, so not ours alone
                made.rmdir()

    def picture(self, outcome: TrainingOutcome) -> Path | None:
        """Draw predictions on the first held-out images; a run is not lost over a picture."""
        from trainer_host.engine.montage import montage

        run, images = self.run, [str(f) for f in outcome.held_out[:PICTURES]]
        checkpoint = outcome.best or outcome.last
        if checkpoint is None or not images or run.chain.manager.hook.build_predictor.get_hookimpls() == []:
            return None
        try:
            with blamed(run.chain.manager, run.engine):
                model = run.engine.trained_model(run.engine.checkpoints.read(checkpoint), run, {})
                predictor = model.predictor({}, self.save_dir)
                drawn = [predictor.draw(p) for p in predictor(images) if not isinstance(p, UnreadableImage)]
            return montage([d for d in drawn if d is not None], self.save_dir / "predictions.jpg")
        except StoppedError:
            raise
        except Exception as error:  # also whatever a plugin's predictor raises
            self.reporter.warn(f"cannot draw the pictures of predictions: {error}")
            return None


def _then(fix: str | None, command: str) -> str:
    """Return a fix that ends with the command which goes on."""
    first = (fix or "").partition(", ")[0]  # the alternative is for a run that cannot go on
    return f"{first}, then {command}" if first else command


def _status(error: BaseException) -> str:
    if isinstance(error, StoppedError):
        return "stopped"
    return "loss not finite" if isinstance(error, LossError) else "failed"

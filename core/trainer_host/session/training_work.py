"""The work of one training: carried out by its engine, and kept in the run's record and folder."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
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
from trainer_host.base.launched_rank import LaunchedRank
from trainer_host.base.results import RunResult, UnreadableImage
from trainer_host.engine.error_translation import blamed, known_error
from trainer_host.engine.state_files import StateEntry
from trainer_host.session.ranks import DATASET, peers_watched
from trainer_host.session.recorded_environment import differences, report
from trainer_host.session.resume_messages import accept, as_data, position
from trainer_host.session.run_record import FILE, RunRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from trainer_host.base.folder_lock import FolderLock
    from trainer_host.base.results import TrainingOutcome
    from trainer_host.engine.protocol import LiveRun, Training
    from trainer_host.engine.resumption import Resumption
    from trainer_host.session.recorded_environment import Difference
    from trainer_host.session.session_context import SessionContext

PICTURES = 6
FACTS = (
    *("epochs", "planned_epochs", "stop_reason", "stop_message", "best_epoch", "metrics", "metrics_of", "weights"),
)
"""Keys of the JSON that the record has too."""


@dataclass
class Resumed:
    """What a run is resumed with.

    Attributes:
        state: The state that it goes on from; None for its beginning.
        differences: What differs from the record, and was accepted.
        allowed: Names of differences that are accepted.
    """

    state: Resumption | None
    differences: list[Difference]
    allowed: Collection[str]

    @property
    def entry(self) -> StateEntry | None:
        """The file of the state."""
        return self.state.entry if self.state is not None else None


@dataclass
class TrainingWork:
    """One training.

    Attributes:
        run: What it does.
        save_dir: Its folder.
        record: Its record.
        context: The session that it is part of.
        lock: The lock of the folder.
        before: Names of what was in the folder before.
        resumed: What it is resumed from; None for a new run.
        began: Whether it has trained.
    """

    run: LiveRun
    save_dir: Path
    record: RunRecord
    context: SessionContext
    lock: FolderLock
    before: Collection[str] = frozenset()
    resumed: Resumed | None = None
    began: bool = False

    def carry_out(self) -> RunResult:
        """Train, and return the outcome."""
        state = self.resumed.state if self.resumed is not None else None
        training = self.run.engine.training(
            self.run, self.save_dir, self.context.reporter, self.context.stop, state, self.record
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
        found = [one for one in differences(self.run, dataset) if one not in known]
        accept(found, resumed.allowed, self.context.reporter)
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
            self.context.ranks.broadcast(DATASET)
            self.record.read(dataset)
            if self.resumed is None:
                report(differences(self.run, dataset), self.run, self.context.reporter)
            self.resume(dataset)
            extensions = ", ".join(m.record.name for m in chain.extensions)
            also = f" with {extensions}" if extensions else ""
            self.context.reporter.note(f"Training {chain.name}{also} {training.describe()}.")
            for warning in training.warnings():
                self.context.reporter.warn(warning)
            if self.resumed is None:
                self.record.begin()
            self.began = True
            if (rank := LaunchedRank.of(os.environ)) is not None:
                rank.begin()
            with peers_watched(self.context.ranks.group.ranks):
                outcome = training.train()
        if outcome.interrupted:
            self.context.stop.over = True  # what is left is to record it
            raise self.context.stop.error(self.kept(outcome.last), by_all=True)
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
        shown = self.context.stop.instead_of(known, self.kept(last) if last or self.began else "before training began")
        shown = self.with_way_on(shown)
        with suppress(OSError):  # such as a full disk: show the error itself, not that of its record
            start = training.starting_weights()
            facts = {"weights": start.as_data()} if start else {}
            if isinstance(shown, LossError):
                shown.details["recoveries"] = self.record.recoveries
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
        reduced: dict[str, Any] = {"reduced_batch": outcome.reduced_batch} if outcome.reduced_batch else {}
        if outcome.thread_changes:
            reduced["thread_changes"] = [dict(change) for change in outcome.thread_changes]
        if outcome.kept_evaluation is not None:
            reduced["kept_evaluation"] = outcome.kept_evaluation
        facts = result.as_json()
        self.record.finish(**{key: facts[key] for key in FACTS}, **reduced, threads=outcome.threads)
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
            self.context.reporter.warn(f"cannot draw the pictures of predictions: {error}")
            return None


def _then(fix: str | None, command: str) -> str:
    """Return a fix that ends with the command which goes on."""
    first = (fix or "").partition(", ")[0]  # the alternative is for a run that cannot go on
    return f"{first}, then {command}" if first else command


def _status(error: BaseException) -> str:
    if isinstance(error, StoppedError):
        return "stopped"
    return "loss not finite" if isinstance(error, LossError) else "failed"

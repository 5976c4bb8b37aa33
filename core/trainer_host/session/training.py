"""A training from settings to result."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer_host.base.errors import LossError, PluginCrashError, PluginError, SettingsError, StoppedError, UnsafeError
from trainer_host.base.findings import DatasetError
from trainer_host.base.results import RunResult, UnreadableImage
from trainer_host.base.signals import StopRequest
from trainer_host.engine.error_translation import blamed, known_error, translated
from trainer_host.engine.factory import make_engine
from trainer_host.engine.task_engine import engine_of_chain
from trainer_host.session.resolution import resolve
from trainer_host.session.run_folders import claim_folder, hold_folder
from trainer_host.session.run_record import FILE, RunRecord

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.request import Request
    from trainer_host.base.results import TrainingOutcome
    from trainer_host.engine.live_run import LiveRun
    from trainer_host.engine.protocol import Training
    from trainer_host.plugin.registry import Registry

PICTURES = 6
FACTS = (
    *("epochs", "planned_epochs", "stop_reason", "stop_message", "best_epoch", "metrics", "metrics_of", "weights"),
)
"""Keys of the JSON that the record has too."""


def run(request: Request, registry: Registry, reporter: Reporter) -> RunResult:
    """Train, and return the outcome. The process is left as it was found.

    Raises:
        TrainerError: For every cause that is expected.
    """
    engine = make_engine()
    with translated(), engine.preserved_state():
        stop = StopRequest()
        with engine.log(reporter, request.options.verbose), stop.listening():
            try:
                return train(resolve(request, registry, reporter), reporter, stop)
            finally:
                reporter.close()


def train(run: LiveRun, reporter: Reporter, stop: StopRequest) -> RunResult:
    """Train in a new folder, which holds the record of the run."""
    save_dir = claim_folder(run.chain.name, run.resolved.settings)
    before = {entry.name for entry in save_dir.iterdir()}
    lock = hold_folder(save_dir, reporter)
    try:
        work = _Work(run, save_dir, RunRecord(save_dir, run.resolved), reporter, stop)
        training = engine_of_chain(run.chain).training(run, save_dir, reporter, stop)
        try:
            outcome = work.train(training)
            predictions = work.picture(outcome)
        except BaseException as error:
            shown = work.record_error(error, training)
            lock.release()  # its file is the last one in a folder that is to go
            if not work.began or isinstance(shown, SettingsError):
                work.tidy(shown, before)
            if shown is not error:
                raise shown from error
            raise
        return work.record_result(outcome, predictions)
    finally:
        lock.release()


@dataclass
class _Work:
    """One training.

    Attributes:
        run: What it does.
        save_dir: Its folder.
        record: Its record.
        reporter: Shows the progress.
        stop: Whether it is to end early.
        began: Whether it has trained.
    """

    run: LiveRun
    save_dir: Path
    record: RunRecord
    reporter: Reporter
    stop: StopRequest
    began: bool = False

    def train(self, training: Training) -> TrainingOutcome:
        """Prepare and train.

        Raises:
            StoppedError: If a signal ended it.
        """
        chain = self.run.chain
        with blamed(chain.manager):
            self.record.read(training.prepare())
            extensions = ", ".join(m.record.name for m in chain.extensions)
            also = f" with {extensions}" if extensions else ""
            self.reporter.note(f"Training {chain.name}{also} {training.describe()}.")
            for warning in training.warnings():
                self.reporter.warn(warning)
            self.began = True
            outcome = training.train()
        if outcome.interrupted:
            raise self.stop.error(f"last checkpoint {outcome.last or 'not saved'}")
        return outcome

    def record_error(self, error: BaseException, training: Training) -> BaseException:
        """Record why the training ended, and return the error to show."""
        last = training.last_checkpoint()
        known = known_error(error, self.save_dir) or error
        shown = self.stop.instead_of(known, f"last checkpoint {last}" if last else "before training began")
        with suppress(OSError):  # such as a full disk: show the error itself, not that of its record
            start = training.starting_weights()
            facts = {"weights": start.as_data()} if start else {}
            if isinstance(shown, LossError):
                facts |= shown.details
            self.record.end(_status(shown), error=str(shown) or type(shown).__name__, **facts)
        return shown

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
        )
        facts = result.as_json()
        happened = {"recoveries": [dict(r) for r in outcome.recoveries], "reduced_batch": outcome.reduced_batch}
        more = {key: value for key, value in happened.items() if value}
        self.record.end("done", **{key: facts[key] for key in FACTS}, **more, threads=outcome.threads)
        return result

    def tidy(self, error: BaseException, before: Collection[str]) -> None:
        """Remove the files of a run that was refused before it trained; what was there ``before`` stays."""
        engine, folder = engine_of_chain(self.run.chain), self.save_dir
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
            with blamed(run.chain.manager):
                engine = engine_of_chain(run.chain)
                model = engine.trained_model(engine.checkpoints.read(checkpoint), run, {})
                predictor = model.predictor({}, self.save_dir)
                drawn = [predictor.draw(p) for p in predictor(images) if not isinstance(p, UnreadableImage)]
            return montage([d for d in drawn if d is not None], self.save_dir / "predictions.jpg")
        except StoppedError:
            raise
        except Exception as error:  # also whatever a plugin's predictor raises
            self.reporter.warn(f"no picture of predictions was drawn: {error}")
            return None


def _status(error: BaseException) -> str:
    if isinstance(error, StoppedError):
        return "stopped"
    return "loss not finite" if isinstance(error, LossError) else "failed"

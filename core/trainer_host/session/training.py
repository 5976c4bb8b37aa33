"""A training from settings to result."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from trainer_host.base.errors import LossError, PluginCrashError, PluginError, SettingsError, StoppedError, UnsafeError
from trainer_host.base.findings import DatasetError
from trainer_host.base.results import RunResult, UnreadableImage
from trainer_host.base.signals import StopRequest
from trainer_host.engine.error_translation import blamed, known_error, translated
from trainer_host.engine.process_state import preserved_state
from trainer_host.session.resolution import Resolved, resolve
from trainer_host.session.run_folders import claim_folder, hold_folder
from trainer_host.session.run_record import FILE, RunRecord

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from trainer_host.base.folder_lock import FolderLock
    from trainer_host.base.protocols import Finished, Training
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import TrainingOutcome
    from trainer_host.engine.plan import Plan
    from trainer_host.session.resolution import Request

PICTURES = 6
FACTS = (
    *("epochs", "planned_epochs", "stop_reason", "stop_message", "best_epoch", "metrics", "metrics_of", "weights"),
)
"""What the record of a run says of its outcome, under the names that the JSON has."""


def run(request: Request, reporter: Reporter) -> RunResult:
    """Train, and return the outcome. The process is left as it was found.

    Raises:
        TrainerError: For every cause that is expected.
    """
    with translated(), preserved_state():
        from trainer_host.engine.ultralytics.engine_log import engine_log

        stop = StopRequest()
        with engine_log(reporter, request.verbose), stop.listening():
            try:
                return _train(resolve(request, reporter), reporter, stop)
            finally:
                reporter.close()


def _train(resolved: Resolved, reporter: Reporter, stop: StopRequest) -> RunResult:
    save_dir = claim_folder(resolved.chain.name, resolved.values())
    lock = hold_folder(save_dir, reporter)
    try:
        return _train_in(save_dir, lock, resolved, reporter, stop)
    finally:
        lock.release()


def _train_in(save_dir: Path, lock: FolderLock, resolved: Resolved, reporter: Reporter, stop: StopRequest) -> RunResult:
    import torch

    from trainer_host.engine.plan import Plan
    from trainer_host.engine.ultralytics.release_window import engine_version
    from trainer_host.engine.ultralytics.training_engine import TrainingEngine

    versions = {"ultralytics": engine_version(), "torch": str(torch.__version__)}
    before = {entry.name for entry in save_dir.iterdir()}
    record = RunRecord(save_dir, resolved, versions)
    plan = Plan(
        resolved.chain,
        exact=resolved.exact,
        offline=resolved.offline,
        bad=resolved.bad,
        images=resolved.images,
        best_metric=resolved.best_metric,
        trackers=resolved.trackers,
    )
    engine: Training = TrainingEngine(plan, resolved.values(), save_dir, reporter, stop)
    began = False
    try:
        with blamed(resolved.chain.manager):
            record.read(engine.prepare())
            extensions = ", ".join(m.record.name for m in resolved.chain.extensions)
            also = f" with {extensions}" if extensions else ""
            reporter.note(f"Training {resolved.chain.name}{also} {engine.describe()}.")
            for warning in engine.warnings():
                reporter.warn(warning)
            began = True
            outcome = engine.train()
        if outcome.interrupted:
            raise stop.error(f"last checkpoint {outcome.last or 'not saved'}")
        predictions = _picture(plan, outcome, save_dir, reporter)
    except BaseException as error:
        last = save_dir / "weights" / "last.pt"
        known = known_error(error, save_dir) or error
        told = stop.instead_of(known, f"last checkpoint {last}" if last.exists() else "before training began")
        with suppress(OSError):  # such as a full disk: the error itself is to be told, not that of its record
            start = engine.starting_weights()
            facts = {"weights": start.as_data()} if start else {}
            record.end(_status(told), error=str(told) or type(told).__name__, **facts)
        lock.release()  # its file is the last one in a folder that is to go
        if not began or isinstance(told, SettingsError):
            _tidy(save_dir, told, before)
        if told is not error:
            raise told from error
        raise
    result = RunResult(
        task=resolved.chain.name,
        save_dir=save_dir,
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
    record.end("done", **{key: facts[key] for key in FACTS}, threads=outcome.threads)
    return result


def _tidy(save_dir: Path, error: BaseException, before: Collection[str]) -> None:
    """Remove what a run has written that was refused before it trained; what was there ``before`` stays."""
    refused = isinstance(error, (SettingsError, DatasetError, PluginError, UnsafeError))
    crashed = isinstance(error, PluginCrashError)
    if crashed or not refused or any((save_dir / "weights").glob("*.pt")) or (save_dir / "results.csv").exists():
        return
    for name in (FILE, "args.yaml", "dataset.yaml", "train.txt", "val.txt", "test.txt"):
        if name not in before:
            (save_dir / name).unlink(missing_ok=True)
    for folder in (save_dir / "weights", save_dir):
        with suppress(OSError):  # not empty, so not ours alone
            folder.rmdir()


def _status(error: BaseException) -> str:
    if isinstance(error, StoppedError):
        return "stopped"
    return "loss not finite" if isinstance(error, LossError) else "failed"


def _picture(plan: Plan, outcome: TrainingOutcome, save_dir: Path, reporter: Reporter) -> Path | None:
    """Draw predictions on the first held-out images; a run is not lost over a picture."""
    from trainer_host.engine.ultralytics.training_engine import FinishedModel, montage

    images = [str(f) for f in outcome.held_out[:PICTURES]]
    checkpoint = outcome.best or outcome.last
    if checkpoint is None or not images or plan.chain.manager.hook.build_predictor.get_hookimpls() == []:
        return None
    try:
        with blamed(plan.chain.manager):
            model: Finished = FinishedModel(checkpoint, plan, {}, "predict", save_dir)
            drawn = [model.draw(p) for p in model.predict(images) if not isinstance(p, UnreadableImage)]
        return montage([d for d in drawn if d is not None], save_dir / "predictions.jpg")
    except StoppedError:
        raise
    except Exception as error:  # also whatever a plugin's predictor raises
        reporter.warn(f"no picture of predictions was drawn: {error}")
        return None

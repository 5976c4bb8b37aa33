"""Trainings of ultralytics."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.results import TrainingOutcome
from trainer_host.base.wording import counted
from trainer_host.data.dataset_parts import parts_of
from trainer_host.data.description import Description
from trainer_host.engine.progress import ProgressCallbacks
from trainer_host.engine.rank_devices import device_of_rank
from trainer_host.engine.state_files import StateFiles
from trainer_host.engine.ultralytics.adapted_trainer import new_trainer
from trainer_host.engine.ultralytics.device_settings import refuse_device, warn_of_fallback
from trainer_host.engine.ultralytics.engine_errors import engine_errors
from trainer_host.engine.ultralytics.engine_settings import engine_defaults
from trainer_host.engine.ultralytics.fonts import provide_fonts
from trainer_host.engine.ultralytics.model_selection import shown_metrics
from trainer_host.engine.ultralytics.setting_warnings import setting_warnings
from trainer_host.engine.ultralytics.state_saving import StateSaver
from trainer_host.engine.ultralytics.thread_search import use_threads
from trainer_host.engine.ultralytics.trackers import engine_callbacks

if TYPE_CHECKING:
    from trainer_host.base.reporting import Reporter
    from trainer_host.base.results import StartingWeights
    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.protocol import LiveRun, TrainingRecord
    from trainer_host.engine.resumption import Resumption
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


STRIDE = 32
"""The least stride by which the engine rounds sizes of images."""


def _size_text(imgsz: Any) -> str:
    """Return the image size of a training, with a note if it differs from the setting."""
    size = max(imgsz) if isinstance(imgsz, (list, tuple)) else imgsz
    notes = []
    if isinstance(imgsz, (list, tuple)) and size != min(imgsz):
        notes.append(f"the larger of imgsz={list(imgsz)}: training takes one size".replace(", ", ","))
    if size % STRIDE:
        notes.append("rounded up to a multiple of the model's stride")
    return f"{size} px" + (f" ({'; '.join(notes)})" if notes else "")


class TrainingEngine:
    """Trains with ultralytics.

    Args:
        run: What the run does, with its plugins.
        save_dir: The run's folder; it exists.
        reporter: Shows the progress.
        stop: A request to end the run early.
        resume: The state that it goes on from; None for a new run.
        record: Keeps what the training saves and meets; None to leave its states in ``weights`` of the folder.
    """

    def __init__(
        self,
        run: LiveRun,
        save_dir: Path,
        reporter: Reporter,
        stop: StopRequest,
        resume: Resumption | None = None,
        record: TrainingRecord | None = None,
    ) -> None:
        self.resume, self.record, self.stop = resume, record, stop
        self.run, self.values, self.save_dir = run, dict(run.resolved.settings), save_dir
        self.folder = save_dir
        self._own_folder: TemporaryDirectory[str] | None = None
        if (ranks := run.group.ranks).world_size > 1:
            self.values["device"] = device_of_rank(self.values.get("device"), ranks)
        self.progress = ProgressCallbacks(reporter, stop, shown_metrics(run))
        self.trainer: HostTrainer | None = None

    @engine_errors()
    def prepare(self) -> dict[str, Any]:
        """Read and check the dataset, and set up the trainer; return its fingerprint and the skipped images."""
        ranks = self.run.group.ranks
        if not ranks.is_first:  # the engine writes in every process
            self._own_folder = TemporaryDirectory(prefix=f"trainer-rank{ranks.rank}-")
            self.folder = Path(self._own_folder.name)
        try:
            return self._prepare()
        except BaseException:
            self._clean()
            raise

    def _prepare(self) -> dict[str, Any]:
        ranks = self.run.group.ranks
        refuse_device(self.values.get("device"))
        events = engine_callbacks(self.run.options.trackers if ranks.is_first else (), self.run.options.offline)
        for event, function in self.progress.events(resumed=self.resume is not None).items():
            events[event] = [*events[event], function]
        # Only a default that the engine no longer has: what it has itself is not given to its trainer again.
        ours = engine_defaults()
        kept = {key: value for key, value in self.run.resolved.defaults.items() if value != ours.get(key)}
        overrides = {**kept, **self.values, "mode": "train", "save_dir": str(self.folder)}
        with gc_paused():  # torch imports its compiler for deterministic algorithms
            self.trainer = new_trainer(self.run, overrides, events)
            warn_of_fallback(self.values.get("device"), self.trainer.device)
            provide_fonts()  # the final evaluation asks for one, also without plots
        if not ranks.is_first:
            weights = self.save_dir / "weights"
            self.trainer.last, self.trainer.best = weights / "last.pt", weights / "best.pt"
        self.trainer.saver = self._saver(bool(self.trainer.args.save))
        use_threads(self.trainer)
        data = Description.of(self.trainer.description)
        found = {"fingerprint": data.fingerprint(), "parts": parts_of(data)}
        return {**found, **({"skipped": dict(data.skipped)} if data.skipped else {})}

    def _clean(self) -> None:
        if self._own_folder is not None:
            self._own_folder.cleanup()

    def _saver(self, saves: bool) -> StateSaver:
        record, every = self.record, self.run.options.checkpoint_every
        states = record.states if record is not None else StateFiles(self.save_dir / "weights")
        return StateSaver(
            states if saves else None,
            self.stop,
            batches=every.batches if every is not None else None,
            seconds=every.seconds if every is not None else None,
            content=self.resume.take() if self.resume is not None else None,
            recovered=record.add_recovery if record is not None else None,
            group=self.run.group,
        )

    def _prepared(self) -> HostTrainer:
        if self.trainer is None:
            raise RuntimeError("prepare() comes first")
        return self.trainer

    def describe(self) -> str:
        """Return a short description of the training: device, model, length, image size."""
        trainer = self._prepared()
        model = self.values.get("model")
        name = f"model {model}" if model else "its own model"
        epochs = counted(trainer.args.epochs, "epoch")
        length = f"{trainer.args.time:g} h" if trainer.args.time else epochs
        return f"on {trainer.device}: {name}, {length} at {_size_text(trainer.args.imgsz)}"

    def starting_weights(self) -> StartingWeights | None:
        """Return the weights that the training starts from; None before the model is built."""
        return self.trainer.starting_weights if self.trainer is not None else None

    def warnings(self) -> list[str]:
        """Return effects of the settings that are easily missed."""
        trainer, workers = self._prepared(), self.values.get("workers")
        found = setting_warnings(trainer.args)
        if workers and workers != engine_defaults()["workers"] and not trainer.args.workers:
            found.append(
                f"workers={workers} has no effect on {trainer.device}: images are loaded without workers there."
            )
        return found

    def last_checkpoint(self) -> Path | None:
        """Return the last checkpoint that this training has written."""
        trainer = self.trainer
        return trainer.last if trainer is not None and trainer.wrote(trainer.last) else None

    @engine_errors()
    def train(self) -> TrainingOutcome:
        """Train, and return the outcome."""
        trainer = self._prepared()
        try:
            trainer.train()
        finally:
            self._clean()
        done = trainer.loop.epoch if trainer.interrupted else trainer.epoch + 1
        return TrainingOutcome(
            epochs=done - trainer.start_epoch,
            metrics={k: float(v) for k, v in (trainer.metrics or {}).items()},
            best=trainer.best if trainer.wrote(trainer.best) else None,
            last=trainer.last if trainer.wrote(trainer.last) else None,
            interrupted=trainer.interrupted,
            held_out=tuple(getattr(trainer.test_loader.dataset, "im_files", ())),
            threads=trainer.threads.number if trainer.threads is not None else torch.get_num_threads(),
            thread_changes=tuple(trainer.threads.changes) if trainer.threads is not None else (),
            best_epoch=trainer.best_epoch,
            ending=trainer.ending,
            weights=trainer.starting_weights,
            reduced_batch=trainer.reduced_batch,
            kept_evaluation=trainer.kept.epoch,
        )

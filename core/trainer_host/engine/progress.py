"""Progress of a training, reported with an estimate of the time that is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trainer_host.base.best_metric import FITNESS, full_name
from trainer_host.base.reporting import EpochReport, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer_host.base.reporting import Reporter
    from trainer_host.base.signals import StopRequest
    from trainer_host.base.type_aliases import Trainer


class ProgressCallbacks:
    """Callbacks of a training that report where it stands and heed a request to stop.

    Args:
        reporter: Shows it.
        stop: Whether the run is to end.
        metrics: Names of the metrics that belong in a summary.
        clock: Seconds of a clock that does not go back.
    """

    def __init__(
        self,
        reporter: Reporter,
        stop: StopRequest,
        metrics: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter, self.stop, self.metrics, self.clock = reporter, stop, tuple(metrics), clock
        self.batch, self.in_epoch = 0, False
        self.began = self.epoch_began = 0.0

    def events(self) -> dict[str, Callable[[Any], None]]:
        """Return the functions by event."""
        return {
            "on_pretrain_routine_end": self.on_pretrain_routine_end,
            "on_train_start": self.on_train_start,
            "on_train_epoch_start": self.on_train_epoch_start,
            "on_train_batch_end": self.on_train_batch_end,
            "on_fit_epoch_end": self.on_fit_epoch_end,
            "on_train_end": self.on_train_end,
        }

    def on_pretrain_routine_end(self, trainer: Trainer) -> None:
        """Report the weights that the training starts from, which are known once there is a model."""
        if trainer.starting_weights is not None:
            for line in trainer.starting_weights.lines:
                self.reporter.note(line)

    def on_train_start(self, trainer: Trainer) -> None:
        """Start the clock; from here on a request to stop waits for a checkpoint."""
        self.began = self.clock()
        self.stop.waits = True
        if self.stop.requested:
            self._end(trainer)

    def on_train_epoch_start(self, trainer: Trainer) -> None:
        """Note when the epoch began."""
        self.batch, self.epoch_began, self.in_epoch = 0, self.clock(), True
        self._show(trainer)

    def on_train_batch_end(self, trainer: Trainer) -> None:
        """Report the batch, and end the epoch early on a request to stop."""
        self.batch += 1
        self._show(trainer)
        if self.stop.requested:
            self._end(trainer)

    def on_fit_epoch_end(self, trainer: Trainer) -> None:
        """Report the epoch. The engine fires this once more after the final evaluation, which is not an epoch."""
        if not self.in_epoch or not trainer.tloss:
            return
        self.in_epoch = False
        # The engine keeps the fitness apart from the metrics; it is shown if it selects best.pt.
        metrics = {**(trainer.metrics or {}), FITNESS: getattr(trainer, "fitness", None)}
        names = dict.fromkeys(name for wanted in self.metrics if (name := full_name(wanted, metrics)))
        evaluated = trainer.evaluated_epoch == trainer.epoch + 1
        self.reporter.epoch(
            EpochReport(
                epoch=trainer.epoch + 1,
                epochs=trainer.epochs,
                seconds=self.clock() - self.epoch_began,
                seconds_left=self._left(trainer, trainer.epoch + 1 - trainer.start_epoch) or 0.0,
                losses=self._losses(trainer),
                metrics={k: float(metrics[k]) if evaluated else None for k in names},
                best=evaluated and trainer.best_epoch == trainer.epoch + 1,
            )
        )
        if self.stop.requested:
            self._end(trainer)

    def on_train_end(self, trainer: Trainer) -> None:
        """Stop at once on a request from here on: there is no checkpoint to wait for."""
        self.stop.waits, self.stop.when = False, "after training; the model is saved"

    @staticmethod
    def _end(trainer: Trainer) -> None:
        trainer.stop = trainer.interrupted = True

    def _show(self, trainer: Trainer) -> None:
        batches = len(trainer.train_loader)
        done = trainer.epoch - trainer.start_epoch + self.batch / max(batches, 1)
        self.reporter.progress(
            Progress(
                epoch=trainer.epoch + 1,
                epochs=trainer.epochs,
                batch=self.batch,
                batches=batches,
                losses=self._losses(trainer) if self.batch else {},
                seconds_left=self._left(trainer, done) if done >= 0.2 else None,
            )
        )

    def _left(self, trainer: Trainer, done: float) -> float | None:
        """Return the seconds that the epochs still to come take, at the pace of those that are done."""
        if done <= 0:
            return None
        remaining: float = max(trainer.epochs - trainer.start_epoch - done, 0.0)
        return (self.clock() - self.began) / done * remaining

    @staticmethod
    def _losses(trainer: Trainer) -> dict[str, float]:
        return {k: float(v) for k, v in (trainer.tloss or {}).items()}

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
    """Callbacks of a training that report where it stands, and say from when to when a request to stop waits.

    Args:
        reporter: Shows it.
        stop: The request, which the training itself heeds.
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
        self.first: float | None = None

    def events(self, resumed: bool = False) -> dict[str, Callable[[Any], None]]:
        """Return the functions by event; a resumed training does not report weights, which come from its state."""
        return {
            **({} if resumed else {"on_pretrain_routine_end": self.on_pretrain_routine_end}),
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
        """Start the clock; from here on a request to stop waits for the state to be saved."""
        self.began = self.clock()
        self.first = None
        self.stop.waits = True

    def on_train_epoch_start(self, trainer: Trainer) -> None:
        """Note when the epoch began, or when a resumed training entered it."""
        self.batch, self.epoch_began, self.in_epoch = trainer.loop.batch, self.clock(), True
        if self.first is None:
            self.first = self._done(trainer)
        self._show(trainer)

    def on_train_batch_end(self, trainer: Trainer) -> None:
        """Report the batch."""
        self.batch += 1
        self._show(trainer)

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
                seconds_left=self._left(trainer, trainer.epoch + 1) or 0.0,
                losses=self._losses(trainer),
                metrics={k: float(metrics[k]) if evaluated else None for k in names},
                best=evaluated and trainer.best_epoch == trainer.epoch + 1,
            )
        )

    def on_train_end(self, trainer: Trainer) -> None:
        """Stop at once on a request from here on: there is no checkpoint to wait for."""
        self.stop.waits, self.stop.when = False, "after training; the model is saved"

    def _done(self, trainer: Trainer) -> float:
        """Return the epochs that are done, with the fraction of the one in progress."""
        return float(trainer.epoch + self.batch / max(len(trainer.train_loader), 1))

    def _show(self, trainer: Trainer) -> None:
        batches, done = len(trainer.train_loader), self._done(trainer)
        self.reporter.progress(
            Progress(
                epoch=trainer.epoch + 1,
                epochs=trainer.epochs,
                batch=self.batch,
                batches=batches,
                losses=self._losses(trainer) if self.batch else {},
                seconds_left=self._left(trainer, done) if done - (self.first or 0.0) >= 0.2 else None,
            )
        )

    def _left(self, trainer: Trainer, done: float) -> float | None:
        """Return the seconds that the epochs still to come take, at the pace of those of this process."""
        here = done - (self.first or 0.0)
        if here <= 0:
            return None
        remaining: float = max(trainer.epochs - done, 0.0)
        return (self.clock() - self.began) / here * remaining

    @staticmethod
    def _losses(trainer: Trainer) -> dict[str, float]:
        return {k: float(v) for k, v in (trainer.tloss or {}).items()}

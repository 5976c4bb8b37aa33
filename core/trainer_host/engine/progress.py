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


ENOUGH = 0.2
"""Fraction of an epoch after which the time that is left can be estimated."""


class _Pace:
    """The pace of a training in this process: its batches apart from the ends of epochs, which take as long each.

    A training that was resumed within an epoch has few batches of it left, but its whole validation.
    """

    def __init__(self) -> None:
        self.batches, self.ends = 0, 0
        self.of_batches = self.of_ends = 0.0
        self.mark: float | None = None

    def began_epoch(self, now: float) -> None:
        """Note that an epoch begins, or goes on; what came since the end of the one before belongs to that."""
        if self.mark is not None:
            self.of_ends += now - self.mark
        self.mark = now

    def did_batch(self, now: float) -> None:
        """Note the end of a batch."""
        self.batches, self.of_batches, self.mark = self.batches + 1, self.of_batches + now - (self.mark or now), now

    def ended_epoch(self, now: float) -> None:
        """Note the end of an epoch, validation included."""
        self.ends, self.of_ends, self.mark = self.ends + 1, self.of_ends + now - (self.mark or now), now

    def seconds(self, batches: int, ends: int) -> float | None:
        """Return how long batches and ends of epochs will take; None if there were no batches yet."""
        if batches <= 0 and ends <= 0:
            return 0.0
        if not self.batches:
            return None
        end = self.of_ends / self.ends if self.ends else 0.0
        return self.of_batches / self.batches * batches + end * ends


class ProgressCallbacks:
    """Callbacks of a training that report where it stands, and have a request to stop end it at once after its end.

    Args:
        reporter: Shows it.
        stop: The request, which the training itself heeds while it lasts.
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
        self.epoch_began, self.pace = 0.0, _Pace()

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
        """Forget the pace of an earlier training, which may have run out of memory."""
        self.pace, self.stop.when = _Pace(), "during training"

    def on_train_epoch_start(self, trainer: Trainer) -> None:
        """Note when the epoch began, or when a resumed training entered it."""
        self.batch, self.epoch_began, self.in_epoch = trainer.loop.batch, self.clock(), True
        self.pace.began_epoch(self.epoch_began)
        self._show(trainer)

    def on_train_batch_end(self, trainer: Trainer) -> None:
        """Report the batch."""
        self.batch += 1
        self.pace.did_batch(self.clock())
        self._show(trainer)

    def on_fit_epoch_end(self, trainer: Trainer) -> None:
        """Report the epoch. The engine fires this once more after the final evaluation, which is not an epoch."""
        if not self.in_epoch or not trainer.tloss:
            return
        self.in_epoch, now = False, self.clock()
        self.pace.ended_epoch(now)
        # The engine keeps the fitness apart from the metrics; it is shown if it selects best.pt.
        metrics = {**(trainer.metrics or {}), FITNESS: getattr(trainer, "fitness", None)}
        names = dict.fromkeys(name for wanted in self.metrics if (name := full_name(wanted, metrics)))
        evaluated = trainer.evaluated_epoch == trainer.epoch + 1
        self.reporter.epoch(
            EpochReport(
                epoch=trainer.epoch + 1,
                epochs=trainer.epochs,
                seconds=now - self.epoch_began,
                seconds_left=self._left(trainer, trainer.epoch + 1),
                losses=self._losses(trainer),
                metrics={k: float(metrics[k]) if evaluated else None for k in names},
                best=evaluated and trainer.best_epoch == trainer.epoch + 1,
            )
        )

    def on_train_end(self, trainer: Trainer) -> None:
        """Stop at once on a request from here on: there is no checkpoint to wait for."""
        self.stop.waits, self.stop.when = False, "after training; the model is saved"

    def _show(self, trainer: Trainer) -> None:
        batches = len(trainer.train_loader)
        enough = self.pace.batches >= ENOUGH * batches
        self.reporter.progress(
            Progress(
                epoch=trainer.epoch + 1,
                epochs=trainer.epochs,
                batch=self.batch,
                batches=batches,
                losses=self._losses(trainer) if self.batch else {},
                seconds_left=self._left(trainer, trainer.epoch, self.batch) if enough else None,
            )
        )

    def _left(self, trainer: Trainer, epochs: int, batches: int = 0) -> float | None:
        """Return the seconds that are left after so many epochs and batches."""
        ends = max(trainer.epochs - epochs, 0)
        return self.pace.seconds(max(ends * len(trainer.train_loader) - batches, 0), ends)

    @staticmethod
    def _losses(trainer: Trainer) -> dict[str, float]:
        return {k: float(v) for k, v in (trainer.tloss or {}).items()}

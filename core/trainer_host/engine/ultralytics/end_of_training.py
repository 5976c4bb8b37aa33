"""The way a training ended, inferred from the state that the engine's loop leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.results import Ending
from trainer_host.base.wording import counted

if TYPE_CHECKING:
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


def ending_of(trainer: HostTrainer) -> Ending:
    """Return how a training ended. The engine itself does not record why."""
    limit = trainer.args.time
    done = trainer.loop.epoch if trainer.interrupted else trainer.epoch + 1
    planned = None if limit else trainer.planned_epochs
    trained = counted(done, "epoch") if limit else f"{done} of {counted(trainer.planned_epochs, 'epoch')}"
    if trainer.interrupted:
        return Ending("signal", f"stopped by a signal after {trained}", planned)
    if done >= trainer.planned_epochs and (not limit or done == 1):  # with a limit the engine counts the first only
        return Ending("epochs", None, planned)
    if waited := _waited(trainer):
        best = trainer.best_epoch or trainer.stopper.best_epoch
        since = f"for {counted(waited, 'epoch')}" if best == done - waited else f"since epoch {done - waited}"
        what = f"stopped early after {trained}: no improvement {since} (patience={trainer.args.patience})"
        return Ending("patience", f"{what}, best at epoch {best}", planned)
    if limit and (_seconds(trainer) > limit * 3600 or done >= trainer.epochs):
        return Ending("time", f"time limit of {limit:g} h reached after {trained}", planned)
    return Ending("plugin", f"stopped early after {trained} by a callback of a plugin", planned)


def _waited(trainer: HostTrainer) -> int:
    """Return the epochs without improvement if they are why the training ended, else 0."""
    if trainer.evaluated_epoch != trainer.epoch + 1:
        return 0
    waited: int = trainer.epoch + 1 - trainer.stopper.best_epoch
    return waited if waited >= trainer.stopper.patience else 0


def _seconds(trainer: HostTrainer) -> float:
    """Return how long the epochs took; the engine notes the time at the end of each."""
    return float(trainer.epoch_time_start - trainer.train_time_start)

"""Recovery from values that are not finite: back to the last good state, at most three times in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.utils import LOGGER

from trainer_host.engine.ultralytics.joint_blame import blame
from trainer_host.engine.ultralytics.not_finite import (
    NotFinite,
    NotFiniteError,
    fix_of,
    keep_batch,
    require_finite_weights,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

MOST_ATTEMPTS = 3


class NotFiniteWatch:
    """Watches loss, gradients, fitness and weights of a training. Drop-in trainers recover as the engine does.

    Args:
        trainer: The trainer.

    Attributes:
        batch: The batch that is trained on, as the model gets it.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer, self.active = trainer, not trainer.host_run.drop_in
        self.batch: Batch = {}
        self._files: list[str] = []
        self._place = (0, 0)

    def began(self, batch: Batch) -> None:
        """Note a batch."""
        self.batch = batch
        self._place = (self.trainer.loop.epoch + 1, self.trainer.loop.batch + 1)
        files = batch.get("im_file", ()) if isinstance(batch, Mapping) else ()
        self._files += [str(file) for file in files]

    def require_finite_loss(self, stepped: bool) -> None:
        """Refuse a loss that is not finite. It costs no wait of its own: the engine shows the loss of every batch.

        Raises:
            NotFiniteError: If it is not finite.
        """
        if self.active and not bool(self.trainer.loss.isfinite()):
            raise NotFiniteError("loss")
        if stepped:  # the gradients of earlier batches are used up
            self._files.clear()

    def after_validation(self) -> None:
        """Refuse a fitness or weights that are not finite, before they are logged and saved.

        Raises:
            NotFiniteError: If they are not finite.
        """
        if not self.active:
            return
        if self.trainer.fitness is not None and not bool(np.isfinite(self.trainer.fitness)):
            raise NotFiniteError("fitness")
        require_finite_weights(self.trainer)

    def recover(self, error: NotFiniteError) -> dict[str, Any]:
        """Return the state to go back to.

        Raises:
            LossError: If there is none, or after too many attempts.
        """
        trainer, found = self.trainer, self._describe(error)
        self.batch = {}
        self._files.clear()
        back = trainer.saver.last_good() if trainer.loop.attempt < MOST_ATTEMPTS else None
        if back is None:
            raise found.error(trainer.loop.attempt, fix_of(trainer)) from error
        entry, content = back
        attempt = trainer.loop.attempt + 1
        trainer.saver.recovered({**found.as_data(), "attempt": attempt, "state": entry.file})
        LOGGER.warning(f"{found}: going back to {entry.file} (attempt {attempt} of {MOST_ATTEMPTS}).")
        return content

    def _describe(self, error: NotFiniteError) -> NotFinite:
        trainer, loop = self.trainer, self.trainer.loop
        if loop.phase != "batches" or not self.batch:
            return NotFinite(error.what, trainer.epoch + 1)
        # With a loss that is not finite its gradients are not either, whichever is noticed first.
        what = error.what if bool(trainer.loss.isfinite()) else "loss"
        files = [str(f) for f in self.batch.get("im_file", ())] if what == "loss" else self._files
        epoch, number = self._place

        def keep() -> Path | None:
            return keep_batch(trainer.last.parent.parent, self.batch, epoch, number, what)

        if trainer.ranks is None:
            return NotFinite(what, epoch, number, tuple(files), keep())
        files, kept = blame(trainer.ranks.batch, what, files, keep)
        return NotFinite(what, epoch, number, tuple(files), kept)

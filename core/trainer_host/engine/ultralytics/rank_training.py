"""The part of a training that several processes do together, and the trainings that they cannot do."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from trainer_host.engine.rank_limits import require_possible
from trainer_host.engine.ultralytics.held_generators import preserved_generators
from trainer_host.engine.ultralytics.joint_batch import JointBatch
from trainer_host.engine.ultralytics.joint_epoch import JointEpoch
from trainer_host.engine.ultralytics.joint_setup import JointSetup

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class RankTraining:
    """What a process of several does besides training.

    Args:
        trainer: The trainer of this process.

    Attributes:
        setup: Sets up its model.
        batch: Computes its part of each batch.
        epoch: Keeps its epochs and evaluations in step.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.setup = JointSetup(trainer)
        self.batch = JointBatch(trainer, self.setup)
        self.epoch = JointEpoch(trainer)


def apart(trainer: HostTrainer) -> AbstractContextManager[None]:
    """Return a context for what one of several processes does alone, so that all go on with the same random numbers."""
    return nullcontext() if trainer.ranks is None else preserved_generators()


def rank_training(trainer: HostTrainer) -> RankTraining | None:
    """Return what a process of several does besides training; None for one on its own.

    Raises:
        SettingsError: If the training cannot be carried out by several.
    """
    count = trainer.host_run.group.ranks.world_size
    if count == 1:
        return None
    require_possible(vars(trainer.args), count, trainer.host_run.options.exact, trainer.device.type == "cpu")
    return RankTraining(trainer)

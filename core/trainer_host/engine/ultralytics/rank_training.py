"""The part of a training that several processes do together, and the trainings that they cannot do."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, SettingsError
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
    if trainer.host_run.options.exact:
        why = "the host does not reproduce the arithmetic of the stock engine's several processes"
        if trainer.device.type == "cpu":
            why = "on a CPU the stock engine trains in one, so there is nothing to compare with"
        what = f"--exact with {count} processes: {why}."
        raise SettingsError(Problem(what, "remove --exact, or train in one process: docs/how-to/several-devices.md"))
    if trainer.args.batch < 1:
        what = f"batch={trainer.args.batch} with {count} processes: a batch size is not searched for."
        raise SettingsError(Problem(what, "write the images of all processes together, such as batch=16"))
    for name in ("save_txt", "visualize"):
        if getattr(trainer.args, name, None):
            what = f"{name}=True with {count} processes: each evaluates a part of the images, the first one writes."
            raise SettingsError(Problem(what, f"remove it, and run trainer val with {name}=True afterwards"))
    return RankTraining(trainer)

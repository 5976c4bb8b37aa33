"""What several processes agree on around the batches of an epoch: random numbers, its end, and its evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.engine.ultralytics.distributed_model import equalise
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.rank_batches import RankLoader

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.base.protocols import Loader
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class JointEpoch:
    """Keeps the epochs of this process and their evaluations in step with those of the others.

    Args:
        trainer: The trainer of this process.

    Attributes:
        before_round: Called by all processes before each round of evaluated batches.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer, self.group = trainer, trainer.host_run.group
        self.before_round: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Give all processes the random numbers of the first one, which may have called what the others have not."""
        device = self.trainer.device
        states = self.group.broadcast(generator_states(device) if self.group.ranks.is_first else None)
        if not self.group.ranks.is_first:
            set_generator_states(states, device)

    def agree_to_stop(self) -> None:
        """End the training in all processes if a callback at the end of the batches ended it in one."""
        self.trainer.stop = self.group.any(bool(self.trainer.stop))

    def before_validation(self) -> None:
        """Give all processes the buffers of the first one, whose are saved: statistics of batch norms, above all."""
        models = (unwrap_model(self.trainer.model), self.trainer.ema.ema)
        equalise([buffer for model in models for buffer in model.buffers()], self.group)

    def part(self, loader: Loader) -> RankLoader:
        """Return the part of a loader that this process evaluates."""
        return RankLoader(loader, self.group.ranks, lambda: self.before_round())

    def receive_best(self) -> None:
        """Have all processes read the best checkpoint from a file of theirs: they may not see the run's folder."""
        trainer, first = self.trainer, self.group.ranks.is_first
        kept = torch.frombuffer(bytearray(trainer.best.read_bytes()), dtype=torch.uint8) if first else None
        sent = self.group.broadcast(kept)
        if not first:
            trainer.best = trainer.save_dir / trainer.best.name
            trainer.best.write_bytes(sent.numpy().tobytes())

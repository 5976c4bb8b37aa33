"""One batch that several processes compute together, each its part."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.errors import PluginError, Problem
from trainer_host.engine.ultralytics.distributed_model import anchored, frozen_statistics, noted_outputs
from trainer_host.engine.ultralytics.loss_scaling import BatchTotals, images_in
from trainer_host.engine.ultralytics.rank_batches import PartSize, RankShare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer
    from trainer_host.engine.ultralytics.joint_setup import JointSetup


class JointBatch:
    """Computes the part of this process of each batch, and joins it with those of the others.

    Args:
        trainer: The trainer of this process.
        setup: The set-up of its model.

    Attributes:
        totals: Adds up numbers of a batch.
        own_loss: The loss of its part of the batch.
    """

    def __init__(self, trainer: HostTrainer, setup: JointSetup) -> None:
        self.trainer, self.group, self.setup = trainer, trainer.host_run.group, setup
        self.totals = BatchTotals(self.group, trainer.device)
        self.own_loss: Any = 0.0
        self._size = PartSize(0)
        self._outputs: Sequence[Any] = ()

    @property
    def _share(self) -> RankShare | None:
        return self.trainer.order.share if self.trainer.order is not None else None

    def begin(self, batch: Batch) -> None:
        """Begin a batch that the loader has yielded."""
        self._size = self._share.arrived() if self._share is not None else PartSize(images_in(batch))
        self.totals.begin(self._size.images > 0)
        self.setup.gradients.hold()

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context in which the loss of the batch is computed."""
        if self.setup.synchronised:
            return self._noted()
        return nullcontext() if self.totals.counts else frozen_statistics(self.trainer.model)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        if self.trainer.args.compile:  # whose graphs would be made again for each hook
            self._outputs = ()
            yield
        else:
            with noted_outputs(self.trainer.model) as self._outputs:
                yield

    def backward(self) -> None:
        """Compute the gradients of the batch; of one that only stands in, if others wait for its batch norms."""
        trainer, outputs = self.trainer, self._outputs
        self._outputs = ()
        if self.totals.counts:
            trainer.scaler.scale(anchored(trainer.loss, outputs)).backward()
        elif self.setup.synchronised:
            # Zeros from the batch norms on, whatever the loss is.
            loss = torch.zeros_like(trainer.loss, requires_grad=True) if outputs else trainer.loss * 0
            torch.autograd.backward(anchored(loss, outputs))

    def finish(self, shortage: str | None) -> str | None:
        """Add up gradients and losses; return what the device of any process lacks.

        Args:
            shortage: What that of this process lacks.

        Raises:
            PluginError: If the loader of another process has ended.
        """
        trainer = self.trainer
        if shortage is not None:
            self.totals.fail()
            found = None
        else:
            count, items = self._size.images, trainer.loss_items
            parts = [trainer.loss, *items.values()] if count else [torch.zeros(())] * (1 + len(items))
            self.own_loss = parts[0].detach()
            loss, *means = [part.detach() * (count if place else 1) for place, part in enumerate(parts)]
            found = self.totals.finish([count, loss, *means], self.setup.gradients.used())
        if found is None:
            self.setup.gradients.drop()
            return self._shortage(shortage)
        images, loss, *means = found
        trainer.loss = loss.to(trainer.loss)
        trainer.loss_items = {
            name: (total / images).to(item)
            for (name, item), total in zip(trainer.loss_items.items(), means, strict=True)
        }
        self.setup.gradients.add_up(self.totals.alike)
        return None

    def require_end(self) -> None:
        """Require that a loader that the host does not divide has ended in all processes.

        Raises:
            PluginError: If others have more batches.
        """
        if self._share is None:
            self.totals.begin(True)
            self.totals.fail()  # in the batch of the others, if they have one
            self._shortage(None, ended=True)

    def _shortage(self, shortage: str | None, ended: bool = False) -> str | None:
        """Return what the device of any process lacks.

        Args:
            shortage: What that of this process lacks.
            ended: Whether its loader has ended.

        Raises:
            PluginError: If the loader of some has.
        """
        batches = self.trainer.loop.batch + (not ended)
        found = self.group.gather({"shortage": shortage, "ended": ended, "batches": batches})
        over = [rank for rank, each in enumerate(found) if each["ended"]]
        if 0 < len(over) < len(found):
            more = next(rank for rank, each in enumerate(found) if not each["ended"])
            what = (
                f"the training loader of process {over[0]} ended after {found[over[0]]['batches']} batches, "
                f"that of process {more} has at least {found[more]['batches']}."
            )
            raise PluginError(Problem(what, "have build_dataloader give each of ctx.world_size as many batches"))
        known = ((rank, each["shortage"]) for rank, each in enumerate(found) if each["shortage"] is not None)
        return next((f"process {rank}: {text}" for rank, text in known), None)

"""The part of a training that several processes do together: one batch, what they agree on, and equal weights."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.engine.ultralytics.distributed_model import (
    GradientSum,
    equalise,
    frozen_statistics,
    plain_batch_norms,
    synchronise_batch_norms,
)
from trainer_host.engine.ultralytics.loss_scaling import BatchTotals, images_in
from trainer_host.engine.ultralytics.rank_batches import PartSize, RankLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from trainer_host.base.protocols import Loader
    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class RankTraining:
    """What a process of several does besides training.

    Args:
        trainer: The trainer of this process.

    Attributes:
        totals: Adds up numbers of a batch.
        synchronised: Whether batch norms count the images of all processes.
        before_round: Called by all processes before each round of evaluated batches.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer, self.group = trainer, trainer.host_run.group
        self.totals = BatchTotals(self.group, trainer.device)
        self.synchronised = False
        self.before_round: Callable[[], None] = lambda: None
        self._gradients: GradientSum | None = None
        self._size = PartSize(0, 0)
        self._own_loss: Any = 0.0

    # Set-up

    def before_pipeline(self) -> None:
        """Synchronise batch norms before an optimizer and an EMA hold the model."""
        trainer = self.trainer
        if trainer.optimizer is None:
            wanted = trainer.host_run.options.sync_bn
            self.synchronised = synchronise_batch_norms(trainer.model, trainer.device.type, wanted)

    def after_pipeline(self) -> None:
        """Give all processes the same weights, and see that their loaders have as many batches, and enough images.

        Raises:
            PluginError: If they have not as many batches.
            SettingsError: If a batch norm would see a single value.
        """
        self._require_images()
        model = unwrap_model(self.trainer.model)
        equalise(model.state_dict().values(), self.group)
        self._gradients = GradientSum(model, self.group)
        found = self.group.gather(len(self.trainer.train_loader))
        if len(set(found)) > 1:
            what = f"the training loaders of the processes have {', '.join(map(str, found))} batches."
            raise PluginError(Problem(what, "have build_dataloader give each of ctx.world_size as many batches"))

    def _require_images(self) -> None:
        """Require what the engine does of whole batches: at the smallest size, an image has one value per channel."""
        trainer, loader = self.trainer, self.trainer.train_loader
        least = int(trainer.args.imgsz * (1 - trainer.args.multi_scale)) // trainer.stride
        if self.synchronised or least >= 2 or not loader.batch_size:
            return
        counts = {loader.batch_size, len(loader.sampler) % loader.batch_size}
        if any(size // self.group.ranks.world_size < 2 <= size for size in counts):
            what = "a process has one image of a batch, too few at this imgsz."
            raise SettingsError(Problem(what, "change batch, or train at imgsz=64 or more"))

    def after_setup(self) -> None:
        """Leave the EMA, which is saved, with plain batch norms."""
        if self.synchronised:
            plain_batch_norms(self.trainer.ema.ema)

    def keep_frozen(self, layers: Sequence[str]) -> None:
        """Keep the statistics of frozen layers; the engine knows plain batch norms only."""
        if self.synchronised:
            for name, module in self.trainer.model.named_modules():
                if isinstance(module, torch.nn.SyncBatchNorm) and any(layer in name for layer in layers):
                    module.eval()

    # A batch

    def begin(self, batch: Batch) -> None:
        """Begin a batch that the loader has yielded."""
        share = self.trainer.order.share if self.trainer.order is not None else None
        size = images_in(batch)
        self._size = share.arrived() if share is not None else PartSize(size, size)
        self.totals.begin(self._size.images > 0)
        self._of_batch.hold()

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context in which the loss of the batch is computed."""
        if self.totals.counts or self.synchronised:
            return nullcontext()
        return frozen_statistics(self.trainer.model)

    def backward(self) -> None:
        """Compute the gradients of the batch; of one that only stands in, if others wait for its batch norms."""
        trainer = self.trainer
        if self.totals.counts:
            trainer.scaler.scale(trainer.loss).backward()
        elif self.synchronised:
            (trainer.loss * 0).backward()

    def finish(self, lack: str | None) -> str | None:
        """Add up gradients and losses; return what the device of any process lacks.

        Args:
            lack: What that of this process lacks.
        """
        trainer = self.trainer
        if lack is not None:
            self.totals.fail()
            found = None
        else:
            count, items = self._size.images, trainer.loss_items
            parts = [trainer.loss, *items.values()] if count else [torch.zeros(())] * (1 + len(items))
            self._own_loss = parts[0].detach()
            loss, *means = [part.detach() * (count if place else 1) for place, part in enumerate(parts)]
            found = self.totals.finish([count, loss, *means])
        if found is None:
            self._of_batch.drop()
            lacking = self.group.gather(lack)
            rank, text = next((rank, text) for rank, text in enumerate(lacking) if text is not None)
            return f"process {rank}: {text}"
        images, loss, *means = found
        trainer.loss = loss.to(trainer.loss)
        trainer.loss_items = {
            name: (total / images).to(item)
            for (name, item), total in zip(trainer.loss_items.items(), means, strict=True)
        }
        self._of_batch.add_up()
        return None

    @property
    def _of_batch(self) -> GradientSum:
        if self._gradients is None:
            raise RuntimeError("after_pipeline() comes first")
        return self._gradients

    def blame(self, what: str, files: list[str], keep: Callable[[], Path | None]) -> tuple[list[str], Path | None]:
        """Return the images of the processes that caused a value that is not finite, and the file with a batch.

        Args:
            what: The value; the loss that is shown is the sum of all, and of gradients only that sum is known.
            files: The images of this process.
            keep: Writes its batch.
        """
        # A count that is not finite spoils the losses of all, so that it is looked at first.
        counts = not all(bool(numbers.isfinite().all()) for numbers in self.totals.own)
        own = what == "loss" and not bool(torch.as_tensor(self._own_loss).isfinite())
        found = self.group.gather({"counts": counts, "loss": own, "files": files})
        known = next((name for name in ("counts", "loss") if any(each[name] for each in found)), None)
        to_blame = [known is None or each[known] for each in found]
        first = to_blame.index(True)
        kept = keep() if first == self.group.ranks.rank else None
        path = self.group.gather(str(kept) if kept is not None else None)[first]
        images = [file for each, cause in zip(found, to_blame, strict=True) if cause for file in each["files"]]
        return images, Path(path) if path is not None else None

    # The end of an epoch

    def part(self, loader: Loader) -> RankLoader:
        """Return the part of a loader that this process evaluates."""
        return RankLoader(loader, self.group.ranks, lambda: self.before_round())

    def before_validation(self) -> None:
        """Give all processes the buffers of the first one, whose are saved: statistics of batch norms, above all."""
        models = (unwrap_model(self.trainer.model), self.trainer.ema.ema)
        equalise([buffer for model in models for buffer in model.buffers()], self.group)


def rank_training(trainer: HostTrainer) -> RankTraining | None:
    """Return what a process of several does besides training; None for one on its own.

    Raises:
        SettingsError: If the training cannot be carried out by several.
    """
    count = trainer.host_run.group.ranks.world_size
    if count == 1:
        return None
    if trainer.host_run.options.exact:
        what = f"--exact with {count} processes: the stock engine's arithmetic of several processes is not offered."
        raise SettingsError(Problem(what, "remove --exact, or train in one process"))
    if trainer.args.batch < 1:
        what = f"batch={trainer.args.batch} with {count} processes: a batch size is not searched for."
        raise SettingsError(Problem(what, "write the images of all processes together, such as batch=16"))
    return RankTraining(trainer)

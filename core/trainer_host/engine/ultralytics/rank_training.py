"""The part of a training that several processes do together: one batch, what they agree on, and equal weights."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.engine.rank_limits import require_possible
from trainer_host.engine.ultralytics.distributed_model import (
    GradientSum,
    anchored,
    equalise,
    frozen_statistics,
    noted_outputs,
    plain_batch_norms,
    synchronise_batch_norms,
)
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.held_generators import preserved_generators
from trainer_host.engine.ultralytics.loss_scaling import BatchTotals, images_in
from trainer_host.engine.ultralytics.rank_batches import PartSize, RankLoader, RankShare
from trainer_host.engine.ultralytics.reimplemented.mixed_precision import grad_scaler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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
        before_round: Called by all processes before each round of evaluated batches.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer, self.group = trainer, trainer.host_run.group
        self.totals = BatchTotals(self.group, trainer.device)
        self.before_round: Callable[[], None] = lambda: None
        self._gradients: GradientSum | None = None
        self._size = PartSize(0)
        self._own_loss: Any = 0.0
        self._batch_norms: dict[str, type[Any]] = {}
        self._outputs: Sequence[Any] = ()

    @property
    def synchronised(self) -> bool:
        """Whether batch norms count the images of all processes."""
        return bool(self._batch_norms)

    # Set-up

    def before_pipeline(self) -> None:
        """Agree on the precision, and synchronise batch norms before an optimizer and an EMA hold the model."""
        trainer = self.trainer
        if trainer.optimizer is not None:
            return
        if self.group.any(not trainer.amp) and trainer.amp:  # the GPUs may be of different kinds
            trainer.amp, trainer.scaler = False, grad_scaler(trainer.device, enabled=False)
        model, wanted = unwrap_model(trainer.model), trainer.host_run.options.sync_bn
        self._batch_norms = synchronise_batch_norms(model, trainer.device.type, wanted)
        if trainer.device.type == "cpu" and wanted is None and self.group.ranks.is_first:
            self._warn_of_batch_norms(model)

    def _warn_of_batch_norms(self, model: Any) -> None:
        trainer, count = self.trainer, self.group.ranks.world_size
        norms = [n for n, m in model.named_modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        if all(any(layer in name for layer in trainer.freeze_layer_names) for name in norms):
            return
        LOGGER.warning(
            f"Batch norms are not synchronised on a CPU: each of {count} processes normalizes with the statistics of "
            f"its part of a batch ({trainer.batch_size // count} of {trainer.batch_size} images)."
        )

    def after_pipeline(self) -> None:
        """Give all processes the same weights, and see that their loaders have as many batches, and enough images.

        Raises:
            PluginError: If they have not as many batches.
            SettingsError: If a batch norm would see a single value.
        """
        self._require_images()
        model = unwrap_model(self.trainer.model)
        equalise(model.state_dict().values(), self.group)
        self._gradients = None  # the room that it holds may be needed
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
            plain_batch_norms(self.trainer.ema.ema, self._batch_norms)

    def keep_frozen(self, layers: Sequence[str]) -> None:
        """Keep the statistics of frozen layers; the engine knows plain batch norms only."""
        if self.synchronised:
            for name, module in self.trainer.model.named_modules():
                if isinstance(module, torch.nn.SyncBatchNorm) and any(layer in name for layer in layers):
                    module.eval()

    # An epoch

    def begin_epoch(self) -> None:
        """Give all processes the random numbers of the first one, which may have called what the others have not."""
        device = self.trainer.device
        states = self.group.broadcast(generator_states(device) if self.group.ranks.is_first else None)
        if not self.group.ranks.is_first:
            set_generator_states(states, device)

    def end_batches(self) -> None:
        """See that a loader that the host does not divide has ended in all processes.

        Raises:
            PluginError: If others have more batches.
        """
        if self._share is None:
            self.totals.begin(True)
            self.totals.fail()  # in the batch of the others, if they have one
            self._shortage(None, ended=True)

    def agree_to_stop(self) -> None:
        """End the training in all processes if a callback at the end of the batches ended it in one."""
        self.trainer.stop = self.group.any(bool(self.trainer.stop))

    @property
    def _share(self) -> RankShare | None:
        return self.trainer.order.share if self.trainer.order is not None else None

    # A batch

    def begin(self, batch: Batch) -> None:
        """Begin a batch that the loader has yielded."""
        self._size = self._share.arrived() if self._share is not None else PartSize(images_in(batch))
        self.totals.begin(self._size.images > 0)
        self.gradients.hold()

    def forward(self) -> AbstractContextManager[Any]:
        """Return the context in which the loss of the batch is computed."""
        if self.synchronised:
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
        elif self.synchronised:
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
            self._own_loss = parts[0].detach()
            loss, *means = [part.detach() * (count if place else 1) for place, part in enumerate(parts)]
            found = self.totals.finish([count, loss, *means], self.gradients.used())
        if found is None:
            self.gradients.drop()
            return self._shortage(shortage)
        images, loss, *means = found
        trainer.loss = loss.to(trainer.loss)
        trainer.loss_items = {
            name: (total / images).to(item)
            for (name, item), total in zip(trainer.loss_items.items(), means, strict=True)
        }
        self.gradients.add_up(self.totals.alike)
        return None

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

    @property
    def gradients(self) -> GradientSum:
        """Adds up gradients."""
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

    def receive_best(self) -> None:
        """Have all processes read the best checkpoint from a file of theirs: they may not see the run's folder."""
        trainer, first = self.trainer, self.group.ranks.is_first
        kept = torch.frombuffer(bytearray(trainer.best.read_bytes()), dtype=torch.uint8) if first else None
        sent = self.group.broadcast(kept)
        if not first:
            trainer.best = trainer.save_dir / trainer.best.name
            trainer.best.write_bytes(sent.numpy().tobytes())

    def before_validation(self) -> None:
        """Give all processes the buffers of the first one, whose are saved: statistics of batch norms, above all."""
        models = (unwrap_model(self.trainer.model), self.trainer.ema.ema)
        equalise([buffer for model in models for buffer in model.buffers()], self.group)


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

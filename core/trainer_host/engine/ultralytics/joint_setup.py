"""The model of one of several processes before the first batch: precision, batch norms, weights, and room for sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.errors import PluginError, Problem, SettingsError
from trainer_host.engine.ultralytics.distributed_model import (
    GradientSum,
    equalise,
    plain_batch_norms,
    synchronise_batch_norms,
)
from trainer_host.engine.ultralytics.reimplemented.mixed_precision import grad_scaler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class JointSetup:
    """Sets up the model of a process, alike in all.

    Args:
        trainer: The trainer of this process.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer, self.group = trainer, trainer.host_run.group
        self._gradients: GradientSum | None = None
        self._batch_norms: dict[str, type[Any]] = {}

    @property
    def synchronised(self) -> bool:
        """Whether batch norms count the images of all processes."""
        return bool(self._batch_norms)

    @property
    def gradients(self) -> GradientSum:
        """Adds up gradients."""
        if self._gradients is None:
            raise RuntimeError("after_pipeline() comes first")
        return self._gradients

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

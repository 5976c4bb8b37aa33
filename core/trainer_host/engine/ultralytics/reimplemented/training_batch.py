"""One batch of the training loop: warm-up, loss and gradients, progress, and what to do if memory runs out.

Parts of `BaseTrainer._do_train` of ultralytics 8.4.190; `training_loop` calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.base.errors import MemoryExhaustedError, Problem
from trainer_host.engine.ultralytics.loss_scaling import images_in
from trainer_host.engine.ultralytics.reimplemented.mixed_precision import (
    in_bfloat16_on_cpu,
    loss_in_single,
    precision,
)

if TYPE_CHECKING:
    from ultralytics.utils import TQDM

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer
    from trainer_host.engine.ultralytics.rank_training import RankTraining

SHORT_RAMP = "acc0" not in BaseTrainer._do_train.__code__.co_varnames
"""Whether the engine's warm-up ends a batch earlier, and ramps to a number of batches between two steps of the
optimizer that no limit applies to: so in 8.4.180, which has no variable for that limit."""
MOST_RETRIES = 3
MEMORY_ERRORS = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_INTERNAL_ERROR", "unable to find an engine")
"""Texts of a device that lacks memory, besides ``out of memory``."""


def warm_up(trainer: HostTrainer, step: int, length: int) -> None:
    """Ramp the accumulation, the learning rates and the momentum up to their nominal values, which takes a length."""
    args, loop = trainer.args, trainer.loop
    if not length or step > length - SHORT_RAMP:
        return
    xi = [0, length]
    nominal = args.nbs / trainer.batch_size if SHORT_RAMP else loop.nominal_accumulate
    trainer.accumulate = max(1, int(np.interp(step, xi, [1, nominal]).round()))
    for group in trainer.optimizer.param_groups:
        first = args.warmup_bias_lr if group.get("param_group") == "bias" else 0.0
        group["lr"] = float(np.interp(step, xi, [first, group["initial_lr"] * trainer.lf(loop.epoch)]))
        if "momentum" in group:
            group["momentum"] = float(np.interp(step, xi, [args.warmup_momentum, args.momentum]))


def compute(trainer: HostTrainer, i: int, batch: Batch) -> Batch | str:
    """Compute loss and gradients.

    Returns:
        The batch as the model gets it; or what the device lacks, if the epoch is to be tried in smaller batches.
    """
    if trainer.ranks is not None:
        shortage, batch = _compute_together(trainer, trainer.ranks, batch)
        if shortage is not None and not _may_retry(trainer):
            raise _exhausted(trainer, shortage)
        if shortage is not None:
            return shortage
    else:
        try:
            with precision(trainer):
                batch = trainer.preprocess_batch(batch)
                _compute_loss(trainer, batch)
            trainer.scaler.scale(trainer.loss).backward()
        except RuntimeError as error:
            return _lack_of_memory(trainer, error)
    mean, items = trainer.tloss, trainer.loss_items
    trainer.tloss = items if mean is None else {k: (mean[k] * i + v) / (i + 1) for k, v in items.items()}
    return batch


def _compute_together(trainer: HostTrainer, ranks: RankTraining, batch: Batch) -> tuple[str | None, Batch]:
    """Compute loss and gradients of a batch in several processes; return what the device of any of them lacks.

    Raises:
        MemoryExhaustedError: If batch norms are synchronised: the others wait in one of them, where nothing tells them.
    """
    shortage = None
    ranks.batch.begin(batch)
    try:
        with precision(trainer), ranks.batch.forward():
            batch = trainer.preprocess_batch(batch)
            _compute_loss(trainer, batch)
        ranks.batch.backward()
    except RuntimeError as error:
        shortage = _shortage(trainer, error)
        if ranks.setup.synchronised:
            raise _exhausted(trainer, shortage) from error
    return ranks.batch.finish(shortage), batch


def _compute_loss(trainer: HostTrainer, batch: Batch) -> None:
    if in_bfloat16_on_cpu(trainer):
        loss, trainer.loss_items = loss_in_single(trainer, batch)
    elif trainer.args.compile:  # apart from the model, which compiles better so
        predictions = trainer.model(batch["img"])
        loss, trainer.loss_items = unwrap_model(trainer.model).loss(batch, predictions)
    else:
        loss, trainer.loss_items = trainer.model(batch)
    trainer.loss = loss.sum()
    if trainer.host_run.chain.loss_reduction == "mean":  # a step is made of sums, however many images a batch has
        trainer.loss = trainer.loss * images_in(batch)
    if not trainer.loss_names:
        trainer.loss_names = tuple(trainer.loss_items)
        LOGGER.info(trainer.progress_string())
        trainer.metrics.update(dict.fromkeys(trainer.label_loss_items(prefix="val"), 0.0))


def show(trainer: HostTrainer, bar: TQDM, batch: Batch, step: int) -> None:
    """Show the batch in the progress bar, and draw it if it is among the first."""
    epoch, memory = f"{trainer.loop.epoch + 1}/{trainer.epochs}", f"{trainer._get_memory():.3g}G"
    instances = batch["cls"] if "cls" in batch else batch["img"]
    values = (*trainer.tloss.values(), instances.shape[0], batch["img"].shape[-1])
    bar.set_description(("%11s" * 2 + "%11.4g" * len(values)) % (epoch, memory, *values))
    if trainer.args.plots and step in trainer.plot_idx:
        trainer.plot_training_samples(batch, step)


def _lack_of_memory(trainer: HostTrainer, error: RuntimeError) -> str:
    """Return what the device lacks.

    Raises:
        RuntimeError: If it is something else, or if the engine would not try again.
        MemoryExhaustedError: The latter in a run, with a batch size that may fit.
    """
    shortage = _shortage(trainer, error)
    if _may_retry(trainer):
        return shortage
    if trainer.host_run.drop_in:
        raise error
    raise _exhausted(trainer, shortage) from error


def _shortage(trainer: HostTrainer, error: RuntimeError) -> str:
    """Return what the device lacks.

    Raises:
        RuntimeError: If it is something else.
    """
    out = "out of memory" in str(error).lower()
    if not out and not any(text in str(error) for text in MEMORY_ERRORS):
        raise error
    return f"{trainer.device.type.upper()} out of memory" if out else "CUDA backend memory error"


def _may_retry(trainer: HostTrainer) -> bool:
    return bool(trainer.loop.epoch == trainer.start_epoch) and trainer.loop.oom_retries < MOST_RETRIES


def _exhausted(trainer: HostTrainer, shortage: str) -> MemoryExhaustedError:
    """Return the error that ends a run, with a batch size that may fit."""
    loop, size = trainer.loop, trainer.batch_size
    what = f"{shortage} with batch={size} in epoch {loop.epoch + 1}, batch {loop.batch + 1}."
    fix = f"train with batch={size // 2}, or lower imgsz" if size > 1 else "lower imgsz"
    return MemoryExhaustedError(Problem(what, fix))


def shrink_batches(trainer: HostTrainer, shortage: str) -> None:
    """Halve the batches, with new loaders; the optimizer keeps its state."""
    loop, before = trainer.loop, trainer.batch_size
    loop.oom_retries += 1
    trainer.args.batch = trainer.batch_size = trainer.reduced_batch = max(before // 2, 1)
    LOGGER.warning(
        f"{shortage} with batch={before}. "
        f"Reducing to batch={trainer.batch_size} and retrying ({loop.oom_retries}/{MOST_RETRIES})."
    )
    trainer.loss = trainer.loss_items = trainer.tloss = None
    if hasattr(trainer.train_loader, "close"):
        trainer.train_loader.close()
    trainer._clear_memory()
    trainer._build_train_pipeline()
    trainer.loader_changed()
    trainer.scheduler.last_epoch = trainer.start_epoch - 1
    loop.mosaic_closed = not trainer.args.close_mosaic  # the new loader has it open
    loop.batch, loop.last_opt_step, loop.nominal_accumulate = 0, -1, trainer.accumulate
    trainer.optimizer.zero_grad()

"""The training loop: `BaseTrainer._do_train`, lines 468 to 709 of ultralytics 8.4.190, as steps.

Re-implemented because the engine keeps its position in local variables: here it is `LoopState`, so that a training can
be entered wherever one was saved. Equal to the engine's to the bit, also in the order of events and random numbers. The
branches for several processes are missing, since the host refuses several devices.
"""

from __future__ import annotations

import math
import time
import warnings
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER, TQDM, colorstr
from ultralytics.utils.torch_utils import autocast, unwrap_model

from trainer_host.engine.ultralytics.end_of_training import ending_of
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.loss_recovery import NotFiniteWatch
from trainer_host.engine.ultralytics.not_finite import NotFiniteError
from trainer_host.engine.ultralytics.reimplemented import reimplements
from trainer_host.engine.ultralytics.state_saving import TrainingInterrupted
from trainer_host.engine.ultralytics.training_state import restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

SHORT_RAMP = "acc0" not in BaseTrainer._do_train.__code__.co_varnames
"""Whether the engine's warm-up ends a batch earlier, and ramps to a number of batches between two steps of the
optimizer that no limit applies to: so in 8.4.180, which has no variable for that limit."""
MOST_RETRIES = 3
MEMORY_ERRORS = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_INTERNAL_ERROR", "unable to find an engine")
"""Texts of a device that lacks memory, besides ``out of memory``."""
SHARED_WITH_EMA = ["yaml", "nc", "args", "names", "stride", "class_weights"]


@reimplements("engine/trainer.py", "BaseTrainer._do_train", "39b356cbf385", "c69863f24b73")
class TrainingLoop:
    """The training loop of one trainer, whose state is ``trainer.loop``.

    Args:
        trainer: The trainer.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer = trainer
        self.watch = NotFiniteWatch(trainer)
        self.batches = self.warmup = 0
        self.closed_before = False

    def run(self) -> None:
        """Train to the end, or until a request ends it."""
        trainer = self.trainer
        try:
            self._begin()
            while trainer.loop.phase != "finished":
                try:
                    self._train_epoch()
                except NotFiniteError as error:
                    self._recover(error)
            self._finish()
        except TrainingInterrupted:
            trainer.interrupted = True
            trainer.ending = ending_of(trainer)
            self._close_loaders()

    def _train_epoch(self) -> None:
        if self.trainer.loop.phase == "batches":
            self._start_epoch()
            if not self._train_batches():
                return  # again, in smaller batches
            self._end_batches()
        last = self._validate()
        if not self._recovered_as_the_engine():
            self._end_epoch(last)

    # The beginning

    def _begin(self) -> None:
        trainer, args = self.trainer, self.trainer.args
        trainer._setup_train()
        self._size_up()
        trainer.loop = LoopState(trainer.start_epoch, nominal_accumulate=trainer.accumulate)
        trainer.loop.mosaic_closed = not args.close_mosaic
        trainer.epoch_time = None
        trainer.epoch_time_start = trainer.train_time_start = time.time()
        trainer.run_callbacks("on_train_start")
        trainer.saver.begin(trainer)
        length = f"{args.time} hours..." if args.time else f"{trainer.epochs} epochs..."
        LOGGER.info(
            f"Using {len(trainer.train_loader.dataset)} train, {len(trainer.test_loader.dataset)} val images for "
            f"fraction={args.fraction} at imgsz={args.imgsz}\n"
            f"Using {trainer.train_loader.num_workers * (trainer.world_size or 1)} dataloader workers\n"
            f"Logging results to {colorstr('bold', trainer.save_dir)}\nStarting training for {length}"
        )
        if args.close_mosaic:
            first = (trainer.epochs - args.close_mosaic) * self.batches
            trainer.plot_idx.extend([first, first + 1, first + 2])
        trainer.optimizer.zero_grad()
        if trainer.saver.content is not None:
            content, trainer.saver.content = trainer.saver.content, None  # not held in memory for the whole training
            self._enter(content)

    def _size_up(self) -> None:
        self.batches = len(self.trainer.train_loader)
        self.warmup = self.trainer._get_warmup_iterations(self.batches)

    def _enter(self, content: Mapping[str, Any]) -> None:
        """Go to where a state was saved."""
        trainer = self.trainer
        trainer.train_loader.reset()  # it may be in the middle of an epoch
        restore(trainer, content)
        loop = trainer.loop
        trainer.train_time_start = time.time() - loop.elapsed
        trainer.stop = loop.stop
        self._size_up()
        self.closed_before = loop.mosaic_closed and bool(trainer.args.time)  # an estimate never opens it again
        loop.mosaic_closed = not trainer.args.close_mosaic  # the loader of this process may have it open
        trainer.epoch = loop.epoch - (loop.phase == "finished")
        if loop.phase == "validation" or loop.batch:
            # Its functions may set up what no state holds; what the state holds is restored again after them.
            trainer.run_callbacks("on_train_epoch_start")
        restore(trainer, content)
        trainer.loop = loop
        trainer.lr = self._rates()

    def _recover(self, error: NotFiniteError) -> None:
        """Go back to the last good state, but not to its random numbers: they would lead here again."""
        trainer, attempt = self.trainer, self.trainer.loop.attempt + 1
        now = generator_states(trainer.device)
        self._enter(self.watch.recover(error))
        trainer.loop.attempt = attempt
        set_generator_states(now, trainer.device)

    # An epoch

    def _start_epoch(self) -> None:
        trainer, loop = self.trainer, self.trainer.loop
        if not loop.batch:
            trainer.epoch = loop.epoch
            trainer.run_callbacks("on_train_epoch_start")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a scheduler that steps before the optimizer
                trainer.scheduler.step()
            trainer.tloss = None
        trainer._model_train()
        if trainer.host_run.options.exact:
            iter(trainer.train_loader)  # the engine makes an iterator too many, and that of a plain loader draws a seed
        if not loop.mosaic_closed and (self.closed_before or loop.epoch >= trainer.epochs - trainer.args.close_mosaic):
            loop.mosaic_closed = True
            trainer._close_dataloader_mosaic()
            trainer.train_loader.reset()
        if trainer.loss_names:
            LOGGER.info(trainer.progress_string())

    def _train_batches(self) -> bool:
        """Train the batches that are left of the epoch; return False to start it again in smaller ones."""
        trainer, loop = self.trainer, self.trainer.loop
        numbered = enumerate(self._batches_left(), loop.batch)
        bar = TQDM(numbered, total=self.batches, initial=loop.batch)
        for i, batch in bar:
            trainer.run_callbacks("on_train_batch_start")
            step = i + self.batches * loop.epoch
            self._warm_up(step)
            if (lack := self._compute(i, batch)) is not None:
                batch = None  # free it before a smaller one is tried
                self._shrink_batches(lack)
                return bool(trainer.stop)
            due = step - loop.last_opt_step >= trainer.accumulate
            if due:
                trainer.optimizer_step()
            self.watch.require_finite_loss(due)
            if due:
                loop.last_opt_step = step
                if trainer.args.time:
                    trainer.stop = self._time_is_up()
                    if trainer.stop:
                        break
            self._show(bar, step)
            trainer.run_callbacks("on_train_batch_end")
            loop.batch = i + 1
            if trainer.stop:
                break
            if loop.batch < self.batches:  # after the last one it is saved once the epoch's last steps are done
                trainer.saver.after_batch(trainer)
        else:
            loop.oom_retries = 0
        return True

    def _batches_left(self) -> Iterable[Batch]:
        trainer, loop = self.trainer, self.trainer.loop
        if trainer.order is not None:
            trainer.order.begin(loop.epoch, loop.batch, loop.attempt)
            return trainer.order.batches()  # type: ignore[no-any-return]
        if loop.batch and isinstance(trainer.train_loader, InfiniteDataLoader):
            return islice(trainer.train_loader, self.batches - loop.batch)  # it would go on with the next epoch
        return trainer.train_loader  # type: ignore[no-any-return]

    def _warm_up(self, step: int) -> None:
        """Ramp the accumulation, the learning rates and the momentum up to their nominal values."""
        trainer, args, loop = self.trainer, self.trainer.args, self.trainer.loop
        if not self.warmup or step > self.warmup - SHORT_RAMP:
            return
        xi = [0, self.warmup]
        nominal = args.nbs / trainer.batch_size if SHORT_RAMP else loop.nominal_accumulate
        trainer.accumulate = max(1, int(np.interp(step, xi, [1, nominal]).round()))
        for group in trainer.optimizer.param_groups:
            first = args.warmup_bias_lr if group.get("param_group") == "bias" else 0.0
            group["lr"] = float(np.interp(step, xi, [first, group["initial_lr"] * trainer.lf(loop.epoch)]))
            if "momentum" in group:
                group["momentum"] = float(np.interp(step, xi, [args.warmup_momentum, args.momentum]))

    def _compute(self, i: int, batch: Batch) -> str | None:
        """Compute loss and gradients; return what the device lacks, if the epoch is to be tried in smaller batches."""
        trainer = self.trainer
        try:
            with autocast(torch.bfloat16 if trainer.args.amp == "bf16" else trainer.amp, device=trainer.device.type):
                self._compute_loss(i, batch)
            trainer.scaler.scale(trainer.loss).backward()
        except RuntimeError as error:
            return self._lack_of_memory(error)
        return None

    def _compute_loss(self, i: int, batch: Batch) -> None:
        trainer = self.trainer
        batch = trainer.preprocess_batch(batch)
        self.watch.began(batch)
        if trainer.args.compile:  # apart from the model, which compiles better so
            predictions = trainer.model(batch["img"])
            loss, trainer.loss_items = unwrap_model(trainer.model).loss(batch, predictions)
        else:
            loss, trainer.loss_items = trainer.model(batch)
        trainer.loss = loss.sum()
        if not trainer.loss_names:
            trainer.loss_names = tuple(trainer.loss_items)
            LOGGER.info(trainer.progress_string())
            trainer.metrics.update(dict.fromkeys(trainer.label_loss_items(prefix="val"), 0.0))
        mean, items = trainer.tloss, trainer.loss_items
        trainer.tloss = items if mean is None else {k: (mean[k] * i + v) / (i + 1) for k, v in items.items()}

    def _show(self, bar: TQDM, step: int) -> None:
        trainer, batch = self.trainer, self.watch.batch
        epoch, memory = f"{trainer.loop.epoch + 1}/{trainer.epochs}", f"{trainer._get_memory():.3g}G"
        values = (*trainer.tloss.values(), batch.get("cls", batch["img"]).shape[0], batch["img"].shape[-1])
        bar.set_description(("%11s" * 2 + "%11.4g" * len(values)) % (epoch, memory, *values))
        if trainer.args.plots and step in trainer.plot_idx:
            trainer.plot_training_samples(batch, step)

    # Lack of memory

    def _lack_of_memory(self, error: RuntimeError) -> str | None:
        """Return what to report, or raise an error that smaller batches do not help against."""
        trainer, loop = self.trainer, self.trainer.loop
        out = "out of memory" in str(error).lower()
        if not out and not any(text in str(error) for text in MEMORY_ERRORS):
            raise error
        if loop.epoch > trainer.start_epoch or loop.oom_retries >= MOST_RETRIES:
            raise error
        return f"{trainer.device.type.upper()} out of memory" if out else "CUDA backend memory error"

    def _shrink_batches(self, lack: str) -> None:
        """Halve the batches, and prepare to start the epoch again."""
        trainer, loop = self.trainer, self.trainer.loop
        loop.oom_retries += 1
        before = trainer.batch_size
        trainer.args.batch = trainer.batch_size = trainer.reduced_batch = max(before // 2, 1)
        LOGGER.warning(
            f"{lack} with batch={before}. "
            f"Reducing to batch={trainer.batch_size} and retrying ({loop.oom_retries}/{MOST_RETRIES})."
        )
        self.watch.batch = {}
        trainer.loss = trainer.loss_items = trainer.tloss = None
        if hasattr(trainer.train_loader, "close"):
            trainer.train_loader.close()
        trainer._clear_memory()
        trainer._build_train_pipeline()  # the optimizer keeps its state
        loop.mosaic_closed = not trainer.args.close_mosaic  # the new loader has it open
        trainer.validator.dataloader = trainer.test_loader
        trainer.scheduler.last_epoch = trainer.start_epoch - 1
        self._size_up()
        loop.batch, loop.last_opt_step, loop.nominal_accumulate = 0, -1, trainer.accumulate
        trainer.optimizer.zero_grad()

    # The end of an epoch

    def _end_batches(self) -> None:
        trainer = self.trainer
        if hasattr(criterion := unwrap_model(trainer.model).criterion, "update"):
            criterion.update()
        trainer.lr = self._rates()
        trainer.run_callbacks("on_train_epoch_end")
        trainer.ema.update_attr(trainer.model, include=SHARED_WITH_EMA)
        trainer.loop.phase = "validation"
        trainer.saver.before_validation(trainer)

    def _validate(self) -> bool:
        """Evaluate if it is due; return whether this is the last epoch."""
        trainer = self.trainer
        last: bool = trainer.loop.epoch + 1 >= trainer.epochs
        if trainer.args.val or last or trainer.stopper.possible_stop or trainer.stop:
            self._clear_memory()
            try:
                trainer.metrics, trainer.fitness = trainer.validate()
            except TrainingInterrupted:
                trainer.saver.interrupted_validation(trainer)
                raise
        self.watch.after_validation()
        return last

    def _recovered_as_the_engine(self) -> bool:
        trainer, loop = self.trainer, self.trainer.loop
        if not trainer._handle_nan_recovery(loop.epoch):
            trainer.nan_recovery_attempts = 0
            return False
        loop.phase, loop.batch, loop.last_opt_step = "batches", 0, -1
        trainer.optimizer.zero_grad()  # some of the gradients may not be finite
        return True

    def _end_epoch(self, last: bool) -> None:
        trainer, loop = self.trainer, self.trainer.loop
        trainer.save_metrics(metrics={**trainer.label_loss_items(trainer.tloss), **trainer.metrics, **trainer.lr})
        trainer.stop |= trainer.stopper(loop.epoch + 1, trainer.fitness) or last
        if trainer.args.time:
            trainer.stop |= self._time_is_up()
        if (trainer.args.save or last) and trainer.save_model():
            trainer.run_callbacks("on_model_save")
        now = time.time()
        trainer.epoch_time = now - trainer.epoch_time_start
        trainer.epoch_time_start = now
        if trainer.args.time:
            mean = (now - trainer.train_time_start) / (loop.epoch - trainer.start_epoch + 1)
            trainer.epochs = trainer.args.epochs = math.ceil(trainer.args.time * 3600 / mean)
            trainer._setup_scheduler()
            self.warmup = trainer._get_warmup_iterations(self.batches)
            trainer.scheduler.last_epoch = trainer.epoch
            trainer.stop |= loop.epoch >= trainer.epochs
        trainer.run_callbacks("on_fit_epoch_end")
        self._clear_memory()
        loop.epoch, loop.batch, loop.phase = loop.epoch + 1, 0, "finished" if trainer.stop else "batches"
        trainer.saver.after_epoch(trainer)

    def _rates(self) -> dict[str, float]:
        return {f"lr/pg{i}": group["lr"] for i, group in enumerate(self.trainer.optimizer.param_groups)}

    def _time_is_up(self) -> bool:
        return (time.time() - self.trainer.train_time_start) > self.trainer.args.time * 3600

    def _clear_memory(self) -> None:
        self.trainer._clear_memory(None if self.trainer.device.type == "mps" else 0.5)

    # The end

    def _finish(self) -> None:
        trainer = self.trainer
        seconds = time.time() - trainer.train_time_start
        LOGGER.info(f"\n{trainer.epoch - trainer.start_epoch + 1} epochs completed in {seconds / 3600:.3f} hours.")
        trainer.final_eval()
        if trainer.args.plots:
            trainer.plot_metrics()
        trainer.run_callbacks("on_train_end")
        trainer._clear_memory()
        self._close_loaders()
        trainer.saver.finished(trainer)

    def _close_loaders(self) -> None:
        for loader in (self.trainer.train_loader, self.trainer.test_loader):
            if hasattr(loader, "close"):
                loader.close()  # no worker survives until the interpreter ends

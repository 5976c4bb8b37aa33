"""The training loop: `BaseTrainer._do_train`, lines 468 to 709 of ultralytics 8.4.190, as steps.

Re-implemented because the engine keeps its position in local variables: here it is `LoopState`, so that a training can
be entered wherever one was saved. Equal to the engine's to the bit, also in the order of events and random numbers. The
branches for several processes are the host's own: docs/explanation/several-processes.md.
"""

from __future__ import annotations

import math
import time
import warnings
from itertools import islice
from typing import TYPE_CHECKING, Any

from ultralytics.data.build import InfiniteDataLoader
from ultralytics.utils import LOGGER, TQDM, colorstr
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host.engine.ultralytics.end_of_training import ending_of
from trainer_host.engine.ultralytics.generators import generator_states, set_generator_states
from trainer_host.engine.ultralytics.loop_state import LoopState
from trainer_host.engine.ultralytics.loss_recovery import NotFiniteWatch
from trainer_host.engine.ultralytics.not_finite import NotFiniteError
from trainer_host.engine.ultralytics.reimplemented import reimplements
from trainer_host.engine.ultralytics.reimplemented.training_batch import compute, show, shrink_batches, warm_up
from trainer_host.engine.ultralytics.state_saving import TrainingInterrupted
from trainer_host.engine.ultralytics.training_state import restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

SHARED_WITH_EMA = ["yaml", "nc", "args", "names", "stride", "class_weights"]


@reimplements("engine/trainer.py", "BaseTrainer._do_train", "39b356cbf385", "c69863f24b73")
class TrainingLoop:
    """The training loop of one trainer, whose state is ``trainer.loop``.

    Args:
        trainer: The trainer.
    """

    def __init__(self, trainer: HostTrainer) -> None:
        self.trainer = trainer
        self.watch, self.group = NotFiniteWatch(trainer), trainer.host_run.group
        self.batches = self.warmup = 0

    def run(self) -> None:
        """Train to the end, or until a request ends it."""
        trainer = self.trainer
        try:
            with trainer.saver.written():
                self._begin()
                self._train_epochs()
                self._finish()
        except TrainingInterrupted:
            trainer.interrupted = True
            trainer.ending = ending_of(trainer)
            self._close_loaders()

    def _train_epochs(self) -> None:
        while self.trainer.loop.phase != "finished":
            try:
                self._train_epoch()
            except NotFiniteError as error:
                self._recover(error)

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
        if loop.phase == "finished" and not trainer.args.time and trainer.epochs > content["settings"]["epochs"]:
            loop.phase, loop.stop = "batches", False
        trainer.train_time_start = time.time() - loop.elapsed
        trainer.stop = loop.stop
        self._size_up()
        last = trainer.epochs - trainer.args.close_mosaic  # with more epochs, mosaic may open again; by time never
        loop.mosaic_closed = loop.mosaic_closed and (bool(trainer.args.time) or loop.epoch >= last)
        if loop.mosaic_closed and trainer.args.close_mosaic:
            trainer._close_dataloader_mosaic()  # the loader of this process may have it open
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
            if trainer.ranks is not None:
                trainer.ranks.epoch.begin()
            trainer.epoch = loop.epoch
            trainer.run_callbacks("on_train_epoch_start")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a scheduler that steps before the optimizer
                trainer.scheduler.step()
            trainer.tloss = None
        trainer._model_train()
        if trainer.host_run.options.exact and not loop.batch:
            iter(trainer.train_loader)  # the engine makes an iterator too many, and that of a plain loader draws a seed
        if not loop.mosaic_closed and loop.epoch >= trainer.epochs - trainer.args.close_mosaic:
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
            if trainer.threads is not None:
                trainer.threads.before_batch()
            warm_up(trainer, step, self.warmup)
            batch = compute(trainer, i, batch)  # which frees the one of the loader
            if isinstance(batch, str):
                self.watch.began({})
                shrink_batches(trainer, batch)
                self._size_up()
                return bool(trainer.stop)
            self.watch.began(batch)
            due = step - loop.last_opt_step >= trainer.accumulate
            if due:
                if trainer.threads is not None:
                    trainer.threads.before_step()
                trainer.optimizer_step()
            if trainer.threads is not None:
                trainer.threads.after_batch(trainer, batch, due)
            self.watch.require_finite_loss(due)
            if due:
                loop.last_opt_step = step
                if trainer.args.time:
                    trainer.stop = self.group.any(self._time_is_up())
                    if trainer.stop:
                        break
            show(trainer, bar, batch, step)
            trainer.run_callbacks("on_train_batch_end")
            loop.batch = i + 1
            trainer.stop = trainer.saver.after_batch(trainer, more=loop.batch < self.batches)
            if trainer.stop:
                break
        else:
            if trainer.ranks is not None:
                trainer.ranks.batch.require_end()
            loop.oom_retries = 0
        return True

    def _batches_left(self) -> Iterable[Batch]:
        trainer, loop = self.trainer, self.trainer.loop
        if trainer.order is not None:
            trainer.order.begin(loop.epoch, loop.batch, loop.attempt)
            return trainer.order.batches()
        if loop.batch and isinstance(trainer.train_loader, InfiniteDataLoader):
            return islice(trainer.train_loader, self.batches - loop.batch)  # it would go on with the next epoch
        return trainer.train_loader  # type: ignore[no-any-return]

    # The end of an epoch

    def _end_batches(self) -> None:
        trainer = self.trainer
        if hasattr(criterion := unwrap_model(trainer.model).criterion, "update"):
            criterion.update()
        trainer.lr = self._rates()
        trainer.run_callbacks("on_train_epoch_end")
        if trainer.ranks is not None:
            trainer.ranks.epoch.agree_to_stop()
        trainer.ema.update_attr(trainer.model, include=SHARED_WITH_EMA)
        if trainer.ranks is not None:
            trainer.ranks.epoch.before_validation()
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
        trainer.saver.before_checkpoint()
        if (trainer.args.save or last) and trainer.save_model():
            trainer.run_callbacks("on_model_save")
        now = time.time()
        trainer.epoch_time = now - trainer.epoch_time_start
        trainer.epoch_time_start = now
        if trainer.args.time:
            mean = self.group.broadcast((now - trainer.train_time_start) / (loop.epoch - trainer.start_epoch + 1))
            trainer.epochs = trainer.args.epochs = math.ceil(trainer.args.time * 3600 / mean)
            trainer._setup_scheduler()
            self.warmup = trainer._get_warmup_iterations(self.batches)
            trainer.scheduler.last_epoch = trainer.epoch
            trainer.stop |= loop.epoch >= trainer.epochs
        trainer.run_callbacks("on_fit_epoch_end")
        trainer.stop = self.group.any(bool(trainer.stop))
        self._clear_memory()
        loop.epoch, loop.batch, loop.phase = loop.epoch + 1, 0, "finished" if trainer.stop else "batches"
        trainer.saver.after_epoch(trainer)

    def _rates(self) -> dict[str, float]:
        return {f"lr/pg{i}": group["lr"] for i, group in enumerate(self.trainer.optimizer.param_groups)}

    def _time_is_up(self) -> bool:
        return bool(time.time() - self.trainer.train_time_start > self.trainer.args.time * 3600)

    def _clear_memory(self) -> None:
        self.trainer._clear_memory(None if self.trainer.device.type == "mps" else 0.5)

    # The end

    def _finish(self) -> None:
        trainer = self.trainer
        seconds = time.time() - trainer.train_time_start
        LOGGER.info(f"\n{trainer.epoch - trainer.start_epoch + 1} epochs completed in {seconds / 3600:.3f} hours.")
        trainer.final_eval()
        if trainer.args.plots:
            trainer.plot_pending()
            trainer.plot_metrics()
        trainer.run_callbacks("on_train_end")
        if trainer.device.type != "cpu" or trainer.host_run.options.exact:
            trainer._clear_memory()  # on a CPU it only collects garbage, which takes as long as drawing the labels
        self._close_loaders()

    def _close_loaders(self) -> None:
        for loader in (self.trainer.train_loader, self.trainer.test_loader):
            if hasattr(loader, "close"):
                loader.close()  # no worker survives until the interpreter ends

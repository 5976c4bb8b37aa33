"""The moments at which the state of a training is saved, and at which a request to stop ends it."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NoReturn

from trainer_host.base.errors import StoppedError, StorageError
from trainer_host.engine.process_group import SingleProcess
from trainer_host.engine.state_files import StateEntry
from trainer_host.engine.ultralytics.generators import generator_states
from trainer_host.engine.ultralytics.not_finite import require_finite_weights
from trainer_host.engine.ultralytics.training_state import capture, plugin_states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trainer_host.base.signals import StopRequest
    from trainer_host.engine.process_group import ProcessGroup
    from trainer_host.engine.state_files import StateFiles
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer


class TrainingInterrupted(BaseException):  # like KeyboardInterrupt: not for code that handles errors
    """The training ends on request, with its state saved."""


class StateSaver:
    """Saves the state of a training when it is due, and ends the training on request.

    Args:
        files: The state files; None to save none.
        stop: Requests by signals; None for a training that does not listen to any.
        batches: Batches between two states within an epoch; None to save none of them.
        seconds: The same in seconds.
        content: The state to resume; None for a new training.
        recovered: Records a recovery from values that are not finite, as plain data; None to record none.
        group: The processes of the run: the first one writes, and what any is asked for, all do.
        clock: Seconds of a clock that does not go back.

    Attributes:
        content: See above; the loop takes it.
        recovered: See above.
    """

    def __init__(
        self,
        files: StateFiles | None = None,
        stop: StopRequest | None = None,
        *,
        batches: int | None = None,
        seconds: float | None = None,
        content: Mapping[str, Any] | None = None,
        recovered: Callable[[Mapping[str, Any]], None] | None = None,
        group: ProcessGroup | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.group = group or SingleProcess()
        self._saves = files is not None
        self.files = files if self.group.ranks.is_first else None
        self.stop, self.content, self.clock = stop, content, clock
        self.recovered = recovered or (lambda _: None)
        self.every_batches, self.every_seconds = batches, seconds
        self._since, self._saved_at = 0, clock()
        self._generators: dict[str, Any] | None = None
        self._plugins: dict[str, Any] | None = None

    def begin(self, trainer: HostTrainer) -> None:
        """Start the clock. From here on a request waits for the state to be saved, also during validations."""
        self._since, self._saved_at = 0, self.clock()
        if self.stop is not None:
            self.stop.waits = True
        if trainer.ranks is not None:
            trainer.ranks.epoch.before_round = self._end_on_request
        else:
            trainer.add_callback("on_val_batch_start", self.during_validation)
        self._end_on_request()

    def after_batch(self, trainer: HostTrainer, more: bool = True) -> bool:
        """Return whether the training stops with this batch; otherwise save if it is due or asked for.

        All that processes agree on after a batch takes one exchange.

        Args:
            trainer: The trainer.
            more: Whether the epoch has more batches. After the last one it is saved once the epoch's last steps are
                done.

        Raises:
            TrainingInterrupted: If the training is to end.
        """
        asked = [self.stop is not None and self.stop.requested, self.stop is not None and self.stop.terminated]
        stops, due, *asked = self.group.any_of([bool(trainer.stop), self._asked_or_due(self._since + 1), *asked])
        if stops or not more:
            return stops
        self._since += 1
        if self.files is not None:
            self.files.raise_failure()  # of the state before, which is written while the training goes on
        if due:
            self._save(trainer)
        if asked[0]:
            self._end(asked[1])
        return False

    def before_validation(self, trainer: HostTrainer) -> None:
        """Keep what a validation changes, so that one that is cut short can be repeated; save if it is due.

        The first state is saved here, so that no checkpoint appears before there is one to resume from.

        Raises:
            TrainingInterrupted: If the training is to end.
        """
        self._since += 1  # the last batch of the epoch
        if self.files is not None:
            self._generators = generator_states(trainer.device)
            self._plugins = deepcopy(plugin_states(trainer))
        if self._due() or self.group.any(self.files is not None and not self.files.entries):
            self._save(trainer)
        self._end_on_request()

    def during_validation(self, _validator: Any) -> None:
        """End the validation on request.

        Raises:
            TrainingInterrupted: If the training is to end.
        """
        self._end_on_request()

    def before_checkpoint(self) -> None:
        """Wait for the first state: a run with a checkpoint and no state could not be resumed."""
        if self.files is not None and not self.files.entries:
            self.files.wait()

    def interrupted_validation(self, trainer: HostTrainer) -> None:
        """Save the state before the validation that was cut short."""
        trainer.ema.ema.float()  # the validator turns it to half precision on a GPU, and back at its end
        self._save(trainer, self._generators, self._plugins)

    def after_epoch(self, trainer: HostTrainer) -> None:
        """Save.

        Raises:
            TrainingInterrupted: If the training is to end.
        """
        self._save(trainer)
        if self.files is not None and trainer.loop.phase == "finished":
            self.files.wait()  # the final evaluation replaces checkpoints, which this state must precede
        self._end_on_request()

    @contextmanager
    def written(self) -> Iterator[None]:
        """Wait on leaving for a state that is being written; an error that ends the training takes precedence.

        On a second request to stop, it is abandoned.
        """
        try:
            try:
                yield
            except (TrainingInterrupted, StoppedError):
                raise
            except BaseException:
                with suppress(OSError, StorageError):
                    self._wait()
                raise
        except TrainingInterrupted:
            self._wait()  # it is the state that the message promises
            self.group.barrier()  # a launcher ends the others as soon as one has ended
            raise
        except StoppedError:
            if self.files is not None:
                self.files.abandon()
            raise
        else:
            self._wait()

    def _wait(self) -> None:
        if self.files is not None:
            self.files.wait()

    def last_good(self) -> tuple[StateEntry, dict[str, Any]] | None:
        """Return the newest state that verifies; the others, which may not see its folder, are sent it."""
        if self.files is not None:
            self.files.wait()
        found = self.files.newest(self.files.entries) if self.files is not None else None
        if self.group.ranks.world_size == 1:
            return found
        sent = self.group.broadcast([found[0].as_data(), found[1]] if found is not None else None)
        return (StateEntry.of_data(sent[0]), sent[1]) if sent is not None else None

    def _due(self) -> bool:
        return self.group.any(self._asked_or_due(self._since))

    def _asked_or_due(self, batches: int) -> bool:
        if self.stop is not None and (self.stop.requested or self.stop.save_requested):
            return True
        if self.every_batches is not None and batches >= self.every_batches:
            return True
        return self.every_seconds is not None and self.clock() - self._saved_at >= self.every_seconds

    def _save(
        self,
        trainer: HostTrainer,
        generators: dict[str, Any] | None = None,
        plugins: dict[str, Any] | None = None,
    ) -> None:
        if self.stop is not None:
            self.stop.save_requested = False  # before writing: a signal that comes meanwhile asks again
        self._since, self._saved_at = 0, self.clock()
        if not self._saves:
            return
        if not trainer.host_run.drop_in:  # which recovers as the engine does
            require_finite_weights(trainer)
        loop = trainer.loop
        loop.elapsed, loop.stop = time.time() - trainer.train_time_start, bool(trainer.stop)
        if self.files is None:
            return  # the first process writes
        content = capture(trainer, generators, plugins)
        self.files.start_writing(content, epoch=loop.epoch, batch=loop.batch, phase=loop.phase)

    def _end_on_request(self) -> None:
        if self.stop is None:
            return
        requested, terminated = self.group.any_of([self.stop.requested, self.stop.terminated])
        if requested:
            self._end(terminated)

    def _end(self, terminated: bool) -> NoReturn:
        if self.stop is not None:
            self.stop.requested, self.stop.terminated = True, terminated
        raise TrainingInterrupted

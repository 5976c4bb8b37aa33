"""The threads of a training on a CPU, set between its batches by what they cost."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import LOGGER

from trainer_host.engine.free_cores import FreeCores, usable_cores
from trainer_host.engine.process_state import threads_of_environment
from trainer_host.engine.thread_policy import ThreadPolicy, candidates

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer_host.base.type_aliases import Batch
    from trainer_host.engine.ultralytics.host_trainer import HostTrainer

MOST_CHANGES = 100
"""Changes of the number that are recorded."""


class ThreadSearch:
    """Sets torch's number of threads for each batch.

    Args:
        start: The number to begin with.
        clock: Seconds of a clock that does not go back.
        free: Returns the cores that other programs leave.

    Attributes:
        changes: Each number that was chosen once the training had begun, with the epoch and the batch, counted from 1.
    """

    def __init__(
        self,
        start: int,
        *,
        clock: Callable[[], float] = time.perf_counter,
        free: Callable[[], float | None] | None = None,
    ) -> None:
        self._clock, self._free = clock, free or FreeCores().read
        self._numbers = candidates(usable_cores(), start)
        self._policy: ThreadPolicy | None = None
        self._start, self._began, self._step_began = start, 0.0, 0.0
        self._steps: dict[int, float] = {}
        self._largest = 0
        self.changes: list[dict[str, int]] = []

    @property
    def number(self) -> int:
        """The number that was found best last."""
        return self._policy.chosen if self._policy is not None else self._start

    def begin_with(self, number: int) -> None:
        """Begin with the number of a state, which is then compared with others."""
        self._start, self._policy = min(number, self._numbers[-1]), None
        torch.set_num_threads(self.number)

    def before_batch(self) -> None:
        """Set the number for a batch, and start the clock."""
        if self._policy is None:
            self._policy = ThreadPolicy([*self._numbers, self._start], self._start, self._free())
        if torch.get_num_threads() != self._policy.threads:
            torch.set_num_threads(self._policy.threads)
        self._began = self._clock()

    def before_step(self) -> None:
        """Note that a step of the optimizer begins; its time is shared by the batches that lead to it."""
        self._step_began = self._clock()

    def after_batch(self, trainer: HostTrainer, batch: Batch, stepped: bool) -> None:
        """Compare what the batch took."""
        policy = self._policy
        if policy is None:
            return
        now, used, before = self._clock(), policy.threads, policy.chosen
        seconds = (self._step_began if stepped else now) - self._began
        if stepped:
            self._steps[used] = now - self._step_began
        # Shared as after the warm-up, during which a step is due more often: the cost would seem to fall.
        step = self._steps.get(used, max(self._steps.values(), default=0.0))
        images = batch["img"]
        full, self._largest = images.shape[0] >= self._largest, max(self._largest, images.shape[0])
        cost = (seconds + step / max(1, trainer.loop.nominal_accumulate)) / (
            images.shape[0] * images.shape[-1] * images.shape[-2]
        )
        policy.observe(cost if full else None, self._free())
        if policy.chosen != before and len(self.changes) < MOST_CHANGES:
            loop = trainer.loop
            self.changes.append({"epoch": loop.epoch + 1, "batch": loop.batch, "threads": policy.chosen})
            LOGGER.info(f"Threads: {policy.chosen} (before: {before})")


def use_threads(trainer: HostTrainer) -> None:
    """Have a training on a CPU use the number of threads that the user set, or search for the best one."""
    if trainer.host_run.options.exact or trainer.device.type != "cpu":
        return
    wanted, content = _fixed(trainer), trainer.saver.content
    if wanted is None and trainer.host_run.group.ranks.world_size > 1:
        return
    if wanted is None:
        trainer.threads = ThreadSearch(content["threads"] if content is not None else torch.get_num_threads())

    def use(_: Any = None) -> None:
        torch.set_num_threads(wanted or (trainer.threads.number if trainer.threads is not None else 1))

    use()
    trainer.callbacks["on_val_start"].append(use)  # the engine resets the number


def _fixed(trainer: HostTrainer) -> int | None:
    """Return the number of threads that does not depend on measurements; None to search, or for the engine's own."""
    run, usual = trainer.host_run, torch.get_num_threads()
    if run.options.threads is not None:
        return run.options.threads
    if (here := run.group.ranks.local_world_size) > 1:  # they share the cores
        return max(1, min(usual, (os.cpu_count() or 1) // here))
    given = threads_of_environment(usual) if run.group.ranks.world_size == 1 else None
    content = trainer.saver.content
    # A resumed run gives the weights of one that was not interrupted.
    return int(content["threads"]) if given is not None and content is not None else given

"""The position of a training, and everything else that its loop would otherwise keep in local variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["batches", "validation", "finished"]
"""``validation``: the batches of the epoch are done, its validation is not; ``finished``: only the final evaluation
is left."""


@dataclass
class LoopState:
    """The state of the training loop, in plain values.

    Attributes:
        epoch: The epoch in progress, counted from 0; after the last one their number.
        batch: Batches of this epoch that are done.
        phase: What is to be done next.
        last_opt_step: The batch, counted from the first of the training, after which the optimizer stepped last.
        nominal_accumulate: Batches between two steps of the optimizer once the warm-up is over.
        mosaic_closed: Whether mosaic is off for the rest of the training.
        oom_retries: Attempts of the first epoch that ran out of memory.
        attempt: Recoveries from values that are not finite.
        elapsed: Seconds trained until the state was saved.
        stop: Whether the training ends with this epoch.
    """

    epoch: int
    batch: int = 0
    phase: Phase = "batches"
    last_opt_step: int = -1
    nominal_accumulate: int = 1
    mosaic_closed: bool = False
    oom_retries: int = 0
    attempt: int = 0
    elapsed: float = 0.0
    stop: bool = False

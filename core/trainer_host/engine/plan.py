"""What a run is made of besides the engine's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer_host.base.findings import FAIL, Tolerance

if TYPE_CHECKING:
    from trainer_host.base.best_metric import BestMetric
    from trainer_host.plugin.chain import Chain


@dataclass(frozen=True)
class Plan:
    """What a run is made of besides the engine's settings.

    Attributes:
        chain: The plugins of the run.
        exact: Whether to keep the stock engine's arithmetic, bit for bit.
        offline: Whether nothing may be fetched from a network.
        drop_in: Whether the trainer stands in for one of the engine's own.
        bad: What becomes of images that cannot be used.
        images: Folders that hold the images, where the dataset does not say it.
        best_metric: The metric that tells the best checkpoint, or None for the task's own judgement.
        trackers: The engine's experiment trackers that were asked for.
    """

    chain: Chain
    exact: bool = False
    offline: bool = False
    drop_in: bool = False
    bad: Tolerance = FAIL
    images: tuple[str, ...] = ()
    best_metric: BestMetric | None = None
    trackers: tuple[str, ...] = ()

"""The metric that tells the best checkpoint of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LOWEST = "min:"
LOSSES = "val/"


@dataclass(frozen=True)
class BestMetric:
    """A metric, and whether a model is better the higher or the lower it is.

    Attributes:
        name: The metric's name, as ``results.csv`` has it.
        lowest: Whether the lowest figure is the best.
    """

    name: str
    lowest: bool = False

    @classmethod
    def parse(cls, text: str) -> BestMetric:
        """Return what ``NAME`` or ``min:NAME`` means; of a loss of validation (``val/...``) the lowest is the best."""
        name = text.removeprefix(LOWEST)
        return cls(name, name != text or name.startswith(LOSSES))

    @property
    def is_loss(self) -> bool:
        """Whether it is a part of the loss, whose names are known once the first batch has been seen."""
        return self.name.startswith(LOSSES)

    @property
    def text(self) -> str:
        """What to write to mean it."""
        return f"{LOWEST}{self.name}" if self.lowest and not self.is_loss else self.name

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """Return how good a model with these metrics is: the larger, the better."""
        value = float(metrics[self.name])
        return -value if self.lowest else value

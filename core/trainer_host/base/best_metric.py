"""The metric that selects the best checkpoint of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, SettingsError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOWEST = "min:"
LOSSES = "val/"
FITNESS = "fitness"
"""The fitness of the validator, or what plugins make of it, under the name that the engine has for it."""


def full_name(name: str, known: Iterable[str]) -> str | None:
    """Return the metric that a name means: itself, or the only one that has it behind its group (``metrics/...``)."""
    names = list(known)
    if name in names:
        return name
    found = [each for each in names if each.rpartition("/")[2] == name]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class BestMetric:
    """A metric, and whether a model is better the higher or the lower it is.

    Attributes:
        name: The metric's name, as the table of results has it, or without its group (``metrics/``, ``val/``).
        lowest: Whether the lowest value is the best.
    """

    name: str
    lowest: bool = False

    @classmethod
    def parse(cls, text: str) -> BestMetric:
        """Parse ``NAME`` or ``min:NAME``; the lowest validation loss (``val/...``) is always the best."""
        name = text.removeprefix(LOWEST)
        return cls(name, name != text or name.startswith(LOSSES))

    @property
    def is_loss(self) -> bool:
        """Whether it is a part of the loss, whose names are known with the first batch."""
        return self.name.startswith(LOSSES)

    @property
    def text(self) -> str:
        """The text that `parse` turns into this metric."""
        return f"{LOWEST}{self.name}" if self.lowest and not self.is_loss else self.name

    @property
    def is_fitness(self) -> bool:
        """Whether it is the fitness rather than a metric."""
        return self.name == FITNESS and not self.lowest

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """Return how good a model with these metrics is: the larger, the better.

        Raises:
            SettingsError: If the metric is not one of them.
        """
        name = full_name(self.name, metrics)
        if name is None:
            raise SettingsError(self.unknown(metrics))
        value = float(metrics[name])
        return -value if self.lowest or name.startswith(LOSSES) else value

    def unknown(self, known: Iterable[str]) -> Problem:
        """Return the problem of a name that is not measured, with all names that are."""
        names = sorted(known)
        if self.name == FITNESS:
            return Problem(f"{LOWEST}{FITNESS} is not valid: the highest fitness is the best.", f"write {FITNESS}")
        found = [each for each in names if each.rpartition("/")[2] == self.name]
        asked = self.name.casefold()
        found = found or [each for each in names if each.rpartition("/")[2].partition("(")[0].casefold() == asked]
        near = found or [each for each in [nearest(self.name, names)] if each]
        hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
        listed = f"Known: {', '.join(names)}, {FITNESS}; prefix a name with {LOWEST} if lower is better."
        return Problem(f"unknown metric {self.name!r}.", hint=f"{hint}{listed}")

"""The extension `plateau`: learning rates that fall where the model no longer becomes better.

trainer run data=mice/data.yaml --plugin plateau plateau.patience=5 plateau.factor=0.5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host import ExtensionSpec, RunContext, ScheduleContext, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping


@dataclass(frozen=True)
class Plateau:
    """The options."""

    patience: int = 5  # epochs without progress
    factor: float = 0.5  # of the learning rate, from then on


class PlateauHooks:
    """Keeps the best fitness, the epochs since, and what the learning rates were lowered to."""

    def __init__(self) -> None:
        self.best, self.waited, self.lowered = float("-inf"), 0, 1.0

    @hookimpl(wrapper=True)
    def build_schedule(self, ctx: ScheduleContext) -> Generator[None, Callable[[float], float], Any]:
        """Lower what the schedule gives."""
        schedule = yield
        return lambda epoch: schedule(epoch) * self.lowered

    @hookimpl(wrapper=True)
    def compute_fitness(self, ctx: RunContext) -> Generator[None, float, float]:
        """Look at how good the model is after each epoch."""
        fitness, options = (yield), ctx.options_for(Plateau)
        self.waited = 0 if fitness > self.best else self.waited + 1
        self.best = max(self.best, fitness)
        if self.waited >= options.patience:
            self.waited, self.lowered = 0, self.lowered * options.factor
        return fitness

    @hookimpl
    def state_dict(self) -> dict[str, float]:
        """Keep what a resumed training has to know."""
        return {"best": self.best, "waited": self.waited, "lowered": self.lowered}

    @hookimpl
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the training stopped."""
        self.best, self.waited, self.lowered = state["best"], state["waited"], state["lowered"]


EXTENSION = ExtensionSpec(hooks=PlateauHooks, options=Plateau)  # the class: each run has an object of its own

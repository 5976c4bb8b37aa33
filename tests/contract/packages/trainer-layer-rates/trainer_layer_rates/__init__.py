"""The extension `layer-rates`: a learning rate of its own for some layers, and a record of all rates.

trainer run --task pose --plugin layer-rates layer-rates.layers=model.0. layer-rates.factor=0.1
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer_host import ExtensionSpec, OptimizerContext, RunContext, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@dataclass(frozen=True)
class LayerRates:
    """The options."""

    layers: str = "model.0."  # the beginning of the layers' names
    factor: float = 0.1  # of the learning rate


class LayerRatesHooks:
    """A wrapper, which changes the answer of whoever answers, and a callback."""

    @hookimpl(wrapper=True)
    def build_optimizer(self, ctx: OptimizerContext) -> Generator[None, Any, Any]:
        """Move the parameters of the layers into groups of their own."""
        optimizer = yield
        options = ctx.options_for(LayerRates)
        chosen = {id(p) for name, p in ctx.model.named_parameters() if name.startswith(options.layers)}
        for group in list(optimizer.param_groups):
            moved = [p for p in group["params"] if id(p) in chosen]
            if moved:
                group["params"] = [p for p in group["params"] if id(p) not in chosen]
                optimizer.add_param_group({**group, "params": moved, "lr": group["lr"] * options.factor})
        return optimizer

    @hookimpl
    def callbacks(self, ctx: RunContext) -> dict[str, Callable[[Any], None]]:
        """Write the learning rate of each group into ``layer-rates.jsonl`` after each epoch."""

        def record(trainer: Any) -> None:
            rates = [group["lr"] for group in trainer.optimizer.param_groups]
            with (trainer.save_dir / "layer-rates.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": trainer.epoch + 1, "rates": rates}) + "\n")

        return {"on_train_epoch_end": record}


EXTENSION = ExtensionSpec(hooks=LayerRatesHooks(), options=LayerRates)

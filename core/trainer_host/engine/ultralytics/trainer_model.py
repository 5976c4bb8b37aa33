"""The part of the host trainer that builds the model and fills it with weights."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.contexts import ModelContext
from trainer_host.engine.ultralytics.architecture import vet_model_file
from trainer_host.engine.ultralytics.checkpoints import PARSED
from trainer_host.engine.ultralytics.model_loading import starting_weights, trained_model
from trainer_host.engine.ultralytics.plugin_layers import with_layers
from trainer_host.engine.ultralytics.reimplemented.load_model import setup_model
from trainer_host.engine.ultralytics.starting_weights import random_weights, taken_weights
from trainer_host.engine.ultralytics.trainer_data import DataTrainer

if TYPE_CHECKING:
    from trainer_host.base.results import StartingWeights
    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint


class ModelTrainer(DataTrainer):
    """The engine's trainer with models from hooks.

    Attributes:
        starting_weights: The weights that the training starts from, once there is a model.
        teacher: The model that the training distills, as the user gave it.
    """

    starting_weights: StartingWeights | None = None
    teacher: Any = None

    def start_from(self, checkpoint: Checkpoint) -> tuple[Any, Module]:
        """Return the architecture and the weights that a checkpoint gives a new training."""
        if checkpoint.in_state_form:
            model = self.trained(checkpoint)
            return checkpoint.record.get("cfg"), model
        ctx = with_layers(self.host_run.chain.manager, self.context(ModelContext))
        weights = starting_weights(checkpoint, ctx.layers)
        return deepcopy(getattr(weights, "yaml", None)), weights  # the new model changes its own

    def trained(self, checkpoint: Checkpoint) -> Module:
        """Return the model of a checkpoint, built by the task."""
        data = checkpoint.record.get("data") or self.description
        ctx = self.context(ModelContext, cfg=checkpoint.record.get("cfg"), data=data)
        build = self._build_informed_model if checkpoint.in_state_form else self._build_model
        return trained_model(checkpoint, build, with_layers(self.host_run.chain.manager, ctx))

    def setup_model(self) -> Any:
        """Build the model that training starts from, and return the checkpoint to resume from, if any."""
        content = setup_model(self)
        PARSED.forget()  # nothing reads these files again
        if not hasattr(self.model, "criterion"):
            self.model.criterion = None  # the training loop asks every model for it
        return content

    def note_start(self, weights: Module | None, source: Path | None, architecture: Path | None) -> None:
        """Record where the weights of the model come from.

        Args:
            weights: The model that holds them; None for random weights.
            source: The checkpoint that they come from.
            architecture: Another checkpoint that only the architecture comes from.
        """
        if weights is None or source is None:
            start = random_weights(self.model, architecture)
        else:
            start = taken_weights(self.model, weights, source, architecture)
        teacher = self.teacher
        self.starting_weights = replace(start, teacher=Path(teacher) if isinstance(teacher, (str, Path)) else None)

    def get_model(self, cfg: Any = None, weights: Module | None = None, verbose: bool = True) -> Module:
        """Return a new model for an architecture, starting from ``weights`` if given."""
        return self._build_model(self.context(ModelContext, cfg=cfg or None, weights=weights, verbose=verbose))

    def _build_model(self, ctx: ModelContext) -> Module:
        ctx = with_layers(self.host_run.chain.manager, ctx)
        vet_model_file(ctx.cfg, ctx.layers)
        model: Module = self._answer("build_model", ctx=ctx)
        return model

    def _build_informed_model(self, ctx: ModelContext) -> Module:
        model = self._build_model(ctx)
        self.hooks.set_model_attributes(ctx=replace(ctx, model=model))
        return model

"""Types in the signatures of hooks: aliases for types of torch and numpy, and protocols.

Importing it needs neither torch nor numpy: type checkers see their types, at run time an alias is a string.
"""

from __future__ import annotations

from trainer_host.base.protocols import (
    Augmentation,
    Dataset,
    Launcher,
    Loader,
    Loss,
    LossTerm,
    Metric,
    Postprocess,
    Prediction,
    Predictor,
    TrainingArgs,
    Validator,
)
from trainer_host.base.type_aliases import Array, Batch, Device, Image, Module, Optimizer, Sampler, Tensor, Trainer
from trainer_host.plugin.markers import Done

__all__ = [
    "Array",
    "Augmentation",
    "Batch",
    "Dataset",
    "Device",
    "Done",
    "Image",
    "Launcher",
    "Loader",
    "Loss",
    "LossTerm",
    "Metric",
    "Module",
    "Optimizer",
    "Postprocess",
    "Prediction",
    "Predictor",
    "Sampler",
    "Tensor",
    "Trainer",
    "TrainingArgs",
    "Validator",
]

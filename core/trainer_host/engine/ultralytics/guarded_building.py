"""Building models of files within the memory that their tensors need."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn.modules import Detect
from ultralytics.nn.tasks import DetectionModel

from trainer_host.base.errors import Problem, SettingsError, StoppedError, TrainerError
from trainer_host.engine.ultralytics.architecture_form import channels_of
from trainer_host.engine.ultralytics.unfilled_model import SLACK, TooLargeError, Unfilled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint


def try_size(checkpoint: Checkpoint, cfg: dict[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Build an architecture without memory, because an unfamiliar one may enlarge a small image beyond all limits."""

    def dry() -> Module:
        model: Module = DetectionModel(deepcopy(cfg), ch=channels_of(cfg), verbose=False)
        return model

    _guarded(checkpoint, dry, Unfilled(_budget(state), dry=True))


def build_guarded(
    checkpoint: Checkpoint, build: Callable[[], Module], state: Mapping[str, torch.Tensor], fill: bool
) -> Module:
    """Build a model within the memory that its tensors need; random generators stay as they are."""
    with torch.random.fork_rng(devices=[]):
        return _guarded(checkpoint, build, Unfilled(_budget(state), fill))


def _budget(state: Mapping[str, torch.Tensor]) -> int:
    """Return how many elements a model may have while it is built: twice what its tensors need."""
    return 2 * sum(tensor.numel() for tensor in state.values()) + SLACK


def _guarded(checkpoint: Checkpoint, build: Callable[[], Module], mode: Unfilled) -> Module:
    where = str(checkpoint.path)
    try:
        with mode:
            return build()
    except StoppedError:
        raise
    except TrainerError as error:
        raise type(error)(*(p if p.where else replace(p, where=where) for p in error.problems)) from error
    except TooLargeError:
        what = "cannot build the model: its architecture needs more memory than its weights."
        raise SettingsError(Problem(what, "use another file", where)) from None
    except ENGINE_ERRORS as error:
        if mode.fill:  # the code of plugins: its errors are shown with the plugin's name
            raise
        what = f"cannot build the model: {type(error).__name__}: {error}"
        raise SettingsError(Problem(" ".join(f"{what}.".split()), "use another file", where)) from error


ENGINE_ERRORS = (
    *(TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError, ArithmeticError),
    *(SyntaxError, MemoryError),
)
"""Errors of the engine for an architecture that makes no sense."""


def match_class_width(model: Any, state: Mapping[str, torch.Tensor], build: Callable[[int], Any]) -> None:
    """Give the class branches of a head the width that they have in a state dict.

    The width depends on the number of classes, but a model that was trained from weights for another number keeps
    that of its origin. Its architecture does not say so.
    """
    layers: Any = getattr(model, "model", None)
    if not isinstance(layers, torch.nn.Sequential) or not isinstance(layers[-1], Detect):
        return
    kept = state.get(f"model.{len(layers) - 1}.cv3.0.2.weight")
    branches: Any = layers[-1].cv3
    if kept is None or kept.dim() != 4 or branches is None or kept.shape[1] == branches[0][-1].in_channels:
        return
    width = kept.shape[1]
    # A head for as many classes has this width, unless that of its input is larger; then one class has it.
    heads = (build(nc).model[-1] for nc in (width, 1))
    origin: Any = next((head for head in heads if head.cv3[0][-1].in_channels == width), None)
    if origin is None:
        return  # the tensors do not fit, which loading them reports
    with torch.random.fork_rng(devices=[]):
        for name in ("cv3", "one2one_cv3"):
            for branch, own in zip(getattr(origin, name, ()), getattr(layers[-1], name, ()), strict=True):
                branch[-1] = torch.nn.Conv2d(width, own[-1].out_channels, 1)
            if hasattr(origin, name):
                setattr(layers[-1], name, getattr(origin, name))

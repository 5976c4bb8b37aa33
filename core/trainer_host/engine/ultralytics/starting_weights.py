"""The weights that a training starts from, found by comparing the model with what it was given to start from."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from trainer_host.base.results import StartingWeights
from trainer_host.engine.ultralytics.architecture_form import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer_host.base.type_aliases import Module

DEPTH = 3
"""Components of a tensor's name that name a part of the model, such as ``model.23.cv3``."""


def random_weights(model: Module, unused: Path | None = None) -> StartingWeights:
    """Return the start of a training from scratch.

    Args:
        model: The model.
        unused: A checkpoint of which only the architecture is used.
    """
    return StartingWeights(source=None, tensors=len(model.state_dict()), architecture=unused)


def taken_weights(model: Module, weights: Module, source: Path, architecture: Path | None = None) -> StartingWeights:
    """Return the start of a training from the weights of a checkpoint.

    A tensor counts as transferred if it has the same values in both, and as partly transferred if some of its rows do,
    such as those of classes that both have.

    Args:
        model: The model, once it has taken over the weights.
        weights: The model that holds them.
        source: The checkpoint.
        architecture: Another checkpoint that the architecture comes from.
    """
    own, given = model.state_dict(), weights.state_dict()
    rows = _rows_by_name(_names(model), _names(weights))
    new: Counter[str] = Counter()
    partly = 0
    for name, tensor in own.items():
        part = _part_taken(tensor, given.get(name), rows)
        if part == 0:
            new[".".join(name.split(".")[:DEPTH])] += 1
        partly += 0 < part < 1
    return StartingWeights(
        source=source,
        tensors=len(own),
        transferred=len(own) - partly - new.total(),
        partly=partly,
        new=dict(new),
        differences=_differences(getattr(model, "yaml", None), getattr(weights, "yaml", None)) if new or partly else {},
        architecture=architecture,
    )


def _names(model: Module) -> dict[int, str]:
    """Return the names of a model's classes in a form that can be compared; numbers in place of names are none."""
    names = getattr(model, "names", None)
    if not isinstance(names, dict) or all(str(k) == str(v) for k, v in names.items()):
        return {}
    return {int(k): str(v).strip().lower() for k, v in names.items()}


def _rows_by_name(own: Mapping[int, str], given: Mapping[int, str]) -> tuple[int, int, dict[int, int]]:
    """Return the numbers of classes of both, and for each class of the first its number in the second, if any."""
    numbers = {name: number for number, name in given.items()}
    return len(own), len(given), {i: numbers[name] for i, name in own.items() if name in numbers}


def _part_taken(own: torch.Tensor, given: torch.Tensor | None, rows: tuple[int, int, dict[int, int]]) -> float:
    """Return how much of a tensor has the values that another has: 0 for nothing, 1 for all of it."""
    if given is None or own.dim() != given.dim():
        return 0.0
    own, given = own.detach().float(), given.detach().float().to(own.device)
    if own.shape == given.shape and torch.equal(own, given):
        return 1.0
    count, other, same = rows
    if same and own.dim() and own.shape[1:] == given.shape[1:] and (len(own), len(given)) == (count, other):
        return len(same) / count if all(torch.equal(own[i], given[j]) for i, j in same.items()) else 0.0
    if own.dim() == 4 and own.shape != given.shape and own.shape[2:] == given.shape[2:]:
        # The engine fills as much of a first convolution as fits.
        c1, c2 = min(len(own), len(given)), min(own.shape[1], given.shape[1])
        taken = given[:c1].sum(1, keepdim=True) if c2 == 1 else given[:c1, :c2]
        return 0.5 if torch.equal(own[:c1, :c2], taken) else 0.0
    return 0.0


def _differences(own: Any, given: Any) -> Mapping[str, tuple[Any, Any]]:
    """Return the values in which two architectures differ, such as their number of classes."""
    if not isinstance(own, dict) or not isinstance(given, dict):
        return {}
    keys = [k for k in own if k in given and k not in PARTS and isinstance(own[k], (str, int, float, list, tuple))]
    pairs = {k: (_plain(own[k]), _plain(given[k])) for k in keys}
    return {k: (mine, theirs) for k, (mine, theirs) in pairs.items() if mine != theirs}


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, (list, tuple)) else value

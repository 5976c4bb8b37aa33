"""Architectures of models: refused where building one would run code, or where a layer is not known.

The engine evaluates the text of ``activation``, and calls whatever global of its module a layer names.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn import tasks

from trainer_host.base.errors import Problem, SettingsError, UnsafeError, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def vet_architecture(
    cfg: Mapping[str, Any], where: str | None = None, layers: Collection[str] = (), offline: bool = False
) -> None:
    """Refuse an architecture that names anything but layers, with an activation that is anything but a torch layer.

    Args:
        cfg: The content of a model YAML.
        where: Its file, for the message.
        layers: Names of the layers that plugins bring.
        offline: Whether a layer that fetches weights is refused as well.

    Raises:
        UnsafeError: If there is something else in it; all of it is reported.
        SettingsError: If it names a layer that nobody knows.
    """
    refused, strange = [], []
    activation = cfg.get("activation")
    if activation is not None and not _is_activation(activation):
        fix = "Write a layer of torch with plain arguments, such as torch.nn.SiLU()."
        refused.append(Problem(f"refused: activation {activation!r} is no layer of torch.", fix, where))
    for part in ("backbone", "head"):
        for row in cfg.get(part) or ():
            name = str(row[2]) if isinstance(row, (list, tuple)) and len(row) > 2 else str(row)
            if name in layers or is_layer(name):
                if offline and name == "TorchVision" and _fetches(row):
                    what = f"{name} in the {part} would fetch weights, and the run is offline."
                    refused.append(Problem(what, "Write None as its weights.", where))
                continue
            if name.isidentifier() and not hasattr(tasks, name):
                strange.append(_unknown_layer(name, layers, where))
            else:
                refused.append(Problem(f"refused: {name!r} in the {part} is no layer.", "Name a layer.", where))
    if refused:
        raise UnsafeError(*refused, *strange)
    if strange:
        raise SettingsError(*dict.fromkeys(strange))


def _fetches(row: Any) -> bool:
    """Return whether a row ``[from, repeats, TorchVision, [channels, model, weights, ...]]`` names weights."""
    arguments = row[3] if len(row) > 3 and isinstance(row[3], (list, tuple)) else ()
    return str(arguments[2] if len(arguments) > 2 else "DEFAULT") not in {"None", "False", ""}


def _unknown_layer(name: str, layers: Collection[str], where: str | None) -> Problem:
    problem = unknown("layer", name, {*layers, *filter(is_layer, vars(tasks))}, where)
    fix = " ".join(filter(None, (problem.fix, "If a plugin brings it, switch it on: --plugin NAME")))
    return replace(problem, fix=fix)


def _is_activation(text: Any) -> bool:
    """Return whether a text is the call of a class of `torch.nn` with literal arguments."""
    try:
        call = ast.parse(str(text).strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return False
        for argument in [*call.args, *(k.value for k in call.keywords)]:
            ast.literal_eval(argument)
    except (SyntaxError, ValueError, RecursionError):
        return False
    name = ast.unparse(call.func).removeprefix("torch.")
    return name.startswith("nn.") and is_layer(name)


def is_layer(name: str) -> bool:
    """Return whether a name in a model YAML is a layer of the engine, of torch or of torchvision."""
    if name.startswith("nn."):
        found = getattr(torch.nn, name[3:], None)
    elif name.startswith("torchvision.ops."):
        import torchvision

        found = getattr(torchvision.ops, name[16:], None)
    else:
        found = getattr(tasks, name, None)
    return isinstance(found, type) and issubclass(found, torch.nn.Module)

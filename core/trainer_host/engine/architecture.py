"""Architectures of models: refused where building one would run code.

The engine evaluates the text of ``activation``, and calls whatever global of its module a layer names.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.nn import tasks

from trainer_host.base.errors import Problem, UnsafeError

if TYPE_CHECKING:
    from collections.abc import Mapping


def vet_architecture(cfg: Mapping[str, Any], where: str | None = None) -> None:
    """Refuse an architecture that names anything but layers, with an activation that is anything but a torch layer.

    Args:
        cfg: The content of a model YAML.
        where: Its file, for the message.

    Raises:
        UnsafeError: If there is something else in it; all of it is reported.
    """
    problems = []
    activation = cfg.get("activation")
    if activation is not None and not _is_activation(activation):
        fix = "Write a layer of torch with plain arguments, such as torch.nn.SiLU()."
        problems.append(Problem(f"refused: activation {activation!r} is no layer of torch.", fix, where))
    for part in ("backbone", "head"):
        for row in cfg.get(part) or ():
            name = str(row[2]) if isinstance(row, (list, tuple)) and len(row) > 2 else str(row)
            if not _is_layer(name):
                problems.append(Problem(f"refused: {name!r} in the {part} is no layer.", "Name a layer.", where))
    if problems:
        raise UnsafeError(*problems)


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
    return name.startswith("nn.") and _is_layer(name)


def _is_layer(name: str) -> bool:
    if name.startswith("nn."):
        found = getattr(torch.nn, name[3:], None)
    elif name.startswith("torchvision.ops."):
        import torchvision

        found = getattr(torchvision.ops, name[16:], None)
    else:
        found = getattr(tasks, name, None)
    return isinstance(found, type) and issubclass(found, torch.nn.Module)

"""Architectures of models: refused if building one could execute code or fetch something, or if a layer is unknown.

The engine evaluates the text of ``activation``, and calls whatever global of its module a layer names: also whole
models, which read further files, and `TorchVision`, which fetches weights.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from ultralytics.nn import tasks

from trainer_host.base.errors import Problem, SettingsError, UnsafeError, unknown
from trainer_host.engine.ultralytics.architecture_form import PARTS, is_number, malformed, rows_of
from trainer_host.engine.ultralytics.engine_settings import engine_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LAYERS = "ultralytics.nn.modules."
"""Package of the engine's layers; what else its parser could call are whole models."""
TORCHVISION = "TorchVision"
ACTIVATIONS: Mapping[str, type[torch.nn.Module]] = {
    kind.__name__: kind
    for kind in (
        *(torch.nn.Identity, torch.nn.SiLU, torch.nn.ReLU, torch.nn.ReLU6, torch.nn.LeakyReLU, torch.nn.GELU),
        *(torch.nn.Hardswish, torch.nn.Hardsigmoid, torch.nn.Hardtanh, torch.nn.Mish, torch.nn.ELU, torch.nn.CELU),
        *(torch.nn.SELU, torch.nn.Sigmoid, torch.nn.LogSigmoid, torch.nn.Tanh, torch.nn.Softplus, torch.nn.Softsign),
        *(torch.nn.PReLU, torch.nn.RReLU),
    )
}
"""Layers that work element by element."""
SHOWN = 3


def vet_architecture(cfg: Mapping[str, Any], where: str | None = None, layers: Collection[str] = ()) -> None:
    """Refuse an architecture that names anything but layers, with an activation that is anything but a torch layer.

    Args:
        cfg: The content of a model YAML.
        where: Its file, for the message.
        layers: Names of the layers of plugins.

    Raises:
        UnsafeError: If there is something else in it; all of it is reported.
        SettingsError: If it names an unknown layer.
    """
    if (problem := malformed(cfg, where)) is not None:
        raise SettingsError(problem)
    refused: list[Problem] = []
    strange: list[str] = []
    activation = cfg.get("activation")
    if activation is not None and not _is_activation(activation):
        fix = "use a layer of torch with plain arguments, such as torch.nn.SiLU()"
        refused.append(Problem(f"refused: activation {activation!r} is not a layer of torch.", fix, where))
    for part in PARTS:
        for _, _, name, arguments in cfg[part]:
            if name in layers:
                continue
            if name == TORCHVISION:
                refused += _torchvision_problems(arguments, where)
            elif is_layer(name):
                continue
            elif name.isidentifier() and not hasattr(tasks, name):
                strange.append(name)
            else:
                refused.append(Problem(f"refused: {name!r} in the {part} is not a layer.", "name a layer", where))
    if refused:
        raise UnsafeError(*list(dict.fromkeys(refused))[:SHOWN])
    if strange:
        raise SettingsError(*(_unknown_layer(name, layers, where) for name in list(dict.fromkeys(strange))[:SHOWN]))


def vet_model_file(cfg: Any, layers: Collection[str] = ()) -> None:
    """Vet the architecture that a model is to be built from, if it is one of the engine's form.

    Args:
        cfg: The content of a model YAML or its file; anything else is up to the task.
        layers: Names of the layers of plugins.

    Raises:
        UnsafeError: If building it could execute code or fetch something.
        SettingsError: If it names a layer that is not known.
    """
    if isinstance(cfg, (str, Path)) and str(cfg).lower().endswith((".yaml", ".yml")):
        try:
            cfg = tasks.yaml_model_load(cfg)
        except (OSError, TypeError, ValueError, AssertionError, yaml.YAMLError):
            return  # the task reports it
    if isinstance(cfg, dict) and all(part in cfg for part in PARTS):
        vet_architecture(cfg, str(cfg.get("yaml_file") or "") or None, layers)


def _torchvision_problems(arguments: Any, where: str | None) -> list[Problem]:
    """Return why a row of `TorchVision` is refused: it fetches weights unless its arguments say otherwise."""
    import torchvision

    name, weights = (*arguments[1:3], "DEFAULT", "DEFAULT")[:2]
    if weights is not None and weights != "None":
        fix = "write None as its third argument: [channels, model, None]"
        return [Problem(f"refused: the layer {TORCHVISION} would fetch weights.", fix, where)]
    # Models of other kinds fetch the weights of their backbones all the same.
    if name not in torchvision.models.list_models(module=torchvision.models):
        fix = "name one that classifies images, such as resnet18"
        return [Problem(f"refused: {name!r} is not a model that {TORCHVISION} may build.", fix, where)]
    return []


def without_weights(cfg: dict[str, Any]) -> dict[str, Any]:
    """Return an architecture whose layers do not fetch weights, for a file that has the weights itself."""
    rows = {}
    for part in PARTS:
        rows[part] = [
            [*row[:3], [*(*row[3], "")[:2], None, *row[3][3:]]]
            if isinstance(row, (list, tuple)) and len(row) == 4 and row[2] == TORCHVISION and len(row[3]) > 1
            else row
            for row in rows_of(cfg, part)
        ]
    return {**cfg, **rows}


@cache
def _shipped(name: str) -> dict[str, Any]:
    found = next((engine_folder() / "cfg" / "models").rglob(name), None)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if it is built
    content = yaml.load(found.read_text(encoding="utf-8"), loader) if found is not None else None  # noqa: S506
    return content if isinstance(content, dict) else {}


def is_shipped(cfg: Mapping[str, Any]) -> bool:
    """Return whether the rows of an architecture are those of the engine's own file of that name."""
    name = Path(str(cfg.get("yaml_file") or "")).name
    unscaled = re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", name)
    shipped = _shipped(unscaled) if re.fullmatch(r"[\w.-]+\.ya?ml", unscaled) else {}
    same = (*PARTS, "activation")
    return bool(shipped) and all(shipped.get(part) == cfg.get(part) for part in same)


def _unknown_layer(name: str, layers: Collection[str], where: str | None) -> Problem:
    problem = unknown("layer", name, {*layers, *filter(is_layer, vars(tasks))}, where)
    return replace(problem, fix="if a plugin adds it, switch it on: --plugin NAME")


def _is_activation(text: Any) -> bool:
    """Return whether a text is the call of an activation of `torch.nn` with numbers or booleans as arguments."""
    try:
        call = ast.parse(str(text).strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return False
        values = [ast.literal_eval(a) for a in [*call.args, *(k.value for k in call.keywords)]]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return False
    name = ast.unparse(call.func).removeprefix("torch.")
    return name.startswith("nn.") and name[3:] in ACTIVATIONS and all(map(is_number, values))


def is_layer(name: str) -> bool:
    """Return whether a name in a model YAML is a layer of the engine, of torch or of torchvision.

    Whole models of the engine are not, since they read further files.
    """
    if name.startswith("nn."):
        found = getattr(torch.nn, name[3:], None)
    elif name.startswith("torchvision.ops."):
        import torchvision

        found = getattr(torchvision.ops, name[16:], None)
    else:
        found = getattr(tasks, name, None)
        if not str(getattr(found, "__module__", "")).startswith(LAYERS):
            return False
    return isinstance(found, type) and issubclass(found, torch.nn.Module)

"""Architectures of models: refused if building one could execute code or fetch something, or if a layer is unknown.

The engine evaluates the text of ``activation``, and calls whatever global of its module a layer names: also whole
models, which read further files, and `TorchVision`, which fetches weights.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from ultralytics.nn import tasks

from trainer_host.base.errors import Problem, SettingsError, UnsafeError, unknown
from trainer_host.engine.ultralytics.engine_settings import engine_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

PARTS = ("backbone", "head")
STRUCTURE = frozenset({*PARTS, "scales", "scale", "depth_multiple", "width_multiple", "activation", "yaml_file"})
"""Keys of a model YAML that say how to build it, and nothing about a dataset."""
LAYERS = "ultralytics.nn.modules."
"""Where the engine's layers are defined; what else its parser could call are whole models."""
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
MAX_LAYERS = 2_000
MAX_TEXT = 200
SHOWN = 3
MAX_NUMBER = 1_000_000
MAX_VALUES = 100_000


def vet_architecture(cfg: Mapping[str, Any], where: str | None = None, layers: Collection[str] = ()) -> None:
    """Refuse an architecture that names anything but layers, with an activation that is anything but a torch layer.

    Args:
        cfg: The content of a model YAML.
        where: Its file, for the message.
        layers: Names of the layers that plugins bring.

    Raises:
        UnsafeError: If there is something else in it; all of it is reported.
        SettingsError: If it names a layer that nobody knows.
    """
    if (problem := _malformed(cfg, where)) is not None:
        raise SettingsError(problem)
    refused: list[Problem] = []
    strange: list[str] = []
    activation = cfg.get("activation")
    if activation is not None and not _is_activation(activation):
        fix = "Use a layer of torch with plain arguments, such as torch.nn.SiLU()."
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
                refused.append(Problem(f"refused: {name!r} in the {part} is not a layer.", "Name a layer.", where))
    if refused:
        raise UnsafeError(*list(dict.fromkeys(refused))[:SHOWN])
    if strange:
        raise SettingsError(*(_unknown_layer(name, layers, where) for name in list(dict.fromkeys(strange))[:SHOWN]))


def vet_model_file(cfg: Any, layers: Collection[str] = ()) -> None:
    """Vet the architecture that a model is to be built from, if it is one of the engine's form.

    Args:
        cfg: The content of a model YAML or its file; anything else is a task's own matter.
        layers: Names of the layers that plugins bring.

    Raises:
        UnsafeError: If building it could execute code or fetch something.
        SettingsError: If it names a layer that is not known.
    """
    if isinstance(cfg, (str, Path)) and str(cfg).lower().endswith((".yaml", ".yml")):
        try:
            cfg = tasks.yaml_model_load(cfg)
        except (OSError, TypeError, ValueError, AssertionError, yaml.YAMLError):
            return  # the task says what is wrong with it
    if isinstance(cfg, dict) and all(part in cfg for part in PARTS):
        vet_architecture(cfg, str(cfg.get("yaml_file") or "") or None, layers)


def _malformed(cfg: Mapping[str, Any], where: str | None) -> Problem | None:
    """Return what is wrong with the form of an architecture, or with its size; None if it can be looked at."""
    if missing := [part for part in PARTS if not _rows(cfg, part)]:
        what = f"the architecture has no {missing[0]}."
        return Problem(what, "Use a model YAML with backbone and head, such as yolo11n.yaml.", where)
    rows = [row for part in PARTS for row in _rows(cfg, part)]
    if (long := next((t for t in _texts(dict(cfg)) if len(t) > MAX_TEXT), None)) is not None:
        return Problem(f"the architecture has a text of {len(long):,} characters: {long[:40]}...", None, where)
    for row in rows:
        if not _is_row(row):
            what = f"invalid row in the architecture: {str(row)[:80]}."
            return Problem(what, "Write [from, repeats, layer, [arguments]].", where)
        if (wrong := next((a for a in _texts(row[3]) if not _is_argument(a, cfg)), None)) is not None:
            return Problem(f"invalid argument {wrong!r} of {row[2]} in the architecture.", "Write a literal.", where)
    if (key := next((k for k, v in cfg.items() if k not in STRUCTURE and not _is_setting(v)), None)) is not None:
        return Problem(f"the key {key!r} of the architecture is neither a number nor text.", None, where)
    if not _are_scales(cfg):
        return Problem(
            "the scales of the architecture are not three numbers each.", "Write [depth, width, most].", where
        )
    if (number := next((n for n in _numbers(dict(cfg)) if not abs(n) <= MAX_NUMBER), None)) is not None:
        return Problem(f"the architecture has the number {number}.", "Use numbers up to a million.", where)
    depth = max([*(scale[0] for scale in (cfg.get("scales") or {}).values()), cfg.get("depth_multiple", 1.0)])
    if sum(max(row[1] * depth, 1) for row in rows) > MAX_LAYERS:
        return Problem(f"the architecture has more than {MAX_LAYERS:,} layers.", "Use fewer repeats.", where)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_setting(value: Any) -> bool:
    """Return whether a key next to the rows has a value that models use: text, a number, or a few numbers."""
    if isinstance(value, (list, tuple)):
        return len(value) <= 16 and all(map(_is_number, value))
    return value is None or _is_number(value) or isinstance(value, str)


def _are_scales(cfg: Mapping[str, Any]) -> bool:
    scales = cfg.get("scales") or {}
    if not isinstance(scales, dict) or not all(
        isinstance(v, (list, tuple)) and len(v) == 3 and all(map(_is_number, v)) for v in scales.values()
    ):
        return False
    return all(_is_number(cfg.get(k, 1.0)) for k in ("depth_multiple", "width_multiple"))


def _is_argument(text: str, cfg: Mapping[str, Any]) -> bool:
    """Return whether a text among a row's arguments is a literal, a plain word, or the name of a key.

    The engine takes the names of its parser's variables for their values, lists of layers among them.
    """
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return text in cfg or text not in PARSER_VARIABLES


PARSER_VARIABLES = frozenset({*tasks.parse_model.__code__.co_varnames, *tasks.parse_model.__code__.co_cellvars})


def _rows(cfg: Mapping[str, Any], part: str) -> list[Any]:
    found = cfg.get(part)
    return found if isinstance(found, list) else []


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_row(row: Any) -> bool:
    if not (isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str)):
        return False
    return _is_source(row[0]) and _is_int(row[1]) and isinstance(row[3], (list, tuple))


def _is_source(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, (list, tuple)) and bool(value) and all(map(_is_int, value)))


def _leaves(value: Any) -> Iterator[Any]:
    """Yield everything in an architecture that is not a container, keys too; infinity if there is no end."""
    left = [value]
    for _ in range(MAX_VALUES):
        if not left:
            return
        value = left.pop()
        if isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
        else:
            yield value
    yield math.inf


def _texts(value: Any) -> Iterator[str]:
    return (leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _numbers(value: Any) -> Iterator[float]:
    """Yield every number in an architecture, also those that are written as text."""
    for leaf in _leaves(value):
        literals = _leaves(_literal(leaf)) if isinstance(leaf, str) else [leaf]
        yield from (literal for literal in literals if _is_number(literal))


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _torchvision_problems(arguments: Any, where: str | None) -> list[Problem]:
    """Return why a row of `TorchVision` is refused: it fetches weights unless it is told not to."""
    import torchvision

    name, weights = (*arguments[1:3], "DEFAULT", "DEFAULT")[:2]
    if weights is not None and weights != "None":
        fix = "Write None as its third argument: [channels, model, None]."
        return [Problem(f"refused: the layer {TORCHVISION} would fetch weights.", fix, where)]
    # Models of other kinds fetch the weights of their backbones all the same.
    if name not in torchvision.models.list_models(module=torchvision.models):
        fix = "Name one that classifies images, such as resnet18."
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
            for row in _rows(cfg, part)
        ]
    return {**cfg, **rows}


@cache
def _shipped(name: str) -> dict[str, Any]:
    found = next((engine_folder() / "cfg" / "models").rglob(name), None)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
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
    fix = " ".join(filter(None, (problem.fix, "If a plugin brings it, switch it on: --plugin NAME")))
    return replace(problem, fix=fix)


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
    return name.startswith("nn.") and name[3:] in ACTIVATIONS and all(map(_is_number, values))


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

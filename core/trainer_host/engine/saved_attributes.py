"""What a saved model has besides its tensors, set on a model that was built from the same architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.checkpoint.inert_pickle import TensorRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer_host.base.protocols import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint

ACTIVATIONS: Mapping[str, Callable[[], Module]] = {
    kind.__name__: kind
    for kind in (
        *(torch.nn.Identity, torch.nn.SiLU, torch.nn.ReLU, torch.nn.ReLU6, torch.nn.LeakyReLU, torch.nn.GELU),
        *(torch.nn.Hardswish, torch.nn.Hardsigmoid, torch.nn.Mish, torch.nn.ELU, torch.nn.CELU, torch.nn.SELU),
        *(torch.nn.Sigmoid, torch.nn.LogSigmoid, torch.nn.Tanh, torch.nn.Softplus, torch.nn.Softsign),
    )
}
RENAMED = {"Silence": "Identity"}
"""Classes of the engine that were replaced by another, which does the same."""
HEAD: Mapping[str, type[int]] = {"max_det": int, "agnostic_nms": bool, "_end2end": bool}
"""Attributes of the last layer that a training sets, and that decide what is predicted."""
MAX_DETECTIONS = 100_000


def set_attributes(checkpoint: Checkpoint, model: Any) -> None:
    """Set what a model has besides its tensors: the settings of its training, and what `set_plain_attributes` sets."""
    set_plain_attributes(checkpoint, model)
    model.args = {**DEFAULT_CFG_DICT, **{k: v for k, v in checkpoint.settings.items() if k in DEFAULT_CFG_DICT}}
    model.pt_path = str(checkpoint.path)
    model.task = checkpoint.task
    _restore_modules(checkpoint, model)


def _restore_modules(checkpoint: Checkpoint, model: Any) -> None:
    """Set what differs between the modules of a file and those that this release builds from the same architecture.

    Releases of the engine have changed activations of a layer, whose tensors stay the same.

    Raises:
        SettingsError: If a module without tensors is of a class that is not known here.
    """
    saved = checkpoint.model.trained_modules if checkpoint.model is not None else {}
    own = dict(model.named_modules(remove_duplicate=False))
    other = []
    for name, (kind, settings) in saved.items():
        module, short = own.get(name), kind.rpartition(".")[2]
        if module is None or not name:
            continue
        for attribute in ("eps", "momentum"):
            if type(settings.get(attribute)) is float and type(getattr(module, attribute, None)) is float:
                setattr(module, attribute, settings[attribute])
        if type(module).__name__ == RENAMED.get(short, short):
            continue
        if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
            other.append(f"{name} is a {short} there and a {type(module).__name__} here")
        else:
            parent, _, child = name.rpartition(".")
            own[parent].add_module(child, _activation(checkpoint, name, short, settings))
    if other:
        more = f", and {len(other) - 1} more" if len(other) > 1 else ""
        LOGGER.warning(f"{checkpoint.path}: layers have other classes than this release builds: {other[0]}{more}.")
    if isinstance(layers := getattr(model, "model", None), torch.nn.Sequential):
        _, settings = saved.get(f"model.{len(layers) - 1}", ("", {}))
        for attribute, wanted in HEAD.items():
            value = settings.get(attribute)
            if hasattr(layers[-1], attribute) and type(value) is wanted and 0 <= value <= MAX_DETECTIONS:
                setattr(layers[-1], attribute, value)


def _activation(checkpoint: Checkpoint, name: str, kind: str, settings: Mapping[str, Any]) -> Module:
    """Return a module without tensors by the name of its class, one of those that work element by element."""
    if kind not in ACTIVATIONS:
        what = f"the layer {name} is a {kind}, which this release of the engine does not build there."
        raise SettingsError(Problem(what, "Use a checkpoint of another release.", str(checkpoint.path)))
    module: Module = ACTIVATIONS[kind]()
    for attribute, value in settings.items():
        if type(getattr(module, attribute, None)) is type(value) and not attribute.startswith("_"):
            setattr(module, attribute, value)
    return module


def set_plain_attributes(checkpoint: Checkpoint, model: Any) -> None:
    """Set the attributes of the file's model that are data: names of classes, and what tasks and plugins put there."""
    for name, value in (checkpoint.model.attributes if checkpoint.model is not None else {}).items():
        if hasattr(type(model), name) or name in {*model._modules, *model._buffers, *model._parameters}:
            continue  # a method, or a part of the model itself
        setattr(model, name, checkpoint.tensor(value) if isinstance(value, TensorRef) else value)

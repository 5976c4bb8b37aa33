"""Attributes of a saved model, set on a model that was built from the same architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.engine.checkpoint.inert_objects import TensorRef
from trainer_host.engine.ultralytics.architecture import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint

RENAMED = {"Silence": "Identity"}
"""Classes of the engine that were replaced by another, which does the same."""
WITH_TENSORS = frozenset({"PReLU"})
HEAD: Mapping[str, type[int]] = {"max_det": int, "agnostic_nms": bool, "_end2end": bool}
"""Attributes of the last layer that a training sets, and that decide what is predicted."""
MAX_DETECTIONS = 100_000


def set_attributes(checkpoint: Checkpoint, model: Any) -> None:
    """Set the attributes of a saved model: the settings of its training, and those of `set_plain_attributes`."""
    set_plain_attributes(checkpoint, model)
    model.args = {**DEFAULT_CFG_DICT, **{k: v for k, v in checkpoint.settings.items() if k in DEFAULT_CFG_DICT}}
    model.pt_path = str(checkpoint.path)
    model.task = checkpoint.task
    _restore_modules(checkpoint, model)


def _restore_modules(checkpoint: Checkpoint, model: Any) -> None:
    """Apply the differences between the modules of a file and those that this release builds from its architecture.

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
        if type(module).__name__ not in ACTIVATIONS or next(module.parameters(), None) is not None:
            if next(module.parameters(), next(module.buffers(), None)) is None:
                raise _unexpected(checkpoint, name, short)
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
    if kind not in ACTIVATIONS or kind in WITH_TENSORS:
        raise _unexpected(checkpoint, name, kind)
    module: Module = ACTIVATIONS[kind]()
    for attribute, value in settings.items():
        if type(value) in (bool, float) and type(getattr(module, attribute, None)) is type(value):
            setattr(module, attribute, value)
    return module


def _unexpected(checkpoint: Checkpoint, name: str, kind: str) -> SettingsError:
    what = f"the layer {name} is a {kind}, which this release of the engine does not build there."
    return SettingsError(Problem(what, "use a checkpoint of another release", str(checkpoint.path)))


def set_plain_attributes(checkpoint: Checkpoint, model: Any, replace: bool = False) -> None:
    """Set the attributes of the file's model that are data: class names, and those of tasks and plugins."""
    parts = {*model._modules, *model._buffers, *model._parameters}
    built = parts if replace else {*parts, *vars(model)}
    for name, value in (checkpoint.model.attributes if checkpoint.model is not None else {}).items():
        if name == "names":
            model.names = _class_names(checkpoint, value)
        elif name not in built and not hasattr(type(model), name):  # neither a method nor what the architecture says
            setattr(model, name, checkpoint.tensor(value) if isinstance(value, TensorRef) else value)


def _class_names(checkpoint: Checkpoint, names: Any) -> dict[int, str]:
    """Return the names of the classes by number.

    Raises:
        SettingsError: If they are something else.
    """
    names = dict(enumerate(names)) if isinstance(names, (list, tuple)) else names
    if isinstance(names, dict) and names and all(type(k) is int and type(v) is str for k, v in names.items()):
        return names
    what = "the names of the classes are not a mapping of numbers to names."
    raise SettingsError(Problem(what, "use another file", str(checkpoint.path)))

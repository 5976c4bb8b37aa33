"""Models of checkpoints: built from the architecture, then filled with the tensors."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.cfg import TASKS
from ultralytics.nn.tasks import DetectionModel

from trainer_host.base.errors import PluginError, Problem, SettingsError, TrainerError
from trainer_host.base.gc_pause import gc_paused
from trainer_host.base.settings import is_file
from trainer_host.engine.ultralytics.architecture import is_layer, is_shipped, vet_architecture, without_weights
from trainer_host.engine.ultralytics.architecture_form import PARTS, STRUCTURE, channels_of
from trainer_host.engine.ultralytics.guarded_building import ENGINE_ERRORS, build_guarded, match_class_width, try_size
from trainer_host.engine.ultralytics.plugin_layers import model_class
from trainer_host.engine.ultralytics.saved_attributes import set_attributes, set_plain_attributes
from trainer_host.engine.ultralytics.settings_validation import check_values
from trainer_host.plugin.discovery import OBJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trainer_host.base.contexts import ModelContext
    from trainer_host.base.layer_spec import Layer
    from trainer_host.base.type_aliases import Module
    from trainer_host.engine.checkpoint.reading import Checkpoint
    from trainer_host.plugin.chain import Chain

MAX_IMGSZ = 4096
MAX_TEXT = 1024
INHERITED = ("data", "imgsz", "single_cls")
"""Settings of the training that validation and prediction inherit."""


def starting_weights(checkpoint: Checkpoint, layers: Mapping[str, Layer]) -> Module:
    """Return a model of the engine that holds a checkpoint's weights, for a new training to start from.

    Its class does not matter: what starts from it takes its tensors, its names, and the shape of its head.

    Raises:
        SettingsError: If the file holds no model of the engine, or one that does not fit its architecture.
        UnsafeError: If building it could execute code.
    """
    cfg = saved_architecture(checkpoint, layers)
    kind = model_class(DetectionModel, cfg, layers)
    return _fill(checkpoint, lambda nc: kind(deepcopy(cfg), ch=channels_of(cfg), nc=nc, verbose=False), cfg)


def trained_model(checkpoint: Checkpoint, build: Callable[[ModelContext], Module], ctx: ModelContext) -> Module:
    """Return a checkpoint's model, in single precision and evaluation mode, built by its task.

    Args:
        checkpoint: The checkpoint.
        build: Builds a model by the chain of the task; it may be a plugin's own.
        ctx: The context for the task, with the layers of plugins; for a pickled model the file's own architecture,
            channels and classes take precedence.

    Raises:
        SettingsError: If the file holds no model of the engine, or one that does not fit its architecture.
        PluginError: If plugins are missing that the file needs, or build something else.
        UnsafeError: If building it could execute code.
    """
    if checkpoint.in_state_form:
        return _of_plugins(checkpoint, build, ctx)
    cfg = saved_architecture(checkpoint, ctx.layers)
    attributes = checkpoint.model.attributes if checkpoint.model is not None else {}
    described = {k: v for k, v in cfg.items() if k not in STRUCTURE}
    names = attributes.get("names") or {i: str(i) for i in range(int(cfg["nc"]))}
    data = {**ctx.data, **described, "channels": channels_of(cfg), "names": names}
    return _fill(
        checkpoint, lambda nc: build(replace(ctx, cfg={**deepcopy(cfg), "nc": nc}, data={**data, "nc": nc})), cfg
    )


def saved_architecture(checkpoint: Checkpoint, layers: Collection[str]) -> dict[str, Any]:
    """Return the vetted architecture of a pickled model.

    Raises:
        SettingsError: If there is none, or if it names a layer that is not known.
        UnsafeError: If building it could execute code.
    """
    where, model = str(checkpoint.path), checkpoint.model
    if model is None:
        raise SettingsError(Problem("the file contains no model of the engine.", "use another file", where))
    if model.yaml is None:
        what = f"the model ({model.kind}) has no architecture (the attribute yaml), so it cannot be built."
        raise SettingsError(Problem(what, "use a checkpoint of a model that was built from a model YAML", where))
    cfg = without_weights(deepcopy(model.yaml))
    vet_architecture(cfg, where, layers)
    if not isinstance(cfg.get("nc"), int) or not isinstance(channels_of(cfg), int):
        raise SettingsError(
            Problem("the architecture does not define nc, the number of classes.", "use another file", where)
        )
    return cfg


def _fill(checkpoint: Checkpoint, build: Callable[[int], Module], cfg: dict[str, Any]) -> Module:
    """Return a model of the engine's layers with the tensors and attributes of a checkpoint.

    Args:
        checkpoint: The checkpoint.
        build: Builds the model for a number of classes.
        cfg: Its architecture.
    """
    state = checkpoint.state()
    fill = not all(is_layer(row[2]) for part in PARTS for row in cfg[part])
    if not fill and not is_shipped(cfg):
        try_size(checkpoint, cfg, state)
    with gc_paused():
        model = build_guarded(checkpoint, lambda: build(cfg["nc"]), state, fill)
        match_class_width(model, state, lambda nc: build_guarded(checkpoint, lambda: build(nc), state, fill))
    _load(checkpoint, model, state)
    set_attributes(checkpoint, model)
    module: Any
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
    return model.eval()


def _for_classes(ctx: ModelContext, nc: int) -> ModelContext:
    return replace(ctx, data={**ctx.data, "nc": nc})


def fill_model(model: Module, checkpoint: Checkpoint) -> None:
    """Load the tensors and attributes of a checkpoint into a model that has its architecture.

    Raises:
        SettingsError: If the tensors do not fit.
    """
    _load(checkpoint, model, checkpoint.state())
    set_plain_attributes(checkpoint, model, replace=True)


def _of_plugins(checkpoint: Checkpoint, build: Callable[[ModelContext], Module], ctx: ModelContext) -> Module:
    """Return the model of a file in the state-dict form, built by the plugins of the chain."""
    state = checkpoint.state()
    needs = checkpoint.record.get("needs") or ["the plugins that it was trained with"]
    needs = ["plugins=[...] with the objects that it was trained with" if n == OBJECT else n for n in needs]
    hint, path = f"The file needs: {' '.join(needs)}", str(checkpoint.path)

    cfg = ctx.cfg if isinstance(ctx.cfg, dict) and all(part in ctx.cfg for part in PARTS) else None

    def vetted() -> Module:
        if cfg is not None:
            vet_architecture(cfg, path, ctx.layers)
        return build(ctx)

    try:
        model = build_guarded(checkpoint, vetted, state, fill=True)
    except SettingsError as error:
        if files := [f"--plugin {name}" for name in needs if is_file(name)]:
            said = " ".join(p.message for p in error.problems)  # their fixes do not know the needs
            others = [name for name in needs if not is_file(name)]
            fix = " ".join(["give it:", *files, *(["and install", *others] if others else [])])
            raise PluginError(Problem(f"cannot build the model: {said}", fix, path)) from error
        raise PluginError(*error.problems, Problem("cannot build the model.", None, path, hint)) from error
    except TrainerError:
        raise
    except ENGINE_ERRORS as error:
        what = f"cannot build the model from its architecture in the file: {type(error).__name__}: {error}."
        raise SettingsError(Problem(" ".join(what.split()), None, path, hint)) from error
    match_class_width(
        model, state, lambda nc: build_guarded(checkpoint, lambda: build(_for_classes(ctx, nc)), state, fill=True)
    )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        what = "the weights do not fit the model that the plugins of this run build."
        raise PluginError(Problem(what, None, path, hint)) from error
    return model.eval()


def _load(checkpoint: Checkpoint, model: Module, state: Mapping[str, torch.Tensor]) -> None:
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [n for n in own.keys() & state.keys() if own[n].shape != state[n].shape]
    if missing or unknown or shapes:
        parts = [
            (missing, "is missing"),
            (unknown, "is not in the architecture"),
            (sorted(shapes), "has another shape"),
        ]
        said = "; ".join(
            f"{names[0]} {what}" + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
            for names, what in parts
            if names
        )
        what = f"the weights do not fit the architecture in the file: {said}."
        fix = "if the model was trained with layers of a plugin, switch it on: --plugin NAME"
        raise SettingsError(Problem(what, fix, str(checkpoint.path)))
    names = list(own)  # tensors of one module share memory with those of its state dict
    torch._foreach_copy_([own[n] for n in names], [state[n] for n in names])


def refuse_other_task(checkpoint: Checkpoint, chain: Chain) -> None:
    """Refuse to evaluate or use a model of another of the engine's tasks, which has another head.

    Raises:
        SettingsError: If the checkpoint holds one.
    """
    kind = checkpoint.settings.get("task")
    if kind in TASKS and chain.engine_task in TASKS and kind != chain.engine_task:
        what = f"the task is {chain.name}, but the model was trained for {checkpoint.task or kind}."
        fix = f"remove --task, or give a model for {chain.name}"
        raise SettingsError(Problem(what, fix, str(checkpoint.path)))


def inherited_settings(checkpoint: Checkpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a trained model inherits from its training, except those that are given.

    Raises:
        SettingsError: If one of them cannot be used.
    """
    long = [k for k, v in checkpoint.settings.items() if k in INHERITED and len(str(v)) > MAX_TEXT]
    if long:
        raise SettingsError(Problem(f"the setting {long[0]} of the training is too long.", None, str(checkpoint.path)))
    found = {k: checkpoint.settings[k] for k in INHERITED if k not in given and checkpoint.settings.get(k) is not None}
    problems = check_values(found)
    sizes = found.get("imgsz", 0)
    if not problems and max(sizes if isinstance(sizes, (list, tuple)) else [sizes]) > MAX_IMGSZ:
        problems = [Problem(f"imgsz={sizes} of the training is larger than {MAX_IMGSZ}.", "set imgsz")]
    if problems:
        raise SettingsError(*(replace(p, where=str(checkpoint.path)) for p in problems))
    return found

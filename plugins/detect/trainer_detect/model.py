"""The detection model, and attributes that training sets on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import yaml
from ultralytics.cfg import TASKS
from ultralytics.models.yolo.detect import DetectionTrainer as Engine
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.nn import tasks
from ultralytics.nn.tasks import yaml_model_load
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from trainer_host import Problem, SettingsError
from trainer_host.ultralytics import model_class, vet_architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from trainer_host import ModelContext, RunContext


def own_or_engine(trainer: Any, name: str) -> Callable[..., Any]:
    """Return a trainer's own version of a method of the engine's detection trainer, else the engine's."""
    return getattr(trainer, name, None) or partial(getattr(Engine, name), trainer)


def build_model(ctx: ModelContext, kind: type[Any], heads: Collection[str], **arguments: Any) -> Any:
    """Return a model of the engine for the dataset's classes, starting from ``ctx.weights`` if given.

    Args:
        ctx: The architecture, the weights and the dataset.
        kind: The engine's class of model.
        heads: Heads that the task can train.
        arguments: Further arguments of that class.

    Raises:
        SettingsError: If the architecture has another head, or if its file cannot be read.
    """
    cfg = _architecture(ctx)
    vet_architecture(cfg, str(cfg.get("yaml_file") or "") or None, ctx.layers)
    refuse_other_heads(ctx, cfg, heads)
    kind = model_class(kind, cfg, ctx.layers)
    model = kind(cfg, nc=ctx.data["nc"], ch=ctx.data["channels"], verbose=ctx.verbose and RANK == -1, **arguments)
    name_classes(ctx, model)
    if ctx.weights is not None:
        model.load(ctx.weights)
    return model


def name_classes(ctx: ModelContext, model: Any) -> None:
    """Name the classes before weights are loaded, so that the class layer can be mapped by name."""
    own = getattr(ctx.engine, "set_model_names_for_load", None)
    if own is not None:
        own(model)
    elif getattr(ctx.args, "cls_remap", True) and ctx.data.get("names"):
        model.names = ctx.data["names"]


def _architecture(ctx: ModelContext) -> dict[str, Any]:
    if isinstance(ctx.cfg, dict):
        return ctx.cfg
    try:
        cfg: dict[str, Any] = yaml_model_load(ctx.cfg)
    except yaml.YAMLError as error:
        what = f"{ctx.cfg} is not YAML: {' '.join(str(error).split())}."
        raise SettingsError(Problem(what, "correct the file")) from error
    except (FileNotFoundError, TypeError, ValueError, AssertionError) as error:
        raise SettingsError(
            Problem(f"model {ctx.cfg} not found.", "give a model YAML, such as yolo11n.yaml, or a checkpoint")
        ) from error
    return cfg


def refuse_other_heads(ctx: ModelContext, cfg: dict[str, Any], heads: Collection[str]) -> None:
    """Refuse an architecture whose head the task cannot train.

    Raises:
        SettingsError: If it has one.
    """
    try:
        head = str(cfg["head"][-1][2])
    except (KeyError, IndexError, TypeError) as error:
        raise SettingsError(Problem(f"{ctx.cfg} does not describe a model: it has no head.")) from error
    if head not in heads and not _is_variant(ctx, head, heads):
        given = str(getattr(ctx.args, "model", ""))
        name = given if given.endswith(".pt") else cfg.get("yaml_file") or "the model"
        wanted = " or ".join(sorted(heads))
        what = f"task {ctx.task!r} cannot train {name}: its head is {head}, not {wanted}."
        raise SettingsError(Problem(what, _instead(ctx, head)))


def _instead(ctx: ModelContext, head: str) -> str:
    """Return what to do about a model with a head of another task."""
    kinds = (kind for kind in sorted(TASKS, reverse=True) if kind in head.lower())
    kind, given = next(kinds, None), str(getattr(ctx.args, "model", ""))
    fix = f"give a model for {ctx.task}"
    if kind not in {None, ctx.task}:
        fix += f", or use a task for it: --task {kind}"
    if given.endswith(".pt"):
        fix += f"; to start from its other layers, give an architecture and pretrained={given}"
    return fix


def _is_variant(ctx: ModelContext, head: str, heads: Collection[str]) -> bool:
    """Return whether a head is a plugin's, and of a class that is derived from one of the task's heads."""
    own = ctx.layers[head].module if head in ctx.layers else None
    return isinstance(own, type) and issubclass(own, tuple(getattr(tasks, name) for name in heads))


def align_max_det(ctx: RunContext) -> None:
    """Raise the default limit of detections to the fullest image, also in the head."""
    trainer = ctx.engine
    datasets = {"train": trainer.train_loader.dataset, "val": trainer.test_loader.dataset}
    DetectionValidator._check_max_det(trainer.args, datasets)
    unwrap_model(trainer.model).set_head_attr(max_det=trainer.args.max_det)


def weigh_classes(ctx: RunContext) -> None:
    """Give rare classes more weight in the loss, by ``cls_pw``; the weights have a mean of one."""
    if not 0 <= ctx.args.cls_pw <= 1:
        raise SettingsError(f"cls_pw={ctx.args.cls_pw} is not in the range from 0 to 1.")
    if ctx.args.cls_pw == 0:
        return
    trainer = ctx.engine
    counts = own_or_engine(trainer, "get_class_counts")()
    if not counts.any():
        return
    weights = own_or_engine(trainer, "compute_class_weights")(counts)
    model = unwrap_model(trainer.model)
    model = getattr(model, "student_model", model)
    model.class_weights = torch.from_numpy(weights / weights.mean()).to(trainer.device)
    LOGGER.info(f"Class weights: {model.class_weights.cpu().numpy().round(3)}")

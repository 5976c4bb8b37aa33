"""The engine's predictions as `Detections`, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from trainer_host import Detections, PluginError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.typing import Postprocess

MEASURED = {"boxes": "bboxes", "classes": "cls", "scores": "conf", "points": "keypoints"}
"""Names of the fields of `Detections` in a validator of the engine."""
ADVICE = "see docs/how-to/change-predictions.md"


def from_measured(found: dict[str, Any], shape: tuple[int, int]) -> Detections:
    """Return the predictions of an engine's validator on an image, or its labels.

    Args:
        found: Tensors by the engine's names.
        shape: Height and width of the image in pixels.
    """
    fields = {ours: found[theirs] for ours, theirs in MEASURED.items() if theirs in found}
    fields.setdefault("scores", torch.ones_like(found["cls"]))
    rest = {k: v for k, v in found.items() if k not in MEASURED.values()}
    extra = {k: v for k, v in rest.items() if isinstance(v, torch.Tensor) and len(v) == len(found["cls"])}
    return Detections(**fields, shape=shape, extra=extra)


def to_measured(found: Detections) -> dict[str, Any]:
    """Return objects in the form of an engine's validator, which expects the most confident first."""
    found = found.keep(found.scores.argsort(descending=True, stable=True))
    named = {theirs: getattr(found, ours) for ours, theirs in MEASURED.items()}
    return {k: v for k, v in named.items() if v is not None} | dict(found.extra)


def from_result(result: Any) -> Detections:
    """Return the predictions of an engine's predictor on an image, in pixels of the image's file."""
    boxes = result.boxes if result.obb is None else result.obb
    return Detections(
        boxes=(boxes.xyxy if result.obb is None else boxes.xywhr).clone(),  # clones are not inference tensors
        classes=boxes.cls.clone(),
        scores=boxes.conf.clone(),
        shape=result.orig_shape,
        points=None if result.keypoints is None else result.keypoints.data.clone(),
        extra={} if result.masks is None else {"masks": result.masks.data},
    )


def as_arrays(result: Any) -> Detections:
    """Return what a predictor of the engine found in an image as arrays of numpy, with upright boxes."""
    boxes = result.boxes if result.obb is None else result.obb
    points = result.keypoints
    return Detections(
        boxes=boxes.xyxy.float().cpu().numpy().copy(),
        classes=boxes.cls.long().cpu().numpy(),
        scores=boxes.conf.float().cpu().numpy().copy(),
        shape=result.orig_shape,
        points=None if points is None else points.data.float().cpu().numpy().copy(),
        extra={} if result.obb is None else {"oriented": boxes.xywhr.float().cpu().numpy().copy()},
    )


def to_result(found: Detections, result: Any) -> Any:
    """Return an image's result with these objects in it."""
    changed = result.new()
    boxes = torch.cat([found.boxes, found.scores[:, None], found.classes[:, None]], dim=1)
    changed.update(
        **{"boxes" if result.obb is None else "obb": boxes}, keypoints=found.points, masks=found.extra.get("masks")
    )
    return changed


def postprocessed(postprocess: Postprocess, found: Sequence[Detections]) -> list[Detections]:
    """Return predictions as plugins change them, on their device and in their precision.

    Raises:
        PluginError: If plugins return something other than predictions of the same kind.
    """
    return [_checked(after, before) for after, before in zip(postprocess(found), found, strict=True)]


def _checked(after: Any, before: Detections) -> Detections:
    if not isinstance(after, Detections):
        raise PluginError(Problem(f"post-processing returned a {type(after).__name__}, not Detections.", ADVICE))
    fields: dict[str, Any] = {}
    for name in ("boxes", "classes", "scores", "points"):
        value, old = getattr(after, name), getattr(before, name)
        if (value is None) != (old is None):
            raise PluginError(Problem(f"post-processing returned {name} that are {value}, unlike before.", ADVICE))
        if old is None:
            continue
        fields[name] = torch.as_tensor(value, dtype=old.dtype, device=old.device)
        if fields[name].shape != (len(after.boxes), *old.shape[1:]):
            wanted = ", ".join(["N", *map(str, old.shape[1:])])
            what = f"post-processing returned {name} of shape {tuple(fields[name].shape)} instead of ({wanted})."
            raise PluginError(Problem(what, ADVICE, hint=f"{len(after.boxes)} boxes were returned."))
    short = [name for name in before.extra if len(after.extra.get(name, ())) != len(after.boxes)]
    if short:
        fix = "choose objects with Detections.keep, which keeps everything in step"
        raise PluginError(Problem(f"post-processing returned {len(after.boxes)} boxes with other {short[0]}.", fix))
    return replace(after, **fields)

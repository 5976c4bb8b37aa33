"""Checks of single engine settings: the engine's own, and those that it makes too late or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ultralytics.cfg import check_cfg

from trainer_host.base.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")


def check_values(values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with single settings."""
    problems = []
    for key, value in values.items():
        try:
            check_cfg({key: value})
        except (TypeError, ValueError) as error:
            problems.append(Problem(" ".join(str(error).split())))
            continue
        if key in CHECKS and (wanted := CHECKS[key](value)):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            problems.append(Problem(f"{key}={shown} is not valid.", wanted))
    return problems


def _count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _counts(value: Any, least: int) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(_count(v, least) for v in value)


def _optimizer(value: Any) -> str | None:
    if str(value).lower() in {o.lower() for o in OPTIMIZERS}:
        return None
    near = nearest(str(value), OPTIMIZERS)
    return f"Did you mean {near}?" if near else f"Write one of {', '.join(OPTIMIZERS)}."


def _imgsz(value: Any) -> str | None:
    good = _count(value, 1) or (_counts(value, 1) and len(value) <= 2)
    return None if good else "Write a size in pixels, such as imgsz=640."


def _batch(value: Any) -> str | None:
    good = value == -1 or _count(value, 1) or (isinstance(value, float) and 0 < value < 1)
    return None if good else "Write a number of images such as batch=16; on a GPU also -1 or a share of its memory."


def _freeze(value: Any) -> str | None:
    good = value is None or _count(value, 0) or _counts(value, 0)
    return None if good else "Write a number of layers such as freeze=10, or a list such as freeze=[0,1,2]."


def _classes(value: Any) -> str | None:
    good = value is None or _count(value, 0) or _counts(value, 0)
    return None if good else "Write numbers of classes, such as classes=[0,2]."


def _cache(value: Any) -> str | None:
    good = isinstance(value, bool) or value in ("ram", "disk", None)
    return None if good else "Write cache=ram, cache=disk, or leave it out."


def _workers(value: Any) -> str | None:
    return None if _count(value, 0) else "Write a number of processes, such as workers=4."


def _time(value: Any) -> str | None:
    good = value is None or (isinstance(value, (int, float)) and value > 0)
    return None if good else "Write hours, such as time=1.5."


def several_devices(value: Any) -> bool:
    """Return whether a ``device`` setting names more than one."""
    return (isinstance(value, (list, tuple)) and len(value) > 1) or (isinstance(value, str) and "," in value)


def _device(value: Any) -> str | None:
    several = "Training on several devices is not supported yet; name one: device=0"
    return several if several_devices(value) else None


CHECKS: dict[str, Callable[[Any], str | None]] = {
    "optimizer": _optimizer,
    "imgsz": _imgsz,
    "batch": _batch,
    "freeze": _freeze,
    "classes": _classes,
    "cache": _cache,
    "workers": _workers,
    "time": _time,
    "device": _device,
}
"""For each setting a function that returns what to write, or None where the value is good."""

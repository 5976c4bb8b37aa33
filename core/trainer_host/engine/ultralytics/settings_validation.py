"""Checks of single settings: the engine's own, and those that it makes too late or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ultralytics.cfg import (
    CFG_BOOL_KEYS,
    CFG_FLOAT_KEYS,
    CFG_FRACTION_KEYS,
    CFG_INT_KEYS,
    check_cfg,
)

from trainer_host.base.errors import Problem, nearest
from trainer_host.engine.ultralytics.engine_settings import engine_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer_host.engine.protocol import Command

OPTIMIZERS = ("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")
COMPILE_MODES = ["default", "reduce-overhead", "max-autotune-no-cudagraphs"]
CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": OPTIMIZERS,
    "split": ("train", "val", "test"),
    "copy_paste_mode": ("flip", "mixup"),
    "auto_augment": ("randaugment", "autoaugment", "augmix"),
}
MAX_SEED = 2**32 - 1
"""The largest seed that NumPy takes."""
PATHS = frozenset({"data", "model", "distill_model", "save_dir", "project", "name", "source"})
"""Settings that name files and folders, whose names may have any bytes if they are not written to a record."""
ONE_OF: dict[str, tuple[str, ...]] = {
    **CHOICES,
    "amp": ("True", "False", "fp16", "bf16", "fp32"),
    "quantize": ("16", "32"),
}
"""Values of settings that have few, for messages."""
BOUNDS: dict[str, tuple[float, float]] = {
    "momentum": (0, 0.9999),
    "warmup_momentum": (0, 0.9999),
    "close_mosaic": (0, math.inf),
    "degrees": (-360, 360),
    "shear": (-89, 89),
}
"""The least and the largest value of settings that the engine does not bound, or not enough."""
MAX_COUNT = 2**63 - 1
"""The largest number that torch takes."""
MAX_IMGSZ = 2**15 - 1
"""The largest size of an image that OpenCV warps, in pixels."""
SIGNED = frozenset({"degrees", "shear", "batch", "save_period", "line_width", "opset", "time"})
"""Numbers that may be negative, or have their own check."""


def check_values(
    values: Mapping[str, Any], command: Command = "run", where: Callable[[str], str | None] = lambda _: None
) -> list[Problem]:
    """Return the problems in single settings.

    Args:
        values: Settings that the engine has.
        command: The command that they are given to.
        where: Returns the place of a setting in a file, or None.
    """
    problems, checks = [], {**CHECKS, **(TRAINED_ALONE if command != "run" else {})}
    for key, value in values.items():
        shown = f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        if not _is_text(value, any_bytes=command != "run" and key in PATHS):
            problems.append(Problem(f"{shown} is not valid text.", f"correct {key}", where(key)))
        elif wanted := _general(key, value) or checks.get(key, _good)(value) or _instead_of_refused(key, value):
            problems.append(Problem(f"{shown} is not valid.", wanted, where(key)))
        elif key == "augmentations":
            problems += wrong_augmentations(value)
    return problems


def _instead_of_refused(key: str, value: Any) -> str | None:
    """Return what to write for a value that the engine refuses; None if it takes it."""
    if _is_taken(key, value):
        return None
    if key in ONE_OF:
        return f"write one of {', '.join(ONE_OF[key])}"
    example = f"{key}={engine_defaults().get(key) or (1 if key in CFG_INT_KEYS else 0.5)}"
    if key == "fraction":
        return "write a fraction such as fraction=0.5, a number of images such as fraction=100, or one for each split"
    if key in CFG_FRACTION_KEYS or key == "scale":
        return f"write a number from 0 to 1, such as {example}"
    if key in CFG_INT_KEYS:
        least = "" if key in SIGNED else f" of at least {next((n for n in (0, 1) if _is_taken(key, n)), 0)}"
        return f"write a whole number{least}, such as {example}"
    if key in CFG_FLOAT_KEYS:
        return f"write a number, such as {example}"
    return f"write {key}=True or {key}=False" if key in CFG_BOOL_KEYS else f"write another value, such as {example}"


def _is_taken(key: str, value: Any) -> bool:
    """Return whether the engine's own check takes a value."""
    try:
        check_cfg({key: value})
    except (TypeError, ValueError):
        return False
    return True


def _general(key: str, value: Any) -> str | None:
    """Return what to write for a value that is invalid for every setting of its type."""
    numeric = key in CFG_FLOAT_KEYS | CFG_FRACTION_KEYS | CFG_INT_KEYS or key == "scale"
    numbers = [v for v in _leaves(value) if isinstance(v, (int, float))]
    real = key in CFG_FLOAT_KEYS | CFG_FRACTION_KEYS and value is not None and not isinstance(value, (int, float))
    if real and key not in CHECKS and not (key == "fraction" and isinstance(value, list)):
        return f"write a number, such as {key}={engine_defaults().get(key) or 0.5}"
    if numeric and any(isinstance(v, bool) for v in numbers):
        return f"write a number, such as {key}={engine_defaults().get(key) or (1 if key in CFG_INT_KEYS else 0.5)}"
    has_check = not numeric and (key in CHECKS or key in CFG_BOOL_KEYS or key in ONE_OF)
    if not has_check and any(isinstance(v, float) and not math.isfinite(v) for v in numbers):
        return "write a finite number"
    if key in CFG_FLOAT_KEYS - SIGNED and any(v < 0 for v in numbers):
        return "write a number that is not negative"
    if numeric and any(isinstance(v, int) and abs(v) > MAX_COUNT for v in numbers):
        return f"write a number of at most {MAX_COUNT}"  # which torch takes; more is an overflow in the training
    least, most = BOUNDS.get(key, (-math.inf, math.inf))
    if numeric and any(not least <= v <= most for v in numbers):
        least = least if key in SIGNED else max(least, 0)
        return f"write a number from {least:g}" + (f" to {most:g}" if most < math.inf else "")
    if isinstance(value, (dict, set)) or (value is not None and key in CFG_BOOL_KEYS and not isinstance(value, bool)):
        return f"write {key}=True or {key}=False" if key in CFG_BOOL_KEYS else "write a single value"
    return None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for pair in value.items():
            yield from (leaf for item in pair for leaf in _leaves(item))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _is_text(value: Any, any_bytes: bool) -> bool:
    """Return whether all text in a value can be given to the system and, but for ``any_bytes``, written to a file."""
    texts = [str(v) for v in _leaves(value) if isinstance(v, (str, os.PathLike))]
    return not any("\0" in t or (not any_bytes and any("\ud800" <= c <= "\udfff" for c in t)) for t in texts)


def _good(_: Any) -> None:
    return None


def _count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT


def _counts(value: Any, least: int) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(_count(v, least) for v in value)


def _choice(key: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None or str(value).lower() in {c.lower() for c in CHOICES[key]}:
            return None
        near = nearest(str(value), CHOICES[key])
        return f"write {key}={near}" if near else f"write one of {', '.join(CHOICES[key])}"

    return check


def _imgsz(value: Any) -> str | None:
    good = _count(value, 1) or (_counts(value, 1) and len(value) <= 2)
    sizes = value if isinstance(value, (list, tuple)) else [value]
    if good and max(sizes) > MAX_IMGSZ:
        return f"write a size up to {MAX_IMGSZ} pixels"
    return None if good else "write a size in pixels, such as imgsz=640"


def _batch(value: Any) -> str | None:
    good = value == -1 or _count(value, 1) or (isinstance(value, float) and 0 < value < 1)
    return None if good else "write a number of images such as batch=16; on a GPU also -1 or a fraction of its memory"


def _batch_count(value: Any) -> str | None:
    return None if _count(value, 1) else "write a number of images, such as batch=16"


def _freeze(value: Any) -> str | None:
    items = value if isinstance(value, (list, tuple)) else [value]
    named = isinstance(value, (list, tuple)) and all(_count(v, 0) or (isinstance(v, str) and v) for v in items)
    good = value is None or _count(value, 0) or named
    return None if good else "write a number of layers such as freeze=10, or a list such as freeze=[0,1,2]"


def _classes(value: Any) -> str | None:
    good = value is None or _count(value, 0) or _counts(value, 0)
    return None if good else "write numbers of classes, such as classes=[0,2]"


def _cache(value: Any) -> str | None:
    good = isinstance(value, bool) or value in ("ram", "disk", None)
    return None if good else "write cache=ram or cache=disk, or remove it"


def _compile(value: Any) -> str | None:
    good = isinstance(value, bool) or value in COMPILE_MODES
    return None if good else f"write compile=True, or one of {', '.join(COMPILE_MODES)}"


def _workers(value: Any) -> str | None:
    return None if _count(value, 0) else "write a number of processes, such as workers=4"


def _seed(value: Any) -> str | None:
    return None if _count(value, 0) and value <= MAX_SEED else f"write a number from 0 to {MAX_SEED}"


def _time(value: Any) -> str | None:
    good = value is None or (isinstance(value, (int, float)) and value > 0)
    return None if good else "write hours, such as time=1.5"


def _scale(value: Any) -> str | None:
    good = not isinstance(value, (list, tuple)) or (
        len(value) == 2 and all(isinstance(v, (int, float)) for v in value) and 0 < value[0] <= value[1]
    )
    return None if good else "write the smallest and the largest factor, such as scale=(0.5,1.5)"


def _line_width(value: Any) -> str | None:
    return None if value is None or _count(value, 1) else "write a width in pixels, such as line_width=2"


def _path(value: Any) -> str | None:
    good = value is None or (isinstance(value, (str, os.PathLike)) and str(value).strip())
    return None if good else "write the path of a file"


def _name(value: Any) -> str | None:
    good = value is None or (isinstance(value, (str, int, os.PathLike)) and not isinstance(value, bool))
    return None if good else "write a name"


def _pretrained(value: Any) -> str | None:
    if isinstance(value, (str, os.PathLike)) and str(value).lower().endswith((".yaml", ".yml")):
        return "write pretrained=FILE.pt; an architecture is given as model="
    return None if isinstance(value, bool) else _path(value)


def several_devices(value: Any) -> bool:
    """Return whether a ``device`` setting names more than one."""
    return (isinstance(value, (list, tuple)) and len(value) > 1) or (isinstance(value, str) and "," in value)


def _device(value: Any) -> str | None:
    names = value if isinstance(value, (list, tuple)) else [value]
    good = value is None or all(isinstance(v, (int, str)) and not isinstance(v, bool) for v in names)
    return None if good else "write a number or a name, such as device=0 or device=cpu"


def _one_device(value: Any) -> str | None:
    return "this command uses one device, such as device=0" if several_devices(value) else _device(value)


CHECKS: dict[str, Callable[[Any], str | None]] = {
    **{key: _choice(key) for key in CHOICES},
    **dict.fromkeys(PATHS - {"name", "project", "source"}, _path),
    **dict.fromkeys(("name", "project"), _name),
    "imgsz": _imgsz,
    "batch": _batch,
    "freeze": _freeze,
    "classes": _classes,
    "cache": _cache,
    "compile": _compile,
    "workers": _workers,
    "scale": _scale,
    "seed": _seed,
    "time": _time,
    "line_width": _line_width,
    "pretrained": _pretrained,
    "device": _device,
}
"""For each setting a function that returns what to write, or None if the value is valid."""

TRAINED_ALONE: dict[str, Callable[[Any], str | None]] = {"batch": _batch_count, "device": _one_device}
"""Checks that replace others outside of a training, in which the engine does not find a batch size."""


def wrong_augmentations(value: Any) -> list[Problem]:
    """Return the problems in transforms of albumentations, which replace the engine's own."""
    if value is None or value == []:
        return []
    entries = list(value) if isinstance(value, (list, tuple)) else [value]
    dicts = [isinstance(entry, Mapping) and "__class_fullname__" in entry for entry in entries]
    if not isinstance(value, (list, tuple)) or not (all(dicts) or all(hasattr(e, "to_dict") for e in entries)):
        what = f"augmentations={value!r:.80} are not transforms of albumentations."
        fix = "give a list of them in Python, such as augmentations=[A.Blur(p=0.1)], or of what A.to_dict returns"
        return [Problem(what, fix)]
    if find_spec("albumentations") is None:
        what = "augmentations needs albumentations, which is not installed."
        return [Problem(what, "pip install albumentations")]
    return []

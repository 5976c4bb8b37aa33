"""The settings ``classes`` and ``fraction``: unknown classes, and splits without a label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.atomic_io import display_path
from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.findings import Finding
from trainer_host.base.settings import shown_value
from trainer_host.base.wording import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from trainer_host.base.protocols import TrainingArgs
    from trainer_host.data.description import Description, Split

SHOWN = 10
"""Classes that a message lists before it counts the others."""


def chosen_classes(value: Any) -> list[int] | None:
    """Return the numbers that ``classes`` names, or None if it chooses none, or is not a choice of numbers."""
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    return numbers if numbers and all(type(n) is int for n in numbers) else None


def class_names(names: Any) -> dict[int, str]:
    """Return the classes by number; none if ``names`` is neither a list nor a mapping of numbers."""
    named = dict(enumerate(names)) if isinstance(names, (list, tuple)) else names
    if not isinstance(named, dict) or not all(type(number) is int for number in named):
        return {}
    return {number: str(name) for number, name in named.items()}


def refuse_unknown_classes(classes: Any, names: Any, owner: str) -> None:
    """Refuse ``classes`` that a dataset or a model does not have.

    Args:
        classes: The setting.
        names: The names of the classes by number.
        owner: Their owner in messages, such as ``the dataset``.

    Raises:
        SettingsError: If there are any.
    """
    chosen, known = chosen_classes(classes), class_names(names)
    if chosen is None or not known:
        return
    absent = [str(number) for number in dict.fromkeys(chosen) if number not in known]
    if absent:
        what = f"classes={shown_value(classes)}: {owner} has no class {', '.join(absent)}."
        raise SettingsError(Problem(what, f"choose from {_listed(sorted(known), known)}"))


def check_selection(data: Description, args: TrainingArgs, used: Collection[str]) -> list[Finding]:
    """Return warnings about splits of which ``classes`` and ``fraction`` leave no label.

    Args:
        data: The dataset.
        args: The engine's settings.
        used: The splits that are used.

    Raises:
        SettingsError: If ``train`` is such a split.
    """
    classes = getattr(args, "classes", None)
    chosen = chosen_classes(classes)
    findings = []
    for name, split in data.splits.items():
        share = share_of(getattr(args, "fraction", 1.0), name)
        count = images_used(share, len(split))
        rows = split.valid & ~split.crowd
        if name not in used or not rows.any() or (chosen is None and count == len(split)):
            continue
        left = rows & (split.image < count)
        if (left if chosen is None else left & np.isin(split.head(1)[:, 0], chosen)).any():
            continue
        given = [f"classes={shown_value(classes)}"] * (chosen is not None) + [f"fraction={share}"] * (
            count < len(split)
        )
        message = f"no labels remain in {name} with {' and '.join(given)}"
        message += f", which keeps {count} of {len(split)} images" if count < len(split) else ""
        names = {} if args.single_cls else class_names(data.get("names"))
        fix = _remedy(split, left, names) if chosen is not None else "set a larger fraction"
        if name == "train":
            raise SettingsError(
                Problem(f"{message}, so there is nothing to train on.", f"{fix}", display_path(Path(data.file)))
            )
        message += ", so its metrics are 0."
        findings.append(Finding("selection-unlabelled", message, fix, data.file, None, "warning", name))
    return findings


def images_used(share: float, images: int) -> int:
    """Return how many of a split's images the engine uses: a count, or a fraction of them, at least one."""
    return min(images, share if isinstance(share, int) else max(1, round(images * share)))


def share_of(fraction: Any, split: str) -> float:
    """Return what ``fraction`` says of a split, as the engine reads it: a fraction, or a whole number of images."""
    order = ("train", "val", "test")
    if isinstance(fraction, (list, tuple)):
        index = order.index(split) if split in order else len(fraction)
        fraction = fraction[index] if index < len(fraction) else 1.0
    elif split != "train":
        fraction = 1.0
    if not isinstance(fraction, (int, float)) or isinstance(fraction, bool):
        return 1.0
    return float(fraction) if fraction in {0, 1} else fraction


def _remedy(split: Split, rows: NDArray[np.bool_], names: Mapping[int, str]) -> str:
    """Return what to choose instead: classes that the rows have, if there are any."""
    numbers = sorted({int(n) for n in np.unique(split.head(1)[rows, 0]) if n % 1 == 0})
    return f"choose classes that {split.name} has: {_listed(numbers, names)}" if numbers else "set a larger fraction"


def _listed(numbers: Collection[int], names: Mapping[int, str]) -> str:
    words = [f"{n} ({names[n]})" if n in names else str(n) for n in numbers]
    return listed(words, SHOWN)

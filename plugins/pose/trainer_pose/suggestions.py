"""Suggestions for keypoint keys: flip_idx from names, default sigmas, the shape that fits the rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_detect.rows import fitting_shapes, keypoint_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.data import Description

PERSON_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035),
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""COCO's sigmas of the 17 keypoints of a person."""

LEAST_SIGMA = 0.02
"""Sigma below which keypoints hardly learn. The gradient of the loss falls with exp(-d^2 / 8 sigma^2) for a keypoint
that is off by d of the object's size. At 20 %, as an untrained model is, it is 0.045 with the smallest of COCO (0.026),
0.0005 with 0.02, and 0 with 0.01."""
LEARNING_SIGMA = 0.05
"""A sigma with which keypoints learn from the first epoch; its gradient is strong from 2 to 20 % of the size."""
MOST_KEYPOINTS = 10_000
"""Keypoints beyond which a shape is not believed, and nothing is suggested for it."""

_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORD = re.compile(r"left|right", re.IGNORECASE)
_WHOLE_WORD = re.compile(r"(?<![A-Za-z])(?i:left|right)|(?<![A-Z])(?:Left|Right)")
_LETTER = re.compile(r"(?<![A-Za-z])[lrLR](?![a-z])|(?<=[a-z0-9])[LR](?![a-z])")


def _mirror(name: str) -> str:
    """Return a name with its sides exchanged; the name itself if it has none."""
    pattern = next((p for p in (_WHOLE_WORD, _WORD, _LETTER) if p.search(name)), _LETTER)
    return pattern.sub(lambda found: _OTHER[found[0].lower()], name).casefold()


def side_pairs(names: Sequence[str]) -> dict[int, int]:
    """Return for each keypoint whose name has a side the index of its counterpart, if any.

    A side is ``left`` or ``right`` anywhere in the name (``leftear``), or an ``l`` or ``r`` that stands alone
    (``ear_l``, ``L_Ear``, ``earL``).
    """
    index = {name.casefold(): i for i, name in enumerate(names)}
    pairs = {i: index.get(_mirror(name), i) for i, name in enumerate(names)}
    return {i: j for i, j in pairs.items() if i != j and pairs.get(j) == i}


def suggested_flip_idx(names: Sequence[str]) -> list[int] | None:
    """Return the index that each keypoint has in a mirror image, inferred from left and right in the names.

    None if that cannot be inferred: no name has a side, a side has no counterpart, or a name occurs twice.
    """
    pairs = side_pairs(names)
    lonely = any(_has_side(name) for i, name in enumerate(names) if i not in pairs)
    if not pairs or lonely or len({name.casefold() for name in names}) < len(names):
        return None
    return [pairs.get(i, i) for i in range(len(names))]


def _has_side(name: str) -> bool:
    return bool(_WHOLE_WORD.search(name) or (not _WORD.search(name) and _LETTER.search(name)))


def default_sigmas(keypoints: int, dims: int = 3) -> list[float]:
    """Return the sigmas that the engine uses where the dataset has none.

    They are all alike, but for the shape [17, 3], which the engine takes for a person.
    """
    person = (keypoints, dims) == (len(PERSON_SIGMAS), 3)
    return list(PERSON_SIGMAS) if person else [round(1 / keypoints, 6)] * keypoints


def suggested_sigmas(keypoints: int, dims: int = 3) -> list[float]:
    """Return the engine's sigmas, or larger ones where those are so small that keypoints would hardly learn."""
    found = default_sigmas(keypoints, dims)
    return found if min(found) >= LEAST_SIGMA else [LEARNING_SIGMA] * keypoints


def name_lists(data: Description) -> dict[int, list[str]]:
    """Return the names of keypoints by class; malformed ones are skipped, one list stands for class 0."""
    given = data.get("kpt_names")
    if isinstance(given, (list, tuple)):
        given = {0: given}
    if not isinstance(given, dict):
        return {}
    lists = {int(k): v for k, v in given.items() if str(k).isdecimal() and isinstance(v, (list, tuple))}
    return {k: [str(name) for name in v] for k, v in lists.items()}


def flip_idx_of(data: Description, keypoints: int) -> list[int] | None:
    """Return the flip_idx that the names of all classes agree on, or None; one keypoint is its own mirror image."""
    if keypoints == 1:
        return [0]
    lists = [names for names in name_lists(data).values() if len(names) == keypoints]
    found = [suggested_flip_idx(names) for names in lists]
    return found[0] if found and all(f == found[0] for f in found) else None


def likely_shape(data: Description) -> tuple[int, int] | None:
    """Return the keypoint shape that the rows of all splits have, or None if they do not agree."""
    splits = [s for s in data.splits.values() if len(s.row_lengths)]
    judged = [s.valid & ~s.crowd for s in splits]
    columns = {int(c) for s, use in zip(splits, judged, strict=True) for c in np.unique(s.row_lengths[use])}
    if len(columns) != 1:
        return None
    count = columns.pop()
    fits = fitting_shapes(count)
    if len(fits) < 2:
        return fits[0] if fits else None
    # Of two shapes, that with visibility if every third number can be one.
    seen = [s.table(count)[1][:, 7::3] for s in splits]
    flags = all(np.isin(v[~np.isnan(v)], (0, 1, 2)).all() for v in seen)
    return fits[0] if flags else fits[1]


def counted_from_one(indices: Sequence[int], keypoints: int) -> bool:
    """Return whether indices look as if they were counted from 1: none is 0, and one is the number of keypoints."""
    return bool(indices) and min(indices) >= 1 and max(indices) == keypoints


def yaml_patch(data: Description) -> dict[str, Any]:
    """Return keys to add to a dataset YAML, or to change: what is certain from its labels and names, or suggested.

    ``kpt_shape`` if it is missing or improper and all rows agree on one; ``flip_idx`` from the names, or counted
    from 0; if there are no ``kpt_oks_sigmas`` the engine's own, or larger ones for many keypoints; ``skeleton``
    counted from 0.
    """
    given, shape = keypoint_shape(data), keypoint_shape(data) or likely_shape(data)
    if shape is None or shape[0] > MOST_KEYPOINTS:
        return {}
    keypoints = shape[0]
    patch: dict[str, Any] = {} if given else {"kpt_shape": list(shape)}
    flip = _patched_flip_idx(data, keypoints)
    if flip is not None and flip != data.get("flip_idx"):
        patch["flip_idx"] = flip
    if not data.get("kpt_oks_sigmas"):
        patch["kpt_oks_sigmas"] = suggested_sigmas(*shape)
    pairs = data.get("skeleton")
    if (
        isinstance(pairs, list)
        and all(is_pair(p) for p in pairs)
        and counted_from_one([i for p in pairs for i in p], keypoints)
    ):
        patch["skeleton"] = [[a - 1, b - 1] for a, b in pairs]
    return patch


def _patched_flip_idx(data: Description, keypoints: int) -> list[int] | None:
    suggested, given = flip_idx_of(data, keypoints), data.get("flip_idx")
    if suggested is not None or not isinstance(given, list) or not all(type(i) is int for i in given):
        return suggested
    if sorted(given) == list(range(1, keypoints + 1)):
        return [i - 1 for i in given]
    return None


def is_pair(value: Any) -> bool:
    """Return whether a value is a list of two whole numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(type(i) is int for i in value)

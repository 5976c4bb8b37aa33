"""Checks of the keys that describe keypoints: kpt_shape, flip_idx, kpt_names, kpt_oks_sigmas and skeleton."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainer_detect.checks import SHOWN, shapes_text
from trainer_detect.rows import keypoint_shape
from trainer_host.data import MISSING_KEY, Description, class_names, counted, listed
from trainer_pose.suggestions import (
    LEARNING_SIGMA,
    LEAST_SIGMA,
    PERSON_SIGMAS,
    counted_from_one,
    flip_idx_of,
    is_pair,
    likely_shape,
    name_lists,
    side_pairs,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host import Finding

SHAPE_FIX = "write kpt_shape: [K, 3] for K keypoints as x, y, visibility, or [K, 2] for x, y"
FLIP_FIX = (
    "write flip_idx: for each keypoint the index of the one in its place in a mirror image,"
    " such as [0, 2, 1] where 1 is a left and 2 a right one"
)


def check_keys(data: Description, args: Any) -> Iterator[Finding]:
    """Yield the problems of the dataset's keypoint keys.

    Args:
        data: The dataset.
        args: The engine's settings, of which ``fliplr``, ``flipud`` and ``single_cls`` are read.
    """
    yield from _shape(data)
    shape = keypoint_shape(data)
    if shape is None:
        return
    yield from _flip_idx(data, shape[0], args)
    yield from _names(data, shape[0], args)
    yield from _sigmas(data, shape)
    yield from _skeleton(data, shape[0])


def _shape(data: Description) -> Iterator[Finding]:
    if keypoint_shape(data) is not None:
        return
    likely = likely_shape(data)
    fix = SHAPE_FIX
    if likely:
        fix = (
            f"write kpt_shape: {shapes_text([likely])}, which fits the {5 + likely[0] * likely[1]} numbers of each row"
        )
    if data.get("kpt_shape") is None:
        message = "the key 'kpt_shape' is missing: the number of keypoints of an object."
        yield data.of_key("kpt_shape", MISSING_KEY, message, fix)
        return
    message = f"kpt_shape is {data['kpt_shape']!r:.80}, not two whole numbers: keypoints, and 2 or 3 numbers for each."
    shapes = shapes_by_class(data["kpt_shape"])
    if len(shapes) > 1:
        message = f"kpt_shape is {data['kpt_shape']!r:.80}, but a model has one shape for all classes."
        most = max(keypoints for keypoints, _ in shapes)
        fix = f"write kpt_shape: [{most}, 3], and {padding_text(most)}"
    yield data.of_key("kpt_shape", "kpt-shape", message, fix)


def shapes_by_class(value: Any) -> list[tuple[int, int]]:
    """Return the shapes where a kpt_shape is a list or a mapping of them, one for each class; none otherwise."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, (list, tuple)):
        return []
    found = [keypoint_shape(Description({"kpt_shape": part}, file="")) for part in parts]
    return [shape for shape in found if shape] if all(found) else []


def padding_text(keypoints: int) -> str:
    """Return how labels of classes with fewer keypoints come to have the number of all."""
    return f"add 0 0 0 at the end of each row with fewer than {keypoints} keypoints, for each that its class lacks"


# --- flip_idx -----------------------------------------------------------------------------------------------------


def _flip_idx(data: Description, keypoints: int, args: Any) -> Iterator[Finding]:
    value = data.get("flip_idx", [])
    suggested = flip_idx_of(data, keypoints)
    fix = f"write flip_idx: {suggested}" if suggested else FLIP_FIX
    if isinstance(value, (list, tuple)) and not value:
        mirrored = {key: share for key in ("fliplr", "flipud") if (share := getattr(args, key)) > 0}
        if mirrored:
            given = " and ".join(f"{key}={share:g}" for key, share in mirrored.items())
            message = f"flip_idx is not set, so images are not mirrored in training ({given} becomes 0)."
            fix += f"; or set {' '.join(f'{key}=0' for key in mirrored)} if that is intended"
            yield data.of_key("flip_idx", "flip-idx-missing", message, fix, "warning")
        return
    fault = _flip_fault(value, keypoints)
    if fault is not None:
        code, message = fault
        if code == "flip-idx-range" and counted_from_one(value, keypoints):
            fix = f"count keypoints from 0: flip_idx: {suggested or [i - 1 for i in value]}"
        yield data.of_key("flip_idx", code, message, fix)
        return
    yield from _sides(data, list(value), fix)


def _flip_fault(value: Any, keypoints: int) -> tuple[str, str] | None:
    """Return code and message of the first problem of a flip_idx, or None."""
    if not isinstance(value, (list, tuple)) or not all(type(i) is int for i in value):
        return "flip-idx-type", f"flip_idx is {value!r:.80}, not a list of whole numbers."
    if len(value) != keypoints:
        entries = counted(len(value), "entry", "entries")
        return "flip-idx-length", f"flip_idx has {entries} for {counted(keypoints, 'keypoint')}."
    outside = [i for i in value if not 0 <= i < keypoints]
    if outside:
        return "flip-idx-range", f"flip_idx has {outside[0]}, but the keypoints are 0 to {keypoints - 1}."
    twice = sorted({i for i in value if value.count(i) > 1})
    if twice:
        return "flip-idx-permutation", f"flip_idx has {twice[0]} more than once, but each keypoint occurs once."
    wrong = next((i for i in range(keypoints) if value[value[i]] != i), None)
    if wrong is None:
        return None
    message = f"flip_idx sends {wrong} to {value[wrong]} and {value[wrong]} to {value[value[wrong]]}, not back."
    return "flip-idx-involution", message


def _sides(data: Description, flip_idx: list[int], fix: str) -> Iterator[Finding]:
    """Yield where names say left and right and flip_idx does not swap them."""
    for number, names in name_lists(data).items():
        if len(names) != len(flip_idx):
            continue
        wrong = [(a, b) for a, b in side_pairs(names).items() if a < b and flip_idx[a] != b]
        if wrong:
            pairs = listed([f"{names[a]} and {names[b]}" for a, b in wrong], SHOWN)
            message = f"flip_idx does not swap {pairs} of class {number}, so the model will confuse left and right."
            yield data.of_key("flip_idx", "flip-idx-names", message, fix, "warning")
            return


# --- names, sigmas, skeleton --------------------------------------------------------------------------------------


def _names(data: Description, keypoints: int, args: Any) -> Iterator[Finding]:
    given = data.get("kpt_names")
    if not given:
        return
    fix = f"write kpt_names: for each class its number and a list of {keypoints} names"
    if isinstance(given, (list, tuple)):
        given = {0: given}
        if _are_names(given[0]) and len(given[0]) == keypoints:
            message = "kpt_names is one list; the engine needs a list for each class."
            yield data.of_key("kpt_names", "kpt-names", message, fix, "warning")
            return
    if not isinstance(given, dict):
        yield data.of_key("kpt_names", "kpt-names", f"kpt_names is {given!r:.80}.", fix)
        return
    for number, names in given.items():
        yield from _names_of_class(data, number, names, keypoints)
    classes = {} if args.single_cls else class_names(data.get("names"))
    for number in classes:
        if number not in given and str(number) not in given:
            message = f"kpt_names has no names for class {number} ({classes[number]})."
            yield data.of_key("kpt_names", "kpt-names", message, fix)
    for number in name_lists(data):
        if classes and number not in classes:
            message = f"kpt_names has names for class {number}, which the dataset does not have."
            yield data.of_key(f"kpt_names.{number}", "kpt-names", message, "remove them, or add the class to names")


def _names_of_class(data: Description, number: Any, names: Any, keypoints: int) -> Iterator[Finding]:
    key = f"kpt_names.{number}"
    if isinstance(number, bool) or not str(number).isdecimal():
        message = f"kpt_names has {number!r}, not the number of a class."
        yield data.of_key(key, "kpt-names", message, "write the class's number, counted from 0")
    elif not _are_names(names):
        message = f"kpt_names of class {number} is {names!r:.80}, not a list of names."
        yield data.of_key(key, "kpt-names", message, f"write a list of {keypoints} names")
    elif len(names) != keypoints:
        message = f"kpt_names of class {number} has {counted(len(names), 'name')} for {counted(keypoints, 'keypoint')}."
        fix = f"write {keypoints} names, or correct kpt_shape"
        if len(names) < keypoints:
            fix += "; a class with fewer keypoints gets names such as unused_1, and rows with 0 0 0 for them"
        yield data.of_key(key, "kpt-names", message, fix)
    elif len(set(names)) < len(names):
        twice = listed(sorted({str(n) for n in names if names.count(n) > 1}), SHOWN)
        message = f"kpt_names of class {number} has {twice} more than once."
        yield data.of_key(key, "kpt-names", message, "give each keypoint a unique name", "warning")


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(type(name) in {str, int} for name in value)


def _sigmas(data: Description, shape: tuple[int, int]) -> Iterator[Finding]:
    value, keypoints = data.get("kpt_oks_sigmas"), shape[0]
    if value is None:
        # The engine has its own sigmas for [17, 3] alone, which it takes for a person.
        if 1 / keypoints < LEAST_SIGMA and shape != (len(PERSON_SIGMAS), 3):
            message = f"kpt_oks_sigmas is not set: loss and metrics use 1/{keypoints} = {1 / keypoints:.4g} for each"
            yield _small_sigmas(data, f"{message} keypoint", keypoints)
        elif shape != (len(PERSON_SIGMAS), 3):
            share = f"1/{keypoints} = {1 / keypoints:.4g}"
            message = f"kpt_oks_sigmas is not set: loss and metrics use {share} for each keypoint."
            fix = (
                "ignore this, or write kpt_oks_sigmas: for each keypoint how far people who label it differ,"
                " as a fraction of the object's size (COCO: eyes 0.025, hips 0.107)"
            )
            yield data.of_key("kpt_oks_sigmas", "sigmas-default", message, fix, "warning")
        return
    fix = f"write kpt_oks_sigmas: a list of {keypoints} positive numbers, or remove it"
    if not isinstance(value, (list, tuple)) or not all(type(v) in {int, float} for v in value):
        yield data.of_key("kpt_oks_sigmas", "sigmas", f"kpt_oks_sigmas is {value!r:.80}, not a list of numbers.", fix)
    elif len(value) != keypoints:
        message = f"kpt_oks_sigmas has {counted(len(value), 'number')} for {counted(keypoints, 'keypoint')}."
        yield data.of_key("kpt_oks_sigmas", "sigmas", message, fix)
    elif not all(0 < v < math.inf for v in value):
        wrong = next(v for v in value if not 0 < v < math.inf)
        yield data.of_key("kpt_oks_sigmas", "sigmas", f"kpt_oks_sigmas has {wrong}, which is not positive.", fix)
    elif min(value) < LEAST_SIGMA:
        which = [i for i, v in enumerate(value) if v < LEAST_SIGMA]
        more = f" (and that of {len(which) - 1} more is small)" if len(which) > 1 else ""
        what = f"kpt_oks_sigmas of keypoint {value.index(min(value))} is {min(value):.4g}{more}"
        yield _small_sigmas(data, what, keypoints)


def _small_sigmas(data: Description, what: str, keypoints: int) -> Finding:
    """Return a warning of sigmas with which keypoints hardly learn."""
    message = f"{what}, so small that a keypoint which is off by a fifth of the object's size gives no gradient to"
    message += " learn from, and scores 0."
    fix = f"write kpt_oks_sigmas: {keypoints} numbers of {LEAST_SIGMA} or more, such as {LEARNING_SIGMA} for each"
    fix += "; trainer check --fix DIR suggests such a list" if data.get("kpt_oks_sigmas") is None else ""
    return data.of_key("kpt_oks_sigmas", "sigmas-small", message, fix, "warning")


def _skeleton(data: Description, keypoints: int) -> Iterator[Finding]:
    value = data.get("skeleton")
    if value is None:
        return
    fix = f"write skeleton: pairs of keypoints from 0 to {keypoints - 1}, such as [[0, 1]]"
    if not isinstance(value, (list, tuple)) or not all(is_pair(pair) for pair in value):
        yield data.of_key("skeleton", "skeleton", f"skeleton is {value!r:.80}, not a list of pairs.", fix)
        return
    ends = [i for pair in value for i in pair]
    outside = [i for i in ends if not 0 <= i < keypoints]
    if outside:
        message = f"skeleton has {outside[0]}, but the keypoints are 0 to {keypoints - 1}."
        if counted_from_one(ends, keypoints):
            fix = f"count keypoints from 0: skeleton: {[[a - 1, b - 1] for a, b in value]}"
        yield data.of_key("skeleton", "skeleton", message, fix)

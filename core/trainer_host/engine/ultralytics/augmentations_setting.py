"""The setting ``augmentations``: transforms of albumentations, which replace the engine's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from trainer_host.base.errors import Problem


def wrong_augmentations(value: Any) -> list[Problem]:
    """Return the problems in transforms on which the engine would fail."""
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

"""Images held out for validation, if a dataset has no validation split."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, SettingsError
from trainer_host.base.findings import MISSING_KEY, DatasetError, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.data.description import Description


def held_out(names: Sequence[str], share: float) -> list[bool]:
    """Return which names are held out: at least one, at most about twice the share, and never all of several.

    A name keeps its place when others come or go, because its own hash decides; the limit matters for few names alone.
    """
    marks = [int.from_bytes(hashlib.sha256(n.encode("utf-8", "surrogateescape")).digest()[:8], "big") for n in names]
    chosen = [mark < share * 2**64 for mark in marks]
    most = max(1, round(2 * share * len(names)))
    if sum(chosen) > most:
        last = sorted(marks)[most - 1]
        chosen = [mark <= last for mark in marks]
    if len(names) > 1 and (all(chosen) or not any(chosen)):
        odd = marks.index(max(marks) if all(chosen) else min(marks))
        chosen[odd] = not chosen[odd]
    return chosen


def hold_out(data: Description, share: float) -> Description:
    """Return a dataset with a part of the training images as validation split, chosen by their names.

    Args:
        data: A dataset that has no validation split; its findings no longer say so.
        share: The fraction of the training images.

    Raises:
        SettingsError: If the dataset has a validation split, or if the share is not between 0 and 1.
        DatasetError: If there are not two images to divide.
    """
    if not 0 < share < 1:
        raise SettingsError(Problem(f"--holdout {share:g} is not between 0 and 1.", "write --holdout 0.2"))
    if own := next((f for f in data.findings if f.code == "holdout"), None):
        what = "some images are already held out for validation."
        raise SettingsError(Problem(what, f"remove --holdout, or {own.fix}", data.file))
    if data.get("val") is not None or "val" in data.splits:
        raise SettingsError(Problem("the dataset has a validation split.", "remove --holdout", data.file))
    train = data.splits.get("train")
    if train is None:
        return data  # the findings say why
    if len(train) < 2:
        raise DatasetError(Problem("the only train image cannot be held out.", "add images", data.file))
    home = os.path.dirname(data.file)  # noqa: PTH120
    names = [os.path.relpath(f, home) for f in train.images]
    out = held_out(names, share)
    chosen = {f for f, held in zip(train.images, out, strict=True) if held}
    val = train.without(set(train.images) - chosen).renamed("val")
    splits = {**data.splits, "train": train.without(chosen), "val": val}
    findings = [f for f in data.findings if f.code != MISSING_KEY or "'val'" not in f.message]
    what = f"held out for validation: {len(chosen)} of {len(names)} images, chosen by their names."
    fix = "if frames of one video are among them, keep them in one split"
    findings.append(Finding("holdout", what, fix, data.file, None, "warning"))
    return replace(data, splits=splits, findings=findings)

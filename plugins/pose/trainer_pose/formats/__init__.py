"""Formats of datasets with keypoints that the host reads as they are, and what formats leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_host.data import Description


def completed(data: Description) -> Description:
    """Give a dataset whose format has no place for ``flip_idx`` the one that its names imply, with a warning.

    A dataset that writes ``kpt_shape`` itself could write ``flip_idx`` too, and is left alone.
    """
    from trainer_pose.suggestions import flip_idx_of, name_lists

    shape = data.get("kpt_shape")
    if "flip_idx" in data or "kpt_shape" in data.lines or not isinstance(shape, list):
        return data
    found = flip_idx_of(data, shape[0])
    if found is None:
        return data
    data |= {"flip_idx": found}
    names = next(iter(name_lists(data).values()), [str(i) for i in range(shape[0])])
    pairs = [f"{names[i]} and {names[j]}" for i, j in enumerate(found) if i < j]
    if pairs:
        what = f"flip_idx is inferred from the keypoint names: in a mirror image {', '.join(pairs)} are swapped."
        fix = "check it in the report; to set it yourself, convert the dataset: trainer convert"
        data = data.with_findings([data.of_key("flip_idx", "flip-idx-derived", what, fix, "warning")])
    return data

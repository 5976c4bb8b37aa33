"""Keypoints that lie far outside of their box, compared with how the rest of the dataset has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.rows import image_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_detect.rows import Bools, Floats, Rows
    from trainer_host import Finding
    from trainer_host.data.description import Split
    from trainer_pose.checks import Keypoints

FAR = 1.0
"""Box sizes outside of the box that are far in any dataset, unless half of its rows have the keypoint there."""
NEAR = 0.25
"""Box sizes outside of the box that are never far: a box drawn by hand may cut off a hand or a tail."""
USUAL = 0.9
"""Fraction of the rows that says where a keypoint usually is; what more rows than the rest have is no slip."""
BEYOND = 2.0
"""How many times further than usual is far."""
ENOUGH = 10
"""Rows from which on they say where a keypoint usually is."""


@dataclass(frozen=True)
class PlacedKeypoints:
    """The keypoints of a split, and how far outside of their boxes they lie.

    Attributes:
        split: The split.
        points: Its keypoints.
        judged: Keypoints that are labelled, and have no other fault, bool (m, K).
        distance: Distance from the box by its longer side in pixels, 0 within the box, float64 (m, K).
    """

    split: Split
    points: Keypoints
    judged: Bools
    distance: Floats

    @classmethod
    def of(cls, split: Split, points: Keypoints, sound: Bools) -> PlacedKeypoints:
        """Measure the keypoints of a split; only those that are ``sound`` (m, K) are judged."""
        judged = sound & points.labelled
        return cls(split, points, judged, np.where(judged, _distance(split, points), 0))


def _distance(split: Split, points: Keypoints) -> Floats:
    sizes = image_sizes(split, points.rows)
    sizes[(sizes == 0).any(axis=1)] = 1
    # Rows whose numbers are too large for this, or whose box has no size, have another fault.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        longest = (points.box[:, 3:5] * sizes).max(axis=1)
        squared = np.zeros(points.flags.shape)
        for axis in (0, 1):
            centre, size = points.box[:, 1 + axis, None], points.box[:, 3 + axis, None]
            outside = np.abs(points.xy[..., axis] - centre) - size / 2
            squared += (np.maximum(outside, 0) * sizes[:, axis, None]) ** 2
        distance: Floats = np.sqrt(squared) / longest[:, None]
    return distance


def far_keypoints(placed: Sequence[PlacedKeypoints]) -> Iterator[Finding]:
    """Yield rows with keypoints that lie far outside of the box, the furthest first.

    A few rows that differ from the others are likely slips. Where most rows have a keypoint outside, as where boxes
    are of heads and keypoints of bodies, it belongs there.
    """
    if not any((p.distance > NEAR).any() for p in placed):
        return
    distance = np.concatenate([p.distance for p in placed])
    judged = np.concatenate([p.judged for p in placed])
    far = judged & (distance > _limits(distance, judged, np.concatenate([p.points.box[:, 0] for p in placed])))
    owners = [(p, index) for p in placed for index in range(len(p.points.rows))]
    furthest = np.where(far, distance, 0).max(axis=1)
    for place in np.argsort(-furthest, kind="stable")[: np.count_nonzero(furthest)].tolist():
        one, index = owners[place]
        which = far[place]
        verb, up_to = ("lies", "") if which.sum() == 1 else ("lie", "up to ")
        message = (
            f"{one.points.text(index, which)} {verb} far outside of the box, {up_to}{furthest[place]:.3g} times its"
            f" longer side away: {one.points.places(index, which)}."
        )
        fix = "correct the keypoint, or the box (x, y, width, height)"
        yield one.split.of_row(int(one.points.rows[index]), "keypoint-far", message, fix, "warning")


def _limits(distance: Floats, judged: Bools, classes: Floats) -> Floats:
    """Return for each row and keypoint the distance from which on it is far, float64 (m, K).

    Each class has its own, since classes may differ in what their boxes are drawn around.
    """
    limits = np.empty(distance.shape)
    order = np.argsort(classes, kind="stable")
    ends = np.flatnonzero(np.diff(classes[order])) + 1
    for rows in np.split(order, ends):
        limits[rows] = _limits_of(distance[rows], judged[rows])
    return limits


def _limits_of(distance: Floats, judged: Bools) -> Floats:
    count = judged.sum(axis=0)
    ordered = np.sort(np.where(judged, distance, np.inf), axis=0)
    half, most = (_at(ordered, (share * np.maximum(count - 1, 0)).astype(np.int64)) for share in (0.5, USUAL))
    with np.errstate(invalid="ignore"):
        coarse = np.maximum(FAR, BEYOND * half)
        fine = np.where(count >= ENOUGH, np.maximum(NEAR, BEYOND * most), np.inf)
    limits: Floats = np.minimum(coarse, fine)
    return limits


def _at(ordered: Floats, index: Rows) -> Floats:
    found: Floats = np.take_along_axis(ordered, index[None], axis=0)[0]
    return found

"""Keypoints that lie far from their box or from each other, compared with how the rest of the dataset has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.rows import image_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_detect.rows import Bools, Floats, Rows
    from trainer_host import Finding
    from trainer_host.data import Split
    from trainer_pose.checks import Keypoints

FAR = 1.0
"""Box sizes outside of the box that are far in any dataset, unless half of its rows have the keypoint there."""
NEAR = 0.25
"""Box sizes outside of the box that are never far: a box drawn by hand may cut off a hand or a tail."""
USUAL = 0.9
"""Fraction of the rows that says where a keypoint usually is; what more rows than that have is not a slip."""
BEYOND = 2.0
"""Multiple of the usual distance that counts as far."""
ENOUGH = 10
"""Rows from which on they say where a keypoint usually is."""
APART = 1.0
"""Extents of an object that are never far from its other keypoints: limbs reach as far."""


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
        return cls(split, points, judged, np.where(judged, _from_box(split, points), 0))

    def pixels(self) -> Floats:
        """Return the keypoints in pixels, float64 (m, K, 2); NaN if they are not judged."""
        sizes = image_sizes(self.split, self.points.rows)
        sizes[(sizes == 0).any(axis=1)] = 1
        return np.where(self.judged[..., None], self.points.xy, np.nan) * sizes[:, None]


def _from_box(split: Split, points: Keypoints) -> Floats:
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
    """Yield rows with keypoints that lie far from their box, or from their other keypoints, the furthest first.

    A few rows that differ from the others are likely slips. Where most rows have a keypoint outside, as where boxes
    are of heads and keypoints of bodies, it belongs there. A box that was made from the keypoints holds all of them,
    so that a slip shows only by its distance from the others.
    """
    placed = [p for p in placed if len(p.points.rows)]
    if not placed:
        return
    classes = np.concatenate([p.points.box[:, 0] for p in placed])
    judged = np.concatenate([p.judged for p in placed])
    outside = np.concatenate([p.distance for p in placed])
    far = judged & (outside > _limits(outside, judged, classes))
    where = "outside of the box, {}{:.3g} times its longer side away"
    yield from _told(placed, far, outside, where, "correct the keypoint, or the box (x, y, width, height)")
    apart, usual = _from_others(np.concatenate([p.pixels() for p in placed]), classes)
    known = judged & ~np.isnan(usual)
    known[far.any(axis=1)] = False
    lost = known.copy()
    for distance in (apart, usual):
        lost &= distance > _limits(distance, known, classes, APART)
    where = "from the other keypoints, {}{:.3g} times the usual size of objects away"
    yield from _told(placed, lost, usual, where, "correct the keypoint")


def _told(placed: Sequence[PlacedKeypoints], far: Bools, distance: Floats, where: str, fix: str) -> Iterator[Finding]:
    """Yield a finding for each row of which keypoints are far (m, K), the furthest first."""
    furthest = np.where(far, distance, 0).max(axis=1)
    starts = np.cumsum([0, *(len(p.points.rows) for p in placed)])
    for place in np.argsort(-furthest, kind="stable")[: np.count_nonzero(furthest)].tolist():
        number = int(np.searchsorted(starts, place, side="right")) - 1
        one, index, which = placed[number], place - int(starts[number]), far[place]
        verb, up_to = ("lies", "") if which.sum() == 1 else ("lie", "up to ")
        message = f"{one.points.text(index, which)} {verb} far {where.format(up_to, furthest[place])}"
        message += f": {one.points.places(index, which)}."
        yield one.split.of_row(int(one.points.rows[index]), "keypoint-far", message, fix, "warning")


def _from_others(pixels: Floats, classes: Floats) -> tuple[Floats, Floats]:
    """Return how far keypoints are from what the others of their object take up, float64 (m, K), in two units.

    The first is the extent of the others, whatever the size of the object; the second the median extent of objects of
    the class, however few of its keypoints are labelled. What is far is so in both. NaN if fewer than two others
    are labelled.
    """
    known = ~np.isnan(pixels[..., 0])
    labelled = known.sum(axis=1)
    axes = [_Axis.of(np.where(known, pixels[..., axis], 0), known) for axis in (0, 1)]
    usual = np.full(len(pixels), np.nan)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = np.hypot(axes[0].outside, axes[1].outside)
        distance[~known | (labelled[:, None] < 3)] = np.nan
        whole, extent = np.maximum(axes[0].extent, axes[1].extent), np.maximum(axes[0].others, axes[1].others)
        for number in np.unique(classes):
            rows = classes == number
            if (several := rows & (labelled > 1)).any():
                usual[rows] = np.median(whole[several])
        return distance / extent, distance / usual[:, None]


@dataclass(frozen=True)
class _Axis:
    """Keypoints of objects along one axis.

    Attributes:
        extent: How much the keypoints of each object take up, float64 (m,).
        others: How much the others of each keypoint take up, float64 (m, K).
        outside: How far each keypoint is outside of what the others take up, float64 (m, K).
    """

    extent: Floats
    others: Floats
    outside: Floats

    @classmethod
    def of(cls, places: Floats, known: Bools) -> _Axis:
        """Measure keypoints at ``places`` (m, K); what is not ``known`` (m, K) is of no account."""
        low, lows = _of_others(np.where(known, places, np.inf))
        high, highs = _of_others(np.where(known, -places, np.inf))
        with np.errstate(invalid="ignore"):
            return cls(-(high + low), -(highs + lows), np.maximum(np.maximum(lows - places, places + highs), 0))


def _of_others(values: Floats) -> tuple[Floats, Floats]:
    """Return the least value of each row, float64 (m,), and for each keypoint that of the others, float64 (m, K)."""
    least = values.min(axis=1)
    place = values.argmin(axis=1)
    index = np.arange(len(values))
    others = np.repeat(least[:, None], values.shape[1], axis=1)
    rest = values.copy()
    rest[index, place] = np.inf
    others[index, place] = rest.min(axis=1)
    return least, others


def _limits(distance: Floats, judged: Bools, classes: Floats, near: float | None = None) -> Floats:
    """Return for each row and keypoint the distance from which on it is far, float64 (m, K).

    Each class has its own, since classes may differ in what their boxes are drawn around. With ``near``, that is never
    far, and nothing is in any dataset.
    """
    limits = np.empty(distance.shape)
    order = np.argsort(classes, kind="stable")
    ends = np.flatnonzero(np.diff(classes[order])) + 1
    for rows in np.split(order, ends):
        limits[rows] = _limits_of(distance[rows], judged[rows], near)
    return limits


def _limits_of(distance: Floats, judged: Bools, near: float | None) -> Floats:
    count = judged.sum(axis=0)
    ordered = np.sort(np.where(judged, distance, np.inf), axis=0)
    half, most = (_at(ordered, (share * np.maximum(count - 1, 0)).astype(np.int64)) for share in (0.5, USUAL))
    with np.errstate(invalid="ignore"):
        coarse = np.maximum(FAR, BEYOND * half) if near is None else np.full(half.shape, np.inf)
        fine = np.where(count >= ENOUGH, np.maximum(NEAR if near is None else near, BEYOND * most), np.inf)
    limits: Floats = np.minimum(coarse, fine)
    return limits


def _at(ordered: Floats, index: Rows) -> Floats:
    found: Floats = np.take_along_axis(ordered, index[None], axis=0)[0]
    return found

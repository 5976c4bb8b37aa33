"""Draws the small pose dataset used when no data is given: jointed figures that face the viewer.

The two sides of a figure are alike; only the face distinguishes them: its left is at the right of the image.
A mirrored figure with left and right exchanged is therefore a proper figure too, as flip_idx demands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer_detect.sample import SIZE, Layer, background, box_text, colour, mask_box, overlap, write_dataset

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trainer_detect.sample import Image, Mask, Points, Rng

KEYPOINTS: tuple[str, ...] = (
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_hand",
    "right_hand",
    "left_hip",
    "right_hip",
    "left_foot",
    "right_foot",
)

SETTINGS: dict[str, object] = {
    "model": "yolov8n-pose.yaml",
    "imgsz": SIZE,
    "epochs": 20,
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.003,
    "lrf": 0.02,
    "cos_lr": True,
    "warmup_epochs": 2.0,
    "warmup_bias_lr": 0.0,
    "amp": False,
    "mosaic": 0.0,
    "scale": 0.2,
    "pose": 18.0,
}
"""Engine settings that suit the sample; used where the user names none."""

_SEED = 30
_SKINS = ((150, 190, 240), (110, 160, 220), (75, 115, 180), (60, 85, 130))
_BONES = [[0, 1], [0, 2], [1, 2], [1, 3], [2, 4], [1, 5], [2, 6], [5, 6], [5, 7], [6, 8]]


@dataclass
class _Figure:
    """A figure laid over an image: where it is and which of its keypoints can be seen."""

    mask: Mask
    points: Points
    seen: NDArray[np.int_]


def draw_sample(folder: Path) -> Path:
    """Write the pose sample below ``folder`` and return the path of its data.yaml."""
    entries = {
        "names": {0: "figure"},
        "kpt_shape": [len(KEYPOINTS), 3],
        "flip_idx": [0, 2, 1, 4, 3, 6, 5, 8, 7],
        "kpt_names": {0: list(KEYPOINTS)},
        "kpt_oks_sigmas": [1 / len(KEYPOINTS)] * len(KEYPOINTS),  # the engine's default
        "skeleton": _BONES,
    }
    return write_dataset(folder, _SEED, _scene, entries)


def _scene(rng: Rng) -> tuple[Image, list[str]]:
    """Draw an image with one or two figures, at times behind a plank, and return its label lines."""
    image = background(rng)
    figures: list[_Figure] = []
    wanted = 1 + int(rng.uniform() < 0.5)
    for _ in range(20):
        if len(figures) == wanted:
            break
        layer, points = _draw_figure(rng)
        merged, mask = layer.merge(image)
        inside = ((points >= 0) & (points < SIZE)).all(axis=1)
        if inside.sum() < 6 or any(overlap(mask, other.mask) > 0.25 for other in figures):
            continue
        _cover(figures, mask)
        figures.append(_Figure(mask, points, 2 * inside.astype(int)))
        image = merged
    if rng.uniform() < 0.25:
        image, mask = _plank(rng, figures[0]).merge(image)
        _cover(figures, mask)
    return image, [_line(figure) for figure in figures]


def _cover(figures: list[_Figure], mask: Mask) -> None:
    """Mark as hidden (1) every visible keypoint of ``figures`` that ``mask`` covers."""
    for figure in figures:
        for index, (x, y) in enumerate(figure.points):
            if figure.seen[index] and mask[int(y), int(x)]:
                figure.seen[index] = 1


def _line(figure: _Figure) -> str:
    """Write the label line of a figure; keypoints outside the image are all zero."""
    words = ["0", box_text(mask_box(figure.mask))]
    for (x, y), seen in zip(figure.points / SIZE, figure.seen, strict=True):
        words.append(f"{x:.5f} {y:.5f} {seen}" if seen else "0 0 0")
    return " ".join(words)


def _plank(rng: Rng, figure: _Figure) -> Layer:
    """Draw a plank in front of one hand or foot of a figure."""
    import numpy as np

    layer = Layer(1.0)
    centre = figure.points[rng.choice([3, 4, 7, 8])] + rng.normal(0.0, 3.0, 2)
    angle = rng.uniform(0.0, np.pi)
    half = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.08, 0.2) * SIZE
    across = np.array([-half[1], half[0]]) / np.hypot(*half) * rng.uniform(0.04, 0.07) * SIZE
    corners = np.stack([-half - across, half - across, half + across, across - half])
    layer.polygon(centre + corners, colour(rng, "muted"))
    return layer


def _arm(rng: Rng) -> list[tuple[float, float]]:
    """Choose where shoulder, elbow and hand are, outwards and upwards from the middle of the body."""
    upper = rng.uniform(0.25, 2.7)
    lower = upper + rng.uniform(-0.9, 1.2) * (1.0 if upper < 1.6 else 0.5)
    return _limb(0.115, 0.19, 0.155, (upper, lower))


def _leg(rng: Rng) -> list[tuple[float, float]]:
    """Choose where hip, knee and foot are, outwards and upwards from the middle of the body."""
    upper = rng.uniform(0.02, 0.6)
    return _limb(0.07, -0.06, 0.2, (upper, upper - rng.uniform(-0.1, 0.6)))


def _limb(x: float, y: float, length: float, angles: tuple[float, ...]) -> list[tuple[float, float]]:
    """Follow a limb from its first joint; angles are measured outwards from straight down."""
    joints = [(x, y)]
    for angle in angles:
        x, y = x + length * math.sin(angle), y - length * math.cos(angle)
        joints.append((x, y))
    return joints


def _pose(rng: Rng) -> tuple[dict[str, Points], float, Points]:
    """Choose a pose; return its limbs as joint positions, its height in pixels and its upward direction."""
    import numpy as np

    height, tilt = float(rng.uniform(0.38, 0.9)) * SIZE, float(rng.normal(0.0, 0.16))
    up = np.array([np.sin(tilt), -np.cos(tilt)])
    side = np.array([-up[1], up[0]])
    centre = rng.uniform(0.2, 0.8, 2) * SIZE

    def at(x: float, y: float) -> Points:
        return np.asarray(centre + height * (x * side + y * up))

    limbs = {"head": at(0.0, 0.35)[None, :], "neck": at(0.0, 0.22)[None, :]}
    for name, sign in (("left", 1.0), ("right", -1.0)):
        for part, joints in (("arm", _arm(rng)), ("leg", _leg(rng))):
            limbs[f"{name}_{part}"] = np.stack([at(sign * x, y) for x, y in joints])
    return limbs, height, up


def _draw_figure(rng: Rng) -> tuple[Layer, Points]:
    """Draw one figure on its own layer and return it with the figure's keypoints."""
    import numpy as np

    limbs, height, up = _pose(rng)
    layer = Layer(max(0.6, 0.012 * height))
    shirt, trousers, skin = colour(rng, "vivid"), colour(rng, "deep"), _SKINS[int(rng.integers(len(_SKINS)))]
    shoes = colour(rng, "vivid")
    sides = "left", "right"
    for side in sides:
        leg = limbs[f"{side}_leg"]
        layer.stroke(leg, 0.085 * height, trousers)
        layer.stroke(leg[-1:], 0.105 * height, shoes)
    shoulders = [limbs[f"{side}_arm"][0] for side in sides]
    hips = [limbs[f"{side}_leg"][0] for side in sides]
    layer.stroke(limbs["neck"], 0.08 * height, skin)
    layer.polygon(np.stack([*shoulders, *reversed(hips)]), shirt)
    for side in sides:
        arm = limbs[f"{side}_arm"]
        layer.stroke(arm, 0.07 * height, shirt)
        layer.stroke(arm[-1:], 0.085 * height, skin)
    _draw_head(layer, limbs["head"], height, up, skin)
    ends = [limbs[f"{side}_arm"][-1] for side in sides] + [limbs[f"{side}_leg"][-1] for side in sides]
    return layer, np.stack([limbs["head"][0], *shoulders, *ends[:2], *hips, *ends[2:]])


def _draw_head(layer: Layer, head: Points, height: float, up: Points, skin: tuple[int, int, int]) -> None:
    """Draw the head with the eyes and mouth that show it faces the viewer."""
    import numpy as np

    side = np.array([-up[1], up[0]])
    dark = (40, 34, 32)
    layer.stroke(head, 0.2 * height, skin)
    for sign in (-1.0, 1.0):
        layer.stroke(head + height * (sign * 0.037 * side + 0.02 * up), 0.028 * height, dark, edged=False)
    arc = [head[0] + height * (x * side - (0.05 - 8.0 * x * x) * up) for x in np.linspace(-0.045, 0.045, 7)]
    layer.stroke(np.stack(arc), 0.016 * height, dark, edged=False)

"""Draws the small detection dataset used when no data is given: discs, squares and stars."""

from __future__ import annotations

import colorsys
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from trainer_host import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    Mask = NDArray[np.bool_]
    Points = NDArray[np.float64]
    Rng = np.random.Generator
    Drawer = Callable[[Rng], tuple[Image, list[str]]]
    Row = Callable[[Mask], str]

SIZE = 160
"""Side of every image, in pixels."""

COUNTS: dict[str, int] = {"train": 240, "val": 32}
"""Number of images in each split."""

NAMES: dict[int, str] = {0: "disc", 1: "square", 2: "star"}

SETTINGS: dict[str, object] = {
    "model": "yolov8n.yaml",
    "imgsz": SIZE,
    "epochs": 14,
    "batch": 8,
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.002,
    "lrf": 0.02,
    "cos_lr": True,
    "warmup_epochs": 2.0,
    "warmup_bias_lr": 0.0,
    "amp": False,
    "mosaic": 0.0,
    "scale": 0.2,
    "flipud": 0.5,
    "cls": 1.0,
}
"""Engine settings that suit the sample; used where the user names none."""

_SEED = 20
_SUPERSAMPLE = 2
_OUTLINE = (38, 32, 30)


def draw_sample(folder: Path, row: Row | None = None) -> Path:
    """Write the detection sample below ``folder`` and return the path of its data.yaml.

    Args:
        folder: The folder; it exists.
        row: Returns the label line of the object that covers a mask, without its class. Default: its box.
    """
    return write_dataset(folder, _SEED, partial(_scene, row or box_row), {"names": NAMES})


def shapes_sample(folder: Path, row: Callable[[NDArray[np.bool_]], str], model: str) -> Sample:
    """Return the detection sample with rows and a model of another task.

    Args:
        folder: The folder to draw it into.
        row: Returns a label line without its class, such as `outline_row`.
        model: The architecture, such as ``yolo11n-seg.yaml``.
    """
    return Sample(draw_sample(folder, row), {**SETTINGS, "model": model})


def write_dataset(folder: Path, seed: int, scene: Drawer, entries: Mapping[str, object]) -> Path:
    """Draw every image of every split with ``scene`` and describe them in data.yaml.

    Each image has its own generator, seeded by split and number, so the files never vary.
    """
    import cv2
    import numpy as np

    for split_number, (split, count) in enumerate(COUNTS.items()):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.Generator(np.random.PCG64([seed, split_number, number]))
            image, lines = scene(rng)
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (images / f"{number:04d}.jpg").write_bytes(data.tobytes())
            (labels / f"{number:04d}.txt").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return _write_description(folder, entries)


def _write_description(folder: Path, entries: Mapping[str, object]) -> Path:
    """Write data.yaml; its image folders are relative to the file itself."""
    import yaml

    content: dict[str, Any] = {split: f"images/{split}" for split in COUNTS}
    content.update(entries)
    path = folder / "data.yaml"
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    path.write_bytes(text.encode())
    return path


def background(rng: Rng) -> Image:
    """Draw a textured background: a gradient with soft blotches, muted clutter and grain."""
    import cv2
    import numpy as np

    ramp = np.linspace(-0.5, 0.5, SIZE, dtype=np.float32)
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    mix = (math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None] + 0.75) / 1.5
    first, second = (np.array(colour(rng, "muted"), np.float32) for _ in range(2))
    canvas = first + (second - first) * mix[..., None]
    cells = int(rng.integers(3, 9))
    blotches = rng.normal(0.0, rng.uniform(4.0, 12.0), (cells, cells, 3)).astype(np.float32)
    canvas += cv2.resize(blotches, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    plain = canvas.clip(0, 255).astype(np.uint8)
    clutter = plain.copy()
    for _ in range(int(rng.integers(3, 9))):
        _clutter(clutter, rng)
    grain = rng.standard_normal((SIZE, SIZE, 1), np.float32) * np.float32(rng.uniform(2.0, 6.0))
    return (cv2.addWeighted(plain, 0.45, clutter, 0.55, 0.0) + grain).clip(0, 255).astype(np.uint8)


def _clutter(canvas: Image, rng: Rng) -> None:
    """Draw one muted shape: a slanted box, an outlined ellipse or a line."""
    import cv2

    tint = colour(rng, "muted")
    kind = int(rng.integers(3))
    x, y = (int(value) for value in rng.integers(0, SIZE, 2))
    width, height = (int(value) for value in rng.integers(SIZE // 14, SIZE // 3, 2))
    angle = float(rng.uniform(0.0, 180.0))
    if kind == 0:
        corners = cv2.boxPoints(((x, y), (width, height), angle))
        cv2.fillConvexPoly(canvas, corners.round().astype("int32"), tint, cv2.LINE_AA)
    elif kind == 1:
        cv2.ellipse(canvas, (x, y), (width, height), angle, 0, 360, tint, 2, cv2.LINE_AA)
    else:
        end = tuple(int(value) for value in rng.integers(0, SIZE, 2))
        cv2.line(canvas, (x, y), end, tint, int(rng.integers(1, 5)), cv2.LINE_AA)


def colour(rng: Rng, tone: str) -> tuple[int, int, int]:
    """Choose a BGR colour of a tone: "muted" for surroundings, "vivid" or "deep" for subjects."""
    saturations, values = {
        "muted": ((0.05, 0.35), (0.35, 0.85)),
        "vivid": ((0.65, 0.95), (0.8, 1.0)),
        "deep": ((0.5, 0.8), (0.35, 0.55)),
    }[tone]
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturations), rng.uniform(*values))
    return round(255 * blue), round(255 * green), round(255 * red)


class Layer:
    """A transparent layer, drawn larger than the image so that its edges come out smooth.

    Coordinates are those of the image; every shape gets a dark outline.
    """

    def __init__(self, outline: float) -> None:
        """Start an empty layer whose outlines are ``outline`` pixels wide."""
        import numpy as np

        side = SIZE * _SUPERSAMPLE
        self._canvas: Image = np.zeros((side, side, 4), np.uint8)
        self._outline = outline

    def stroke(self, points: Points, width: float, fill: tuple[int, int, int], edged: bool = True) -> None:
        """Draw a round-ended stroke through ``points``; a single point gives a disc."""
        import cv2
        import numpy as np

        path = (np.vstack([points[:1], points]) * _SUPERSAMPLE).round().astype(np.int32).reshape(-1, 1, 2)
        for extra, tint in ((2.0 * self._outline, _OUTLINE), (0.0, fill)):
            if edged or not extra:
                thickness = max(1, round((width + extra) * _SUPERSAMPLE))
                cv2.polylines(self._canvas, [path], False, (*tint, 255), thickness)

    def polygon(self, points: Points, fill: tuple[int, int, int]) -> None:
        """Draw a filled polygon."""
        import cv2

        path = (points * _SUPERSAMPLE).round().astype("int32").reshape(-1, 1, 2)
        thickness = max(1, round(2.0 * self._outline * _SUPERSAMPLE))
        cv2.polylines(self._canvas, [path], True, (*_OUTLINE, 255), thickness)
        cv2.fillPoly(self._canvas, [path], (*fill, 255))

    def merge(self, image: Image) -> tuple[Image, Mask]:
        """Return ``image`` with the layer laid over it, and the mask of what the layer covers."""
        import cv2
        import numpy as np

        small = cv2.resize(self._canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        left = image.astype(np.uint16) * (255 - small[..., 3:]) // 255
        return (left + small[..., :3]).astype(np.uint8), small[..., 3] > 127


def mask_box(mask: Mask) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) around a mask, all zero if it is empty."""
    import numpy as np

    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlap(mask: Mask, other: Mask) -> float:
    """Return the fraction of the smaller mask that lies within the other one."""
    return float((mask & other).sum() / max(1, min(mask.sum(), other.sum())))


def box_text(box: tuple[int, int, int, int]) -> str:
    """Write a box as the normalised centre, width and height of a label line."""
    left, top, right, bottom = (value / SIZE for value in box)
    values = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    return " ".join(f"{value:.5f}" for value in values)


def box_row(mask: Mask) -> str:
    """Write the box around a mask."""
    return box_text(mask_box(mask))


def outline_row(mask: NDArray[np.bool_]) -> str:
    """Return the outline of a mask as normalized x and y of its points, for a label line."""
    import cv2

    contours, _ = cv2.findContours(mask.astype("uint8"), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return _points_text(max(contours, key=cv2.contourArea)[:, 0])


def corner_row(mask: NDArray[np.bool_]) -> str:
    """Return the corners of the smallest rectangle, at any angle, around a mask as normalized x and y."""
    import cv2

    return _points_text(cv2.boxPoints(cv2.minAreaRect(cv2.findNonZero(mask.astype("uint8")))))


def _points_text(points: NDArray[Any]) -> str:
    return " ".join(f"{value:.5f}" for value in (points / SIZE).clip(0, 1).ravel())


def _scene(row: Row, rng: Rng) -> tuple[Image, list[str]]:
    """Draw an image with one to four shapes and return it with its label lines."""
    image = background(rng)
    masks: list[Mask] = []
    lines: list[str] = []
    for _ in range(int(rng.integers(1, 5))):
        kind, layer = int(rng.integers(len(NAMES))), Layer(1.2)
        radius = float(rng.uniform(0.09, 0.2)) * SIZE
        centre = rng.uniform(0.8 * radius, SIZE - 0.8 * radius, 2)
        _shape(layer, kind, centre, radius, rng)
        merged, mask = layer.merge(image)
        if any(overlap(mask, other) > 0.15 for other in masks):
            continue
        image = merged
        masks.append(mask)
        lines.append(f"{kind} {row(mask)}")
    return image, lines


def _shape(layer: Layer, kind: int, centre: Points, radius: float, rng: Rng) -> None:
    """Draw one shape of a class at any angle."""
    import numpy as np

    fill, turn = colour(rng, "vivid"), float(rng.uniform(0.0, 2.0 * np.pi))
    if kind == 0:
        layer.stroke(centre[None, :], 2.0 * radius, fill)
        return
    corners, inner = (4, 1.0) if kind == 1 else (10, 0.45)
    angles = turn + 2.0 * np.pi * np.arange(corners) / corners
    reach = radius * np.where(np.arange(corners) % 2, inner, 1.0)
    layer.polygon(centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1), fill)

"""Labels in the engine's form, made from the rows that were read, exactly as its own scan makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer_host.data import Split

BOX = 5
"""Columns of a class and a box."""


def engine_labels(split: Split, points: int, dims: int, count: int, longer: int = 0) -> list[dict[str, Any]]:
    """Return the labels of a split's first images, one dictionary for each.

    The numbers are copies: the engine changes them in place.

    Args:
        split: The images and the rows of their labels.
        points: How many points a row has behind its box, 0 for none.
        dims: How many numbers each point has: 2, or 3 with a visibility.
        count: How many images.
        longer: Columns of rows that have more than is used.
    """
    columns = BOX + points * dims
    fits = np.isin(split.row_lengths, [columns, longer])
    rows = np.flatnonzero(split.valid & ~split.crowd & fits & (split.image < count))
    if len(rows) == len(split.row_lengths) and (split.row_lengths == columns).all():
        table = split.values.reshape(-1, columns).astype(np.float32)  # without an index that is as large again
    else:
        table = split.values[split.starts[rows, None] + np.arange(columns)].astype(np.float32)
    owner, table = _without_copies(split.image[rows], table)
    keypoints = _points(table, points, dims) if points else None
    ends = np.searchsorted(owner, np.arange(count), side="right").tolist()
    shapes = split.shapes[:count].tolist()
    labels: list[dict[str, Any]] = []
    first = 0
    for file, end, (height, width) in zip(split.images[:count], ends, shapes, strict=True):
        labels.append(
            {
                "im_file": file,
                "shape": (height, width),
                "cls": table[first:end, 0:1],
                "bboxes": table[first:end, 1:BOX],
                "segments": [],
                "keypoints": keypoints[first:end] if keypoints is not None else None,
                "normalized": True,
                "bbox_format": "xywh",
            }
        )
        first = end
    return labels


def _points(table: NDArray[np.float32], points: int, dims: int) -> NDArray[np.float32]:
    """Return x, y and visibility of each point, float32 (r, points, 3); without one a negative place is hidden."""
    keypoints = table[:, BOX:].reshape(-1, points, dims)
    if dims == 3:
        return keypoints
    hidden = (keypoints[..., 0] < 0) | (keypoints[..., 1] < 0)
    return np.concatenate([keypoints, np.where(hidden, 0.0, 1.0).astype(np.float32)[..., None]], axis=-1)


def _without_copies(
    owner: NDArray[np.int32], table: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Remove rows that an image has twice. As in the engine, the rows that remain in such an image are sorted."""
    suspects = _images_with_copies(owner, table)
    if not suspects:
        return owner, table
    keep = np.arange(len(owner))
    pieces, done = [], 0
    for image in suspects:
        first, end = np.searchsorted(owner, [image, image + 1])
        _, unique = np.unique(table[first:end], axis=0, return_index=True)
        rows = unique if len(unique) < end - first else np.arange(end - first)
        pieces += [keep[done:first], first + rows]
        done = int(end)
    keep = np.concatenate([*pieces, keep[done:]])
    return owner[keep], table[keep]


def _images_with_copies(owner: NDArray[np.int32], table: NDArray[np.float32]) -> list[int]:
    """Return the images that may have a row twice: by a hash of each row, which costs far less than comparing all."""
    factors = np.random.default_rng(0).integers(1, 1 << 63, table.shape[1] + 1, dtype=np.uint64) | np.uint64(1)
    hashes = owner.astype(np.uint64) * factors[-1]
    for column, factor in zip(table.T, factors[:-1], strict=True):
        hashes += (column + np.float32(0)).view(np.uint32) * factor  # -0.0 equals 0.0
    order = np.argsort(hashes)
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    return sorted({int(owner[order[i]]) for i in same})


def polygon_labels(split: Split, count: int, points: int, dims: int) -> list[dict[str, Any]]:
    """Return labels with the polygons of the rows that have one, for a split where some rows do."""
    from ultralytics.utils.ops import segments2boxes

    labels = []
    for index in range(count):
        rows = [r for r in split.rows_of(index) if split.valid[r] and not split.crowd[r]]
        numbers = [split.values[split.starts[r] :][: split.row_lengths[r]].astype(np.float32) for r in rows]
        numbers = [n[:BOX] if points and len(n) == BOX + points * dims else n for n in numbers]
        segments = [n[1:].reshape(-1, 2) for n in numbers] if any(len(n) > BOX for n in numbers) else []
        table = np.array(numbers, np.float32).reshape(-1, BOX) if not segments else np.zeros((0, BOX), np.float32)
        if segments:
            classes = np.array([n[0] for n in numbers], np.float32)
            table = np.concatenate((classes.reshape(-1, 1), segments2boxes(segments)), 1)
        table, segments = _distinct(table, segments)
        height, width = split.shapes[index].tolist()
        labels.append(
            {
                "im_file": split.images[index],
                "shape": (height, width),
                "cls": table[:, 0:1],
                "bboxes": table[:, 1:],
                "segments": segments,
                "keypoints": None,
                "normalized": True,
                "bbox_format": "xywh",
            }
        )
    return labels


def _distinct(table: NDArray[np.float32], segments: list[Any]) -> tuple[NDArray[np.float32], list[Any]]:
    if not len(table):
        return table, segments
    _, kept = np.unique(table, axis=0, return_index=True)
    if len(kept) < len(table) and segments:  # different polygons can share class and box
        keys = np.array([c.tobytes() + s.tobytes() for c, s in zip(table[:, 0], segments, strict=True)], dtype=object)
        _, kept = np.unique(keys, return_index=True)
    if len(kept) == len(table):
        return table, segments
    return table[kept], [segments[i] for i in kept] if segments else []

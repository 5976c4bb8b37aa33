"""Contact sheets: several pictures in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import atomic_write
from trainer_host.engine.drawable_image import drawable_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer_host.base.type_aliases import Image


def montage(images: Sequence[Image], path: Path, columns: int = 3, cell: int = 320) -> Path | None:
    """Write images next to each other into one picture; return its path, or None without images."""
    import cv2
    import numpy as np

    if not images:
        return None
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * cell, columns * cell, 3), 245, np.uint8)
    for i, image in enumerate(images):
        scale = (cell - 6) / max(image.shape[:2])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(drawable_image(image), None, fx=scale, fy=scale, interpolation=method)
        y, x = i // columns * cell, i % columns * cell
        top, left = y + (cell - small.shape[0]) // 2, x + (cell - small.shape[1]) // 2
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    atomic_write(path, cv2.imencode(path.suffix, sheet)[1].tobytes())
    return path

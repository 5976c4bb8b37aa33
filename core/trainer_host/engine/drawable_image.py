"""Images of any kind, converted for drawing on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainer_host.base.type_aliases import Image


def drawable_image(image: Image) -> Image:
    """Return an image as one of three channels that can be drawn on, a copy.

    Of more than three channels the first three are shown, and a missing third one is black, as in the engine's own
    pictures.

    Args:
        image: Array of shape (H, W) or (H, W, C); values of more than 8 bits keep their high byte.
    """
    array = np.asarray(image)
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    channels = array.shape[2]
    if channels == 1:
        return np.repeat(array, 3, axis=2)
    if channels == 2:
        return np.dstack([array, np.zeros_like(array[..., :1])])
    return np.ascontiguousarray(array[..., :3]).copy()

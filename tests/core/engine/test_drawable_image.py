"""Images of any kind become ones that can be drawn on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer_host.engine.drawable_image import drawable_image
from trainer_host.engine.montage import montage


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4, 6])
def test_every_number_of_channels_becomes_three(tmp_path: Path, channels: int) -> None:
    shape = (20, 30, channels) if channels else (20, 30)
    image = np.random.default_rng(0).integers(1, 255, shape, dtype=np.uint8)
    kept = image.copy()
    drawn = drawable_image(image)
    assert (drawn.shape, drawn.dtype) == ((20, 30, 3), np.uint8)
    for i in range(3):
        source = image if not channels else image[..., 0] if channels == 1 else image[..., i] if i < channels else 0
        assert (drawn[..., i] == source).all()
    cv2.rectangle(drawn, (2, 2), (9, 9), (1, 2, 3), 2)
    assert (image == kept).all(), "the image itself is not drawn on"
    path = montage([image, image], tmp_path / "sheet.jpg")
    assert path is not None
    assert cv2.imread(str(path)).shape == (320, 640, 3)


def test_deep_images_keep_their_high_byte() -> None:
    assert drawable_image(np.full((4, 4), 0x4321, np.uint16)).tolist() == np.full((4, 4, 3), 0x43).tolist()

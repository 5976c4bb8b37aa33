"""The frames that a package of SLEAP carries, put into the user's cache folder."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from trainer_host.data import cache_image
from trainer_pose.formats.hdf5 import MOST_BYTES, part_of, text_of, values_of

ENCODED = frozenset({"png", "jpg", "jpeg"})
BGR_BEFORE = 1.4
"""The version before which the order of colours was not noted, and was blue, green, red."""
COLOURS = 3


@dataclass
class EmbeddedImages:
    """The images that a file carries of one video.

    Attributes:
        dataset: The dataset with the images.
        number: The number of the video that the dataset's name has.
        places: The place of each frame in the dataset.
        encoded: Whether each is a PNG or a JPEG; otherwise they are pixels.
        swapped: Whether red and blue changed places when they were encoded.
        channels_first: Whether the colours are the first axis of pixels.
    """

    dataset: Any
    number: int
    places: dict[int, int]
    encoded: bool
    swapped: bool
    channels_first: bool

    @classmethod
    def of(cls, file: Any, name: str, backend: dict[str, Any], version: float) -> EmbeddedImages:
        """Return the images of a dataset of the file."""
        dataset = part_of(file, name)
        group = part_of(file, name.rpartition("/")[0] or "/")
        numbers = values_of(group, "frame_numbers") if "frame_numbers" in group else range(len(dataset))
        about = {k: text_of(v) for k, v in dataset.attrs.items() if k in {"format", "channel_order", "channels"}}
        order = about.get("channel_order", "BGR" if version < BGR_BEFORE else "RGB")
        found = re.search(r"(\d{1,9})/", name)
        return cls(
            dataset,
            int(found[1]) if found else 0,
            {int(n): i for i, n in enumerate(numbers)},
            about.get("format", "hdf5") in ENCODED,
            order == "BGR" and about.get("channels") != "1",
            backend.get("input_format") == "channels_first",
        )

    def put(self, index: int, name: str) -> str | None:
        """Put a frame into the cache folder, and return its path; None if the file does not carry it."""
        place = self.places.get(index)
        if place is None or place >= len(self.dataset):
            return None
        if self.dataset.nbytes // max(1, len(self.dataset)) > MOST_BYTES:
            raise ValueError("an image is too large")
        values = np.asarray(self.dataset[place])
        if not self.encoded:
            pixels = values.transpose(1, 2, 0) if self.channels_first and values.ndim == COLOURS else values
            return cache_image(values.tobytes() + repr(pixels.shape).encode(), name, lambda _: _png(pixels))
        content = values.tobytes()
        return cache_image(content, name, _unswapped) if self.swapped else cache_image(content, name)


def _png(pixels: Any) -> bytes:
    """Return pixels as a PNG.

    Raises:
        ValueError: If they are not those of an image.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in {2, COLOURS}:
        raise ValueError(f"an image has the shape {pixels.shape} and the type {pixels.dtype}")
    pixels = pixels[..., 0] if pixels.ndim == COLOURS and pixels.shape[2] == 1 else pixels
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _unswapped(content: bytes) -> bytes:
    """Return an image whose red and blue change places, as a PNG.

    Raises:
        ValueError: If it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of an image that claims too many pixels
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                pixels = np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise ValueError(f"an image cannot be decoded: {error}") from error
    return _png(pixels[..., ::-1] if pixels.ndim == COLOURS and pixels.shape[2] == COLOURS else pixels)

"""Facts that the header of an image gives, and the notes that readers of headers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer_host.base.findings import Severity

CHANNELS, ALPHA, DEEP = 0xFF, 0x100, 0x200
"""Parts of a mode: the number of channels, and flags for an alpha channel and for more than 8 bits."""
MOST_PIXELS = 178_956_970
"""Pixels beyond which Pillow refuses an image as a decompression bomb."""
ROTATED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
PIXELS = {"CMYK": "CMYK colours (made for print)", "F": "32-bit floating-point pixels", "I": "32-bit pixels"}

DAMAGED = "replace it with an intact copy, or remove it with its label file"


class ImageFault(NamedTuple):
    """A problem of an image file; the parts are those of a `Finding`."""

    code: str
    message: str
    fix: str
    severity: Severity


@dataclass
class Header:
    """The header of one image.

    Attributes:
        height: Pixels from top to bottom, after the EXIF rotation; 0 if unknown.
        width: Pixels from left to right.
        mark: A checksum of the file's first bytes.
        mode: Channels, alpha and depth, see `CHANNELS`.
        faults: The problems found.
    """

    height: int = 0
    width: int = 0
    mark: int = 0
    mode: int = 0
    faults: tuple[ImageFault, ...] = ()

    def add(self, code: str, message: str, fix: str, severity: Severity = "error") -> Header:
        """Add a fault."""
        self.faults = (*self.faults, ImageFault(code, message, fix, severity))
        return self


@dataclass(frozen=True)
class ImageFacts:
    """Facts from the headers of images, one entry per image; see `Split`."""

    sizes: NDArray[np.int64]
    shapes: NDArray[np.int32]
    marks: NDArray[np.uint32]
    modes: NDArray[np.uint16]


def note_rotation(header: Header, turned: int) -> None:
    """Warn of an EXIF orientation that rotates or mirrors the image."""
    if turned in range(2, 9):
        what = f"the image is rotated or mirrored by EXIF orientation {turned}; training rotates it upright."
        fix = "check in the report that the labels fit the upright image: trainer check --report FILE"
        header.add("image-rotated", what, fix, "warning")


def note_conversion(header: Header, mode: str) -> None:
    """Warn of pixels that are converted to 8-bit colour for training."""
    what = f"the image has {pixel_name(mode)}; training converts it to 8-bit colour."
    header.add("image-mode", what, "convert it yourself if colours or depth matter", "warning")


def pixel_name(mode: str) -> str:
    """Return what the pixels of a mode are called by those who do not know Pillow's names."""
    return PIXELS.get(mode, "16-bit pixels" if mode.startswith("I;16") else f"{mode} pixels")

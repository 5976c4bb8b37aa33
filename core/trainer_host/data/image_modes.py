"""Losses from unusual pixels: channels that are dropped or missing, and values of more than 8 bits.

Headers say which images have them. A few of those are decoded to see whether anything is lost.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.errors import StoppedError
from trainer_host.base.findings import Finding
from trainer_host.base.wording import counted
from trainer_host.data.header_facts import ALPHA, CHANNELS, DEEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from trainer_host.data.description import Description, Split

CONVERTED = frozenset({1, 3})
"""Numbers of channels to which the engine converts every image; for any other number it reads them as they are."""
TURNED = frozenset({".tif", ".tiff", ".avif", ".heic", ".heif"})
"""Endings of images that are rotated upright with any number of channels."""
LOOKED_AT = 8
"""Images of a split that are decoded, evenly spread."""
MANY_PIXELS = 1 << 25
"""Pixels beyond which an image is not decoded here, to bound time and memory."""
DARK = 64
"""Of 256 levels, how many an image is to reach: with fewer, two of its eight bits are not used."""
MOST = 99
"""Percentage of the pixels that count, so that a single bright one does not hide a dark image."""


def check_modes(data: Description) -> Iterator[Finding]:
    """Yield what is lost of the pixels of images, for each split."""
    channels = data.get("channels", 3)
    for split in data.splits.values():
        if not len(split.modes) or type(channels) is not int:
            continue
        if channels in CONVERTED:
            yield from _dropped_channels(split, channels)
            yield from _alpha(split)
        else:
            yield from _other_channels(data, split, channels)
        yield from _dark(split)


def as_trained(findings: Iterable[Finding], channels: Any) -> Iterator[Finding]:
    """Yield the findings of images, corrected for a number of channels with which they are not rotated.

    The engine's reader then ignores the EXIF orientation, but for the formats that other libraries decode.
    """
    for found in findings:
        turned = channels not in CONVERTED and Path(found.file or "").suffix.lower() not in TURNED
        if found.code != "image-rotated" or not turned:
            yield found
            continue
        what = f"the image is rotated by its EXIF orientation, which training ignores with channels: {channels}."
        fix = "rotate the image itself, remove the orientation, and check its labels"
        yield replace(found, code="image-unrotated", message=what, fix=fix, severity="error", image=found.file)


def _count(split: Split, number: int) -> str:
    return f"{number} of {counted(len(split), f'{split.name} image')} {'has' if number == 1 else 'have'}"


def _warning(split: Split, index: int, code: str, message: str, fix: str) -> Finding:
    return Finding(code, message, fix, split.images[index], None, "warning", split.name)


def _dropped_channels(split: Split, channels: int) -> Iterator[Finding]:
    known = split.modes & CHANNELS
    found = np.flatnonzero((known > 1) & (known != 3) & ((split.modes & ALPHA) == 0))
    if len(found):
        number = int(known[found[0]])
        message = f"{_count(split, len(found))} {number} channels or pages, and channels: {channels} drops the others."
        fix = f"write channels: {number} to train on all of them, or ignore this"
        yield _warning(split, int(found[0]), "image-channels", message, fix)


def _other_channels(data: Description, split: Split, channels: int) -> Iterator[Finding]:
    known = (split.modes & CHANNELS).tolist()
    wrong = [index for index, number in enumerate(known) if number not in {0, channels}]
    if len(wrong) == len(known) and len(set(known)) == 1:
        message = f"channels is {channels}, but all {split.name} images have {known[0]}."
        yield data.of_key("channels", "image-channels", message, f"write channels: {known[0]}, or use other images")
        return
    for index in wrong:
        message = f"the image has {counted(known[index], 'channel')}, but the dataset has {channels}."
        yield split.of_image(index, "image-channels", message, f"save it with {counted(channels, 'channel')}")


# --- pixels -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """One image that was decoded: its index in the split, and its pixels."""

    index: int
    pixels: NDArray[Any]


def _looks(split: Split, mark: int, mode: str) -> Iterator[_Look]:
    """Yield some of a split's images that have a mark, decoded; those that cannot be decoded are passed over."""
    found = np.flatnonzero((split.modes & mark) != 0)
    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), LOOKED_AT)).round().astype(int))
    for index in found[chosen].tolist():
        small = split.shapes[index].prod(dtype=np.int64) <= MANY_PIXELS
        pixels = _decoded(split.images[index], mode) if small else None
        if pixels is not None and pixels.size:
            yield _Look(index, pixels)


def _decoded(path: str, mode: str) -> NDArray[Any] | None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(Path(path)) as image:
                image.load()
                if mode == "A":
                    return np.asarray(image.convert("RGBA").getchannel("A"))
                return np.asarray(image)
    except StoppedError:
        raise
    except Exception:  # Pillow's decoders raise whatever comes; damage is reported elsewhere
        return None


def _alpha(split: Split) -> Iterator[Finding]:
    """Yield images of which a part is transparent; an alpha channel that is opaque throughout may be dropped."""
    number = int(((split.modes & ALPHA) != 0).sum())
    seen = [(float((look.pixels < 255).mean()), look.index) for look in _looks(split, ALPHA, "A")] if number else []
    share, index = max(seen, default=(0.0, 0))
    if share > 0:
        message = f"{_count(split, number)} an alpha channel, which training drops: in this image,"
        message += f" {100 * share:.3g}% of the pixels are transparent, and their hidden colours become visible."
        fix = "save such images without alpha on a background, or ignore this if their colours are right"
        yield _warning(split, index, "image-alpha", message, fix)


def _dark(split: Split) -> Iterator[Finding]:
    """Yield images of more than 8 bits that become dark, because their high byte is all that is kept."""
    number = int(((split.modes & DEEP) != 0).sum())
    levels = [(float(_level(look.pixels)), look.index) for look in _looks(split, DEEP, "")] if number else []
    level, index = max(levels, default=(65535.0, 0))
    if level >= 256 * DARK or level < 1:  # an all-black image has another problem
        return
    factor = 1
    while 2 * factor * (level + 1) <= 65536:
        factor *= 2
    message = f"{_count(split, number)} 16-bit pixels, which training divides by 256, so they become dark: in the"
    message += f" brightest, {MOST}% of the pixels are at most {int(level)} of 65535 ({int(level) >> 8} of 255)."
    fix = f"multiply the values by {factor} and save them again, with 16 bits or, divided by 256, with 8"
    yield _warning(split, index, "image-dark", message, fix)


def _level(pixels: NDArray[Any]) -> float:
    """Return the level below which most pixels are, of 65535; colours are decoded to 8 bits as the engine does."""
    scale = 256 if pixels.dtype == np.uint8 else 1
    return float(np.percentile(pixels, MOST)) * scale

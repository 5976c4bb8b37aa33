"""Headers that Pillow reads: every format but JPEG and PNG, and what looks odd."""

from __future__ import annotations

import os
import warnings
from typing import Any

from trainer_host.base.errors import StoppedError
from trainer_host.data.header_facts import (
    ALPHA,
    CHANNELS,
    DAMAGED,
    DEEP,
    ROTATED,
    Header,
    note_conversion,
    note_rotation,
    pixel_name,
)

UNREADABLE_MODES = frozenset({"F", "I"})
PILLOW_CHANNELS = {"1": 1, "L": 1, "I;16": 1, "RGB": 3, "RGBA": 4, "RGBX": 4, "LA": 4}


def read_with_pillow(header: Header, kind: str, path: str, size: int) -> None:
    """Fill in a header from what Pillow reads, without decoding pixels."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                tags = getattr(image, "tag_v2", {})
                # As the file has them: newer releases of Pillow swap the size of a TIFF that is turned.
                header.width, header.height = tags.get(256, image.size[0]), tags.get(257, image.size[1])
                # Pillow also takes it from XMP, by which nothing turns the picture.
                turned = int(image.getexif().get(0x0112, 1)) if tags or "exif" in image.info else 1
                if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"}:
                    if image.mode in UNREADABLE_MODES:
                        what = f"the image has {pixel_name(image.mode)}, which are not supported."
                        header.add("image-mode", what, "convert it to 8-bit colour or gray")
                    else:
                        note_conversion(header, image.mode)
                header.mode = _mode_of(image)
                if _needs(image, path) > size:
                    header.add("image-truncated", "the file is truncated.", DAMAGED)
    except Image.DecompressionBombError:
        header.add("image-bomb", "the header claims too many pixels.", "remove the image")
    except ImportError:
        what = "this format needs the package pi-heif, which is not installed."
        header.add("image-unreadable", what, "pip install pi-heif, or convert the image to PNG")
    except StoppedError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever comes
        header.add("image-unreadable", f"the image cannot be read: {_without_path(error, path)}.", DAMAGED)
    else:
        if kind == "WEBP" and turned in range(2, 9) and not _opencv_turns_webp():
            what = f"the image has EXIF orientation {turned}; this release of OpenCV does not rotate WebP images."
            header.add("image-unrotated", what, "pip install --upgrade opencv-python, to 4.13 or newer", "warning")
            return
        if turned in ROTATED:
            header.height, header.width = header.width, header.height
        note_rotation(header, turned)


def _opencv_turns_webp() -> bool:
    import cv2
    from packaging.version import Version

    return Version(cv2.__version__) >= Version("4.13")


def _mode_of(image: Any) -> int:
    """Return what Pillow says of the pixels of an image; the bands or pages of a TIFF count as its channels."""
    channels, tags = PILLOW_CHANNELS.get(image.mode, 0), getattr(image, "tag_v2", None)
    deep, unread = image.mode.startswith("I;16"), image.mode in UNREADABLE_MODES
    if tags:
        pages = int(getattr(image, "n_frames", 1))
        bands = int(tags.get(277, 1))
        channels = pages if pages > 1 and bands == 1 else 0 if pages > 1 or image.mode in {"P", "LA"} else bands
        deep = deep or (max(tags.get(258, (1,))) > 8 and not unread)
    alpha = image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info
    return (channels if channels <= CHANNELS else 0) | (ALPHA if alpha else 0) | (DEEP if deep else 0)


def _without_path(error: Exception, path: str) -> str:
    """Return an error's text without the path, which some releases of Pillow make absolute."""
    text = str(error)
    for name in (path, os.path.realpath(path)):
        text = text.replace(repr(name), "the file")
    return " ".join(text.split())


def _needs(image: object, path: str) -> int:
    """Return how many bytes a file has to have, by what its header says; 0 if it does not say it."""
    tags = getattr(image, "tag_v2", None)
    if tags:  # TIFF: strips or tiles with their places
        places = tags.get(273) or tags.get(324) or ()
        counts = tags.get(279) or tags.get(325) or ()
        return max((int(p) + int(c) for p, c in zip(places, counts, strict=False)), default=0)
    kind = getattr(image, "format", "")
    if kind in {"WEBP", "BMP"}:
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(8)
        return int.from_bytes(head[4:8], "little") + 8 if kind == "WEBP" else int.from_bytes(head[2:6], "little")
    return 0

"""What the headers of image files say: size, rotation, and whether the file is whole. No pixel is decoded.

JPEG and PNG, which nearly every dataset is made of, are read here, because opening each by a library takes several
times as long; every other format, and whatever looks odd, is left to Pillow.
"""

from __future__ import annotations

import os
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.errors import StoppedError
from trainer_host.base.findings import Finding, Severity
from trainer_host.data.description import ALPHA, CHANNELS, DEEP, ImageFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS = {
    "AVIF": ("avif",),
    "BMP": ("bmp",),
    "HEIF": ("heic", "heif"),
    "JPEG": ("jpg", "jpeg", "mpo"),
    "JPEG2000": ("jp2",),
    "PNG": ("png",),
    "TIFF": ("tif", "tiff", "dng"),
    "WEBP": ("webp",),
}
"""The formats that the engine trains on, and the endings of their files, the usual one first."""
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Suffixes of image files that are read, in lower case and without a dot."""
PICTURES = frozenset({"gif", "jfif", "jpe", "svg", "psd", "ico", "tga", "ppm", "pgm", "exr", "hdr", "jxl", "cr2"})
"""Endings of pictures that the engine passes over."""

HEAD = 4096
LEAST_SIDE = 10
MOST_PIXELS = 178_956_970
"""Pixels beyond which Pillow refuses an image as a decompression bomb."""
ROTATED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
JPEG_END = b"\xff\xd9"
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
UNREADABLE_MODES = frozenset({"F", "I"})
PIXELS = {"CMYK": "CMYK colours (made for print)", "F": "32-bit floating-point pixels", "I": "32-bit pixels"}
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4 | ALPHA, 6: 4 | ALPHA}
"""Channels of the colour types of a PNG as the engine reads them; gray with alpha becomes colour with alpha."""
PILLOW_CHANNELS = {"1": 1, "L": 1, "I;16": 1, "RGB": 3, "RGBA": 4, "RGBX": 4, "LA": 4}
MOST_SEGMENTS = 2000
"""Segments, fill bytes among them, after which the header of a JPEG is not believed."""
DAMAGED_HEADER = "the JPEG file ends within its header, or is damaged there."
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

DAMAGED = "replace the file by a whole copy, or remove it with its label file"


@dataclass
class Header:
    """What the header of one image says.

    Attributes:
        height: Pixels from top to bottom, after the EXIF rotation; 0 where it is not known.
        width: Pixels from left to right.
        mark: A checksum of the file's first bytes.
        mode: What it says of the pixels, see `description.CHANNELS`.
        faults: Code, message, fix and severity of what is wrong.
    """

    height: int = 0
    width: int = 0
    mark: int = 0
    mode: int = 0
    faults: tuple[tuple[str, str, str, Severity], ...] = ()

    def add(self, code: str, message: str, fix: str, severity: Severity = "error") -> Header:
        """Note that something is wrong."""
        self.faults = (*self.faults, (code, message, fix, severity))
        return self


def read_images(split: str, paths: Sequence[str]) -> tuple[ImageFacts, list[Finding]]:
    """Read the headers of images.

    Returns:
        What they say, in the order of ``paths``, and what is wrong with them.
    """
    sizes = np.zeros(len(paths), np.int64)
    headers = []
    for i, path in enumerate(paths):
        try:
            sizes[i] = Path(path).stat().st_size
        except OSError:
            headers.append(unreadable(path))
        else:
            headers.append(read_header(path, int(sizes[i])))
    findings = [
        Finding(code, message, fix, path, None, severity, split, path if severity == "error" else None)
        for path, header in zip(paths, headers, strict=True)
        for code, message, fix, severity in header.faults
    ]
    shapes = np.array([(h.height, h.width) for h in headers], np.int32).reshape(-1, 2)
    marks, modes = np.array([h.mark for h in headers], np.uint32), np.array([h.mode for h in headers], np.uint16)
    return ImageFacts(sizes, shapes, marks, modes), findings


def unreadable(path: str) -> Header:
    """Return what to say of an image that is not there, or is a link that leads nowhere."""
    link = Path(path)
    if link.is_symlink():
        target = link.readlink()
        if (link.parent / target) == link:
            return Header().add("link-loop", "the link leads to itself.", "remove it, or mend it")
        what = f"the link leads to {target}, which is not there."
        return Header().add("link-broken", what, "correct the link, or remove it with its label file")
    return Header().add("image-unreadable", "the image is not there.", "remove it from the list, or put it there")


def read_header(path: str, size: int) -> Header:
    """Return what the header of an image says.

    Args:
        path: The image.
        size: Its size in bytes.
    """
    if size < 0:
        what = "this is a folder, a pipe or a device, and not a file."
        return Header().add("image-unreadable", what, "remove or rename it")
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        return Header().add("image-unreadable", f"the image cannot be read: {error.strerror}.", "make it readable")
    try:
        head = os.read(file, HEAD)
        header = _read(file, head, path, size)
    except OSError as error:
        return Header().add("image-unreadable", f"the image cannot be read: {error.strerror}.", "make it a file")
    finally:
        os.close(file)
    header.mark = zlib.crc32(head)
    return _judged(header)


def _judged(header: Header) -> Header:
    """Note what is wrong with the size of an image."""
    height, width = header.height, header.width
    if height * width > MOST_PIXELS:
        what = f"the header claims {width} x {height} pixels, more than an image can have."
        header.height = header.width = 0
        header.add("image-bomb", what, "remove the image, or scale it down")
    elif not max(height, width) and not any(fault[3] == "error" for fault in header.faults):
        header.add("image-unreadable", f"the header claims {width} x {height} pixels.", DAMAGED)
    elif max(height, width) and min(height, width) < LEAST_SIDE:
        what = f"the image has {width} x {height} pixels; both sides need at least {LEAST_SIDE}."
        header.add("image-tiny", what, "remove it with its label file")
    return header


def _read(file: int, head: bytes, path: str, size: int) -> Header:
    if not size:
        return Header().add("image-empty", "the image file is empty.", DAMAGED)
    suffix = path.rpartition(".")[-1].lower()
    if head.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(file, head, path, size)
        return header if suffix in FORMATS["JPEG"] else _at_odds(header, "JPEG", path)
    if head.startswith(PNG_HEAD):
        header = _read_png(file, size)
        return header if suffix in FORMATS["PNG"] else _at_odds(header, "PNG", path)
    return _read_other(path, head, size)


def _at_odds(header: Header, kind: str, path: str) -> Header:
    suffix = PurePath(path).suffix
    what = f"the image is a {kind} file, though its name ends in {suffix}."
    return header.add("image-extension", what, f"rename it to end in .{FORMATS[kind][0]}", "warning")


class _Bytes:
    """The bytes of a file at any place; the first are at hand."""

    def __init__(self, file: int, head: bytes, size: int) -> None:
        self.file, self.head, self.size = file, head, size

    def at(self, start: int, count: int) -> bytes:
        if start + count <= len(self.head):
            return self.head[start : start + count]
        os.lseek(self.file, start, os.SEEK_SET)
        return os.read(self.file, count)


def _read_jpeg(file: int, head: bytes, path: str, size: int) -> Header:
    content, place, header, turned = _Bytes(file, head, size), 2, Header(), 1
    whole = content.at(size - 2, 2) == JPEG_END
    for _ in range(MOST_SEGMENTS):
        segment = content.at(place, 10)
        if len(segment) == 10 and segment[0] != 0xFF:
            return _read_odd_jpeg(path, size, whole)
        if len(segment) < 10:
            return header.add("image-truncated", DAMAGED_HEADER, DAMAGED)
        kind = segment[1]
        if kind == 0xFF:  # fill bytes
            place += 1
            continue
        if kind in START_OF_FRAME:
            height, width = segment[5] << 8 | segment[6], segment[7] << 8 | segment[8]
            header.height, header.width = (width, height) if turned in ROTATED else (height, width)
            header.mode = segment[9] if segment[9] in {1, 3} else 0
            if segment[9] == 4 or segment[4] != 8:
                _unusual(header, "CMYK" if segment[9] == 4 else f"{segment[4]}-bit")
            break
        length = segment[2] << 8 | segment[3]
        if kind == 0xE1 and segment[4:10] == b"Exif\0\0":
            turned = _orientation(content.at(place + 10, length - 8))
        place += 2 + length
    else:
        return header.add("image-truncated", DAMAGED_HEADER, DAMAGED)
    _note_turn(header, turned)
    if not whole:
        _judge_end(header, path)
    return header


def _read_odd_jpeg(path: str, size: int, whole: bool) -> Header:
    """Leave a JPEG with stray bytes between its segments to Pillow, which reads some of them."""
    header = Header()
    _open_other(header, "JPEG", path, size)
    if any(fault[3] == "error" for fault in header.faults):
        return Header().add("image-truncated", DAMAGED_HEADER, DAMAGED)
    if not whole:
        _judge_end(header, path)
    return header


def _note_turn(header: Header, turned: int) -> None:
    if turned in range(2, 9):
        what = f"the image is stored turned or mirrored (EXIF orientation {turned}) and is turned upright for training."
        fix = "check that the labels were made on the upright image; the report of trainer check shows them"
        header.add("image-rotated", what, fix, "warning")


def _unusual(header: Header, mode: str) -> None:
    what = f"the image has {_pixels(mode)}, and is converted to 8-bit colour for training."
    header.add("image-mode", what, "convert it yourself where colours or depth matter", "warning")


def _pixels(mode: str) -> str:
    """Return what the pixels of a mode are called by those who do not know Pillow's names."""
    return PIXELS.get(mode, "16-bit pixels" if mode.startswith("I;16") else f"{mode} pixels")


def _judge_end(header: Header, path: str) -> None:
    """Tell a JPEG that was cut off from one that has something behind its end."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if header.height * header.width > MOST_PIXELS:
                return
            with Image.open(path) as image:
                several = image.format == "MPO"
                image.load()
    except StoppedError:
        raise
    except Exception:  # Pillow's decoders raise whatever comes
        header.add("image-truncated", "the JPEG file ends before its picture does.", DAMAGED)
        return
    if not several:
        what = "the JPEG file has bytes behind the picture's end."
        header.add("image-trailing-bytes", what, "leave it, or save it again if other programs complain", "warning")


def _orientation(exif: bytes) -> int:
    """Return the orientation that an EXIF block gives, 1 where it gives none."""
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None or len(exif) < 14:
        return 1

    def number(start: int, count: int) -> int:
        return int.from_bytes(exif[start : start + count], "little" if order == "little" else "big")

    first = number(4, 4)
    for entry in range(number(first, 2)):
        place = first + 2 + 12 * entry
        if place + 12 > len(exif):
            break
        if number(place, 2) == 0x0112:
            return number(place + 8, 2)
    return 1


def _read_png(file: int, size: int) -> Header:
    """Read a PNG chunk by chunk, with the checksum of each: a chunk that is damaged makes the engine drop the image."""
    header, turned, end, pixels = Header(), 1, False, False
    os.lseek(file, len(PNG_HEAD), os.SEEK_SET)
    place = len(PNG_HEAD)
    while place + 12 <= size and not end:
        start = os.read(file, 8)
        length, kind = int.from_bytes(start[:4], "big"), start[4:8]
        if place + 12 + length > size:
            break
        if (kind == b"IHDR") != (place == len(PNG_HEAD)) or (kind == b"IHDR" and length < 13):
            return header.add("image-unreadable", "the PNG file is damaged: its header is not the first part.", DAMAGED)
        body, checksum = _chunk(file, kind, length)
        if checksum is None:
            what = f"the PNG file is damaged: its part {kind.decode('latin-1')!r} has a wrong checksum."
            return header.add("image-unreadable", what, DAMAGED)
        if kind == b"IHDR":
            header.width, header.height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            header.mode = PNG_CHANNELS.get(body[9], 0)
            if body[8] == 16:
                header.mode |= DEEP
                _unusual(header, "16-bit")
        elif kind == b"tRNS":
            header.mode = header.mode & DEEP | ALPHA
        elif kind == b"eXIf":
            turned = _orientation(body)
        end, pixels = kind == b"IEND", pixels or kind == b"IDAT"
        place += 12 + length
    if not end or not pixels:
        return header.add("image-truncated", "the PNG file ends before its picture does.", DAMAGED)
    if turned in ROTATED:
        header.height, header.width = header.width, header.height
    _note_turn(header, turned)
    return header


def _chunk(file: int, kind: bytes, length: int) -> tuple[bytes, int | None]:
    """Return a chunk's body, where it is a small one, and its checksum; None where that is wrong."""
    checksum, left, body = zlib.crc32(kind), length, b""
    while left:
        part = os.read(file, min(left, 1 << 20))
        if not part:
            return body, None
        checksum = zlib.crc32(part, checksum)
        body = part if length == len(part) else b""
        left -= len(part)
    return body, checksum if os.read(file, 4) == checksum.to_bytes(4, "big") else None


def _read_other(path: str, head: bytes, size: int) -> Header:
    header, suffix = Header(), PurePath(path).suffix.lower().lstrip(".")
    kind = _kind(head)
    if kind is None:
        what = "the content is not that of an image."
        if not head.strip(b"\0"):
            what = "the file begins with zero bytes, as a crash leaves them, and is not an image."
        elif head.isascii() and b"\0" not in head:
            what = "the file is text, not an image."
        return header.add("image-not-image", what, "replace it by the image, or remove it with its label file")
    if kind not in FORMATS:
        return header.add("image-not-image", f"the file is a {kind} image, which is not read.", "convert it to PNG")
    _open_other(header, kind, path, size)
    if header.height and suffix not in FORMATS[kind]:
        return _at_odds(header, kind, path)
    return header


def _kind(head: bytes) -> str | None:
    """Return the format that a file's first bytes tell."""
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG2000"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "AVIF" if brand in (b"avif", b"avis") else "HEIF" if brand in HEIF_BRANDS else None
    if head.startswith(b"BM") and len(head) > 26 and head[6:10] == bytes(4):
        return "BMP"
    return "GIF" if head.startswith((b"GIF87a", b"GIF89a")) else None


def _open_other(header: Header, kind: str, path: str, size: int) -> None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                header.width, header.height = image.size
                # Pillow also takes it from XMP, by which nothing turns the picture.
                has_exif = "exif" in image.info or hasattr(image, "tag_v2")
                turned = int(image.getexif().get(0x0112, 1)) if has_exif else 1
                if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"}:
                    if image.mode in UNREADABLE_MODES:
                        what = f"the image has {_pixels(image.mode)}, which are not read."
                        header.add("image-mode", what, "convert it to 8-bit colour or gray")
                    else:
                        _unusual(header, image.mode)
                header.mode = _mode_of(image)
                if _needs(image) > size:
                    header.add("image-truncated", "the file ends before its picture does.", DAMAGED)
    except Image.DecompressionBombError:
        header.add("image-bomb", "the header claims more pixels than an image can have.", "remove the image")
    except ImportError:
        what = "this format needs a package that is not installed."
        header.add("image-unreadable", what, "pip install pi-heif, or convert the image to PNG")
    except StoppedError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever comes
        header.add("image-unreadable", f"the image cannot be read: {_without_path(error, path)}.", DAMAGED)
    else:
        if turned in ROTATED and kind != "TIFF":  # whose size Pillow gives as it is shown
            header.height, header.width = header.width, header.height
        _note_turn(header, turned)


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
    return " ".join(str(error).replace(repr(path), "the file").split())


def _needs(image: object) -> int:
    """Return how many bytes a file has to have, by what its header says; 0 where it does not say it."""
    tags = getattr(image, "tag_v2", None)
    if tags:  # TIFF: strips or tiles with their places
        places = tags.get(273) or tags.get(324) or ()
        counts = tags.get(279) or tags.get(325) or ()
        return max((int(p) + int(c) for p, c in zip(places, counts, strict=False)), default=0)
    kind, name = getattr(image, "format", ""), str(getattr(image, "filename", ""))
    if kind in {"WEBP", "BMP"}:
        with open(name, "rb") as file:  # noqa: PTH123
            head = file.read(8)
        return int.from_bytes(head[4:8], "little") + 8 if kind == "WEBP" else int.from_bytes(head[2:6], "little")
    return 0

"""Headers of image files: size, rotation, and whether the file is complete. No pixel is decoded.

JPEG and PNG, the formats of nearly every dataset, have their own readers, because opening each file by a library
takes several times as long; Pillow reads every other format and whatever looks odd.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.findings import Finding
from trainer_host.data.header_facts import DAMAGED, MOST_PIXELS, Header, ImageFacts
from trainer_host.data.jpeg_headers import read_jpeg
from trainer_host.data.pillow_headers import read_with_pillow
from trainer_host.data.png_headers import PNG_HEAD, read_png

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
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})


def read_images(split: str, paths: Sequence[str]) -> tuple[ImageFacts, list[Finding]]:
    """Read the headers of images.

    Returns:
        Their facts in the order of ``paths``, and the findings about them.
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
        Finding(f.code, f.message, f.fix, path, None, f.severity, split, path if f.severity == "error" else None)
        for path, header in zip(paths, headers, strict=True)
        for f in header.faults
    ]
    shapes = np.array([(h.height, h.width) for h in headers], np.int32).reshape(-1, 2)
    marks, modes = np.array([h.mark for h in headers], np.uint32), np.array([h.mode for h in headers], np.uint16)
    return ImageFacts(sizes, shapes, marks, modes), findings


def unreadable(path: str) -> Header:
    """Return the header of an image that does not exist, or is a broken link."""
    link = Path(path)
    if link.is_symlink():
        target = link.readlink()
        if (link.parent / target) == link:
            return Header().add("link-loop", "the link points to itself.", "remove or correct it")
        what = f"broken link: {target} not found."
        return Header().add("link-broken", what, "correct the link, or remove it with its label file")
    return Header().add("image-unreadable", "image not found.", "remove it from the list, or add the file")


def read_header(path: str, size: int) -> Header:
    """Return what the header of an image says.

    Args:
        path: The image.
        size: Its size in bytes.
    """
    if size < 0:
        what = "not a file, but a folder, a pipe or a device."
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
    return _checked_size(header)


def _checked_size(header: Header) -> Header:
    """Check the size of an image."""
    height, width = header.height, header.width
    if height * width > MOST_PIXELS:
        what = f"the header claims {width} x {height} pixels, too many for an image."
        header.height = header.width = 0
        header.add("image-bomb", what, "remove the image, or scale it down")
    elif not max(height, width) and not any(fault.severity == "error" for fault in header.faults):
        header.add("image-unreadable", f"the header claims {width} x {height} pixels.", DAMAGED)
    elif max(height, width) and min(height, width) < LEAST_SIDE:
        what = f"the image has {width} x {height} pixels; the minimum is {LEAST_SIDE} x {LEAST_SIDE}."
        header.add("image-tiny", what, "remove it with its label file")
    return header


def _read(file: int, head: bytes, path: str, size: int) -> Header:
    if not size:
        return Header().add("image-empty", "the image file is empty.", DAMAGED)
    suffix = path.rpartition(".")[-1].lower()
    if head.startswith(b"\xff\xd8\xff"):
        header = read_jpeg(file, head, path, size)
        return header if suffix in FORMATS["JPEG"] else _at_odds(header, "JPEG", path)
    if head.startswith(PNG_HEAD):
        header = read_png(file, size)
        return header if suffix in FORMATS["PNG"] else _at_odds(header, "PNG", path)
    return _read_other(path, head, size)


def _at_odds(header: Header, kind: str, path: str) -> Header:
    suffix = PurePath(path).suffix
    what = f"the image is a {kind} file, but its name ends in {suffix}."
    return header.add("image-extension", what, f"rename it to end in .{FORMATS[kind][0]}", "warning")


def _read_other(path: str, head: bytes, size: int) -> Header:
    header, suffix = Header(), PurePath(path).suffix.lower().lstrip(".")
    kind = _kind(head)
    if kind is None:
        what = "not an image."
        if not head.strip(b"\0"):
            what = "not an image: the file begins with zero bytes, as after a crash."
        elif head.isascii() and b"\0" not in head:
            what = "not an image, but text."
        return header.add("image-not-image", what, "replace it with the image, or remove it with its label file")
    if kind not in FORMATS:
        return header.add("image-not-image", f"{kind} images are not supported.", "convert it to PNG")
    read_with_pillow(header, kind, path, size)
    if header.height and suffix not in FORMATS[kind]:
        return _at_odds(header, kind, path)
    return header


def _kind(head: bytes) -> str | None:
    """Return the format that a file's first bytes show."""
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

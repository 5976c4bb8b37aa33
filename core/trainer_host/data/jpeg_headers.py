"""Headers of JPEG files, read without a library: size, EXIF rotation, and whether the file is complete."""

from __future__ import annotations

import os
import warnings

from trainer_host.base.errors import StoppedError
from trainer_host.data.header_facts import DAMAGED, MOST_PIXELS, ROTATED, Header, note_conversion, note_rotation
from trainer_host.data.pillow_headers import read_with_pillow

JPEG_END = b"\xff\xd9"
MOST_SEGMENTS = 2000
"""Segments, fill bytes among them, after which the header of a JPEG is not believed."""
DAMAGED_HEADER = "the JPEG file is truncated or damaged within its header."
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class _Bytes:
    """The bytes of a file at any place; the first are at hand."""

    def __init__(self, file: int, head: bytes, size: int) -> None:
        self.file, self.head, self.size = file, head, size

    def at(self, start: int, count: int) -> bytes:
        if start + count <= len(self.head):
            return self.head[start : start + count]
        os.lseek(self.file, start, os.SEEK_SET)
        return os.read(self.file, count)


def read_jpeg(file: int, head: bytes, path: str, size: int) -> Header:
    """Read the segments of a JPEG up to its frame, which holds the size."""
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
                note_conversion(header, "CMYK" if segment[9] == 4 else f"{segment[4]}-bit")
            break
        length = segment[2] << 8 | segment[3]
        if kind == 0xE1 and segment[4:10] == b"Exif\0\0":
            turned = exif_orientation(content.at(place + 10, length - 8))
        place += 2 + length
    else:
        return header.add("image-truncated", DAMAGED_HEADER, DAMAGED)
    note_rotation(header, turned)
    if not whole:
        check_jpeg_end(header, path)
    return header


def _read_odd_jpeg(path: str, size: int, whole: bool) -> Header:
    """Leave a JPEG with stray bytes between its segments to Pillow, which reads some of them."""
    header = Header()
    read_with_pillow(header, "JPEG", path, size)
    if any(fault.severity == "error" for fault in header.faults):
        return Header().add("image-truncated", DAMAGED_HEADER, DAMAGED)
    if not whole:
        check_jpeg_end(header, path)
    return header


def check_jpeg_end(header: Header, path: str) -> None:
    """Distinguish a JPEG that was cut off from one that has something behind its end."""
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
        header.add("image-truncated", "the JPEG file is truncated.", DAMAGED)
        return
    if not several:
        what = "the JPEG file has bytes after the end of the image."
        fix = "ignore this, or save the image again if other programs reject it"
        header.add("image-trailing-bytes", what, fix, "warning")


def exif_orientation(exif: bytes) -> int:
    """Return the orientation that an EXIF block gives, 1 if it gives none."""
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

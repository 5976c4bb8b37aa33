"""Headers of PNG files, read without a library: size, EXIF rotation, and the checksum of every chunk."""

from __future__ import annotations

import os
import zlib

from trainer_host.data.header_facts import ALPHA, DAMAGED, DEEP, ROTATED, Header, note_conversion, note_rotation
from trainer_host.data.jpeg_headers import exif_orientation

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4 | ALPHA, 6: 4 | ALPHA}
"""Channels of the colour types of a PNG as the engine reads them; gray with alpha becomes colour with alpha."""


def read_png(file: int, size: int) -> Header:
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
            return header.add("image-unreadable", "the PNG file is damaged: it does not begin with IHDR.", DAMAGED)
        body, checksum = _chunk(file, kind, length)
        if checksum is None:
            what = f"the PNG file is damaged: its chunk {kind.decode('latin-1')!r} has a wrong checksum."
            return header.add("image-unreadable", what, DAMAGED)
        if kind == b"IHDR":
            header.width, header.height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            header.mode = PNG_CHANNELS.get(body[9], 0)
            if body[8] == 16:
                header.mode |= DEEP
                note_conversion(header, "16-bit")
        elif kind == b"tRNS":
            header.mode = header.mode & DEEP | ALPHA
        elif kind == b"eXIf":
            turned = exif_orientation(body)
        end, pixels = kind == b"IEND", pixels or kind == b"IDAT"
        place += 12 + length
    if not end or not pixels:
        return header.add("image-truncated", "the PNG file is truncated.", DAMAGED)
    if turned in ROTATED:
        header.height, header.width = header.width, header.height
    note_rotation(header, turned)
    return header


def _chunk(file: int, kind: bytes, length: int) -> tuple[bytes, int | None]:
    """Return a chunk's body, if it is small, and its checksum; None if that is wrong."""
    checksum, left, body = zlib.crc32(kind), length, b""
    while left:
        part = os.read(file, min(left, 1 << 20))
        if not part:
            return body, None
        checksum = zlib.crc32(part, checksum)
        body = part if length == len(part) else b""
        left -= len(part)
    return body, checksum if os.read(file, 4) == checksum.to_bytes(4, "big") else None

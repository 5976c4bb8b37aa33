"""Broken images: content, extension, mode, size, links."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.corpus.generator import (
    FIRST_IMAGE,
    Case,
    Change,
    Expected,
    case,
    content,
    linked,
    moved,
    picture,
    pipe,
    removed,
    rows,
    saved,
    sparse,
    together,
    warning,
    with_mode,
)

PNG = "images/train/00.png"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


JPEG_BYTES = encoded(picture(20, 320, 240), "JPEG")
PNG_BYTES = encoded(picture(20, 320, 240), "PNG")
WEBP_BYTES = encoded(picture(20, 320, 240), "WEBP")
BMP_BYTES = encoded(picture(20, 320, 240), "BMP")
TIFF_BYTES = encoded(picture(20, 320, 240), "TIFF")


def bad(name: str, why: str, data: bytes, code: str, file: str = FIRST_IMAGE) -> Case:
    """Return a case of the first image with other content."""
    return case(f"image-{name}", why, replaced(file, data), Expected(code, file))


def odd(name: str, why: str, file: str, image: Image.Image, code: str, **options: object) -> Case:
    """Return a case of the first image in an unusual form, which earns a warning."""
    return case(f"image-{name}", why, saved(file, image, **options), warning(code, file))


def replaced(file: str, data: bytes) -> Change:
    return together(removed(FIRST_IMAGE), content(file, data))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that says that it is so large, with the right checksums."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def flipped_byte(data: bytes) -> bytes:
    """Return a PNG one byte of whose picture is another one."""
    place = data.index(b"IDAT") + 40
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def folder_named_as_an_image(root: Path) -> None:
    (root / "images/train/99.jpg").mkdir()


def copied(source: str, target: str) -> Change:
    def change(root: Path) -> None:
        shutil.copyfile(root / source, root / target)

    return change


def linked_folder(root: Path) -> None:
    (root / "images/train").rename(root / "pictures")
    (root / "images/train").symlink_to("../pictures")


DEEP16 = Image.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20)
MIDDLE = len(JPEG_BYTES) // 2

CONTENT = [
    bad("empty", "No bytes", b"", "image-empty"),
    bad("of-zeros", "Zeros alone", bytes(2000), "image-not-image"),
    bad("of-text", "Text named .jpg", b"my picture\n" * 30, "image-not-image"),
    bad(
        "of-a-web-page",
        "A web page named .jpg, from a failed download",
        b"<!DOCTYPE html><html><body>404</body></html>",
        "image-not-image",
    ),
    bad(
        "of-a-large-file-pointer",
        "A pointer of Git LFS in place of the image",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "image-not-image",
    ),
    bad("of-a-movie", "A movie named .jpg", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500), "image-not-image"),
    bad("cut-in-half", "The second half of a JPEG is missing", JPEG_BYTES[:MIDDLE], "image-truncated"),
    bad("cut-by-two", "The last two bytes of a JPEG are missing", JPEG_BYTES[:-2], "image-truncated"),
    bad("cut-in-the-header", "A JPEG of 100 bytes", JPEG_BYTES[:100], "image-truncated"),
    bad(
        "zeros-at-the-end",
        "The second half of a JPEG is zeros, as a full disk leaves it",
        JPEG_BYTES[:MIDDLE] + bytes(len(JPEG_BYTES) - MIDDLE),
        "image-truncated",
    ),
    bad(
        "png-cut-in-half",
        "The second half of a PNG is missing",
        PNG_BYTES[: len(PNG_BYTES) // 2],
        "image-truncated",
        PNG,
    ),
    bad("png-cut-by-twelve", "The last chunk of a PNG is missing", PNG_BYTES[:-12], "image-truncated", PNG),
    bad("gif", "A GIF named .jpg", encoded(picture(20), "GIF"), "image-not-image"),
    bad("tiny", "An image of 5x5 pixels", encoded(picture(20, 5, 5), "JPEG"), "image-tiny"),
    bad("narrow", "An image of 200x9 pixels", encoded(picture(20, 200, 9), "JPEG"), "image-tiny"),
    bad("without-pixels", "A PNG that says 0x48 pixels", png_header(0, 48), "image-tiny", PNG),
    bad(
        "webp-cut-in-half",
        "The second half of a WebP is missing",
        WEBP_BYTES[: len(WEBP_BYTES) // 2],
        "image-unreadable",
        "images/train/00.webp",
    ),
    bad(
        "bmp-cut-in-half",
        "The second half of a BMP is missing",
        BMP_BYTES[: len(BMP_BYTES) // 2],
        "image-truncated",
        "images/train/00.bmp",
    ),
    bad(
        "tiff-cut-in-half",
        "The second half of a TIFF is missing",
        TIFF_BYTES[: len(TIFF_BYTES) // 2],
        "image-truncated",
        "images/train/00.tif",
    ),
    case(
        "image-bomb",
        "A PNG that says 60,000x60,000 pixels",
        replaced(PNG, png_header(60_000, 60_000)),
        Expected("image-bomb", PNG),
        heavy=True,
    ),
    case(
        "image-of-a-gigabyte",
        "A file of one gigabyte of zeros",
        sparse(FIRST_IMAGE, 1 << 30),
        Expected("image-not-image", FIRST_IMAGE),
        heavy=True,
    ),
    case(
        "image-damaged-within",
        "A PNG one byte of whose picture is wrong",
        replaced(PNG, flipped_byte(PNG_BYTES)),
        Expected("image-unreadable", PNG),
    ),
    case(
        "image-jpeg-damaged-within",
        "A JPEG whose middle is overwritten",
        replaced(FIRST_IMAGE, JPEG_BYTES[:MIDDLE] + b"\xff\xd0" * 300 + JPEG_BYTES[MIDDLE + 600 :]),
        Expected("image-undecodable", FIRST_IMAGE),
        options=("--deep",),
    ),
]

FORMS = [
    odd("png-named-jpg", "A PNG named .jpg", FIRST_IMAGE, picture(20), "image-extension", format="PNG"),
    odd("jpeg-named-png", "A JPEG named .png", PNG, picture(20), "image-extension", format="JPEG"),
    odd("of-16-bits", "A PNG of 16 bits", PNG, DEEP16, "image-mode"),
    odd("of-16-bits-tiff", "A TIFF of 16 bits", "images/train/00.tif", DEEP16, "image-mode"),
    case(
        "image-of-floats",
        "A TIFF of floating-point numbers, which the engine cannot read",
        saved("images/train/00.tif", picture(20).convert("F")),
        Expected("image-mode", "images/train/00.tif"),
    ),
    odd("cmyk", "A JPEG for print (CMYK)", FIRST_IMAGE, picture(20).convert("CMYK"), "image-mode"),
    odd("rotated", "Turned by its EXIF data", FIRST_IMAGE, picture(20), "image-rotated", exif=rotated()),
    case(
        "image-trailing-bytes",
        "Bytes after the end of a JPEG",
        replaced(FIRST_IMAGE, JPEG_BYTES + b"more\n"),
        warning("image-trailing-bytes", FIRST_IMAGE),
    ),
    case(
        "image-gif-in-folder",
        "A GIF, which is not read, among the images",
        together(saved("images/train/99.gif", picture(20)), content("labels/train/99.txt", rows(1)[0])),
        warning("image-format", "images/train/99.gif"),
        also="label-orphan",
    ),
]

FILES = [
    case(
        "image-labels-shared",
        "00.jpg and 00.png share 00.txt",
        content(PNG, encoded(picture(20), "PNG")),
        Expected("image-shared-label", PNG),
        also="image-shared-label",
    ),
    case(
        "image-twice",
        "The same picture under two names",
        together(copied(FIRST_IMAGE, "images/train/99.jpg"), copied("labels/train/00.txt", "labels/train/99.txt")),
        warning("image-duplicate", "images/train/99.jpg"),
    ),
    case(
        "image-link-broken",
        "A symlink that leads nowhere",
        linked(FIRST_IMAGE, "gone.jpg"),
        Expected("link-broken", FIRST_IMAGE),
    ),
    case(
        "image-link-to-itself",
        "A symlink that leads to itself",
        linked(FIRST_IMAGE, "00.jpg"),
        Expected("link-loop", FIRST_IMAGE),
    ),
    case(
        "image-folder-loop",
        "A symlink to the folder that it lies in",
        linked("images/train/again", "."),
        Expected("link-loop", "images/train/again"),
    ),
    case(
        "images-folder-linked",
        "images/train is a symlink, which the engine follows and then finds no labels",
        linked_folder,
        Expected("labels-none", line=1),
    ),
    case(
        "image-is-a-folder",
        "A folder named 99.jpg",
        folder_named_as_an_image,
        Expected("image-unreadable", "images/train/99.jpg"),
    ),
    case(
        "image-is-a-pipe",
        "A named pipe, which nobody fills",
        pipe(FIRST_IMAGE),
        Expected("image-unreadable", FIRST_IMAGE),
    ),
    case(
        "image-without-permission",
        "An image that may not be read",
        with_mode(FIRST_IMAGE, 0),
        Expected("image-unreadable", FIRST_IMAGE),
        needs_user=True,
    ),
    case(
        "image-without-extension",
        "An image without an extension",
        moved(FIRST_IMAGE, "images/train/00"),
        warning("label-orphan", "labels/train/00.txt"),
        also="image-format",
    ),
]

CASES = [*CONTENT, *FORMS, *FILES]

"""Images embedded in label files, stored in the user's cache folder: datasets are never written to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import Problem, StorageError
from trainer_host.data.cache_location import extracted_folder

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES = 256 << 20
SIGNATURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}
"""First bytes of images that are taken out of files, and their endings."""


def cache_image(content: bytes, name: str, make: Callable[[bytes], bytes] | None = None) -> str | None:
    """Put an image into the cache folder, and return its path; None if the bytes are not a PNG or a JPEG.

    Args:
        content: The bytes that the file of labels carries.
        name: Its name, of which only the last part is used.
        make: Makes the bytes of a PNG of those that are carried, if they are not an image as they are.

    Raises:
        StorageError: If it cannot be written.
        ValueError: If ``make`` raises it.
    """
    suffix = ".png" if make else next((s for begin, s in SIGNATURES.items() if content.startswith(begin)), None)
    if suffix is None or len(content) > MOST_BYTES:
        return None
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(name).stem)[:80].strip(".") or "image"
    place = extracted_folder() / hashlib.sha256(content).hexdigest()[:32] / f"{stem}{suffix}"
    try:
        if make:
            if not place.is_file():
                atomic_write(place, make(content), parents=True)
        elif not (place.is_file() and place.read_bytes() == content):
            atomic_write(place, content, parents=True)
    except OSError as error:
        what = f"cannot write an embedded image to the cache folder: {error.strerror}."
        fix = "set TRAINER_CACHE_DIR to a writable folder with free space"
        raise StorageError(Problem(what, fix, str(extracted_folder()))) from error
    return str(place)

"""Files of a prediction that appear whole or not at all, and the errors of writing them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.errors import Problem, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_host.base.type_aliases import Image

LONGEST_JPEG = 65_500
"""Pixels of a side beyond which no JPEG can be written."""
SPACE = "free space, or choose another folder with project=DIR"


@contextmanager
def writing(path: Path, fix: str = SPACE) -> Iterator[None]:
    """Report an error of the system as one of storage, with the file's name.

    Raises:
        StorageError: If there is one.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(Problem(f"cannot write the file: {error.strerror or error}.", fix, str(path))) from error


def write_file(path: Path, content: bytes, fix: str = SPACE) -> None:
    """Write a file whole or not at all, and its folder; a device or a pipe is written as it is.

    Raises:
        StorageError: If it cannot be written.
    """
    with writing(path, fix):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        atomic_write(path, content, parents=True)


def write_picture(path: Path, image: Image) -> Path:
    """Write an image as a JPEG, or as a PNG if it is too large for one; return the file.

    Raises:
        StorageError: If it cannot be written.
    """
    import cv2

    path = path.with_suffix(".png") if max(image.shape[:2]) > LONGEST_JPEG else path
    content = cv2.imencode(path.suffix, image)[1]  # by its name OpenCV writes in place, and not under every name
    write_file(path, content.tobytes())
    return path

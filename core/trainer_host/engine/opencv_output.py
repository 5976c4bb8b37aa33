"""Output that OpenCV and its video library write to standard error themselves."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


SILENT = 0
"""OpenCV's LOG_LEVEL_SILENT, which is the same in every release, and not named by all."""


@contextmanager
def quiet_opencv(verbose: bool = False) -> Iterator[None]:
    """Keep OpenCV and its video library from writing to standard error themselves, unless ``verbose`` is set.

    A file or a camera that cannot be opened is reported with the name of the source. The caller restores the
    environment.
    """
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has it in cv2 itself
    level = log.getLogLevel()
    if not verbose:
        log.setLogLevel(SILENT)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        yield
    finally:
        log.setLogLevel(level)

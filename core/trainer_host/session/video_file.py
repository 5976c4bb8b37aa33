"""A video of a prediction."""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem, StorageError
from trainer_host.base.plain_path import plain_path
from trainer_host.base.temporaries import temporary_folder
from trainer_host.session.prediction_writing import SPACE, writing

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_host.base.type_aliases import Image

VIDEO_CODEC = "mp4v"
USUAL_FPS = 25.0
MOST_FPS = 1000.0
FRAMES_TO_LOOK = 100
"""Frames of a video after which the space on the disk is looked at again."""
LEAST_SPACE = 64 * 1024


class VideoFile:
    """A video that appears under its name once it is whole.

    Args:
        path: The file.
        fps: Frames per second; the usual number if it is not a sensible one.
        size: Width and height in pixels.
    """

    def __init__(self, path: Path, fps: float | None, size: tuple[int, int]) -> None:
        import cv2

        self.path, self.size, self.frames = path, size, 0
        self._links = ExitStack()
        folder = self._links.enter_context(temporary_folder(path))
        self._part = folder / "video.mp4"
        self._plain = self._links.enter_context(plain_path(folder)) / self._part.name
        fps = fps if fps is not None and math.isfinite(fps) and 0 < fps < MOST_FPS else USUAL_FPS
        self._writer = cv2.VideoWriter(str(self._plain), cv2.VideoWriter.fourcc(*VIDEO_CODEC), fps, size)
        if not self._writer.isOpened():
            self.discard()
            raise self._error("cannot write the video.")

    def write(self, image: Image) -> None:
        """Add a frame; one of another size, as a camera may give, is scaled.

        Raises:
            StorageError: If the disk is full. The writer does not say so, and a camera has no end at which to notice.
        """
        import cv2

        if self.frames % FRAMES_TO_LOOK == 0 and shutil.disk_usage(self.path.parent).free < LEAST_SPACE:
            raise self._error("cannot write the video: the disk is full.")

        fits = (image.shape[1], image.shape[0]) == self.size
        self._writer.write(image if fits else cv2.resize(image, self.size))
        self.frames += 1

    def close(self) -> None:
        """Finish the file, read it again, and give it its name.

        Raises:
            StorageError: If it does not hold every frame: the writer reports no errors.
        """
        self._writer.release()
        try:
            with writing(self.path):
                if not self._is_whole():
                    raise self._error("cannot write the video: the file is incomplete.")
                self._part.replace(self.path)
        finally:
            self.discard()

    def _is_whole(self) -> bool:
        import cv2

        reader = cv2.VideoCapture(str(self._plain))
        try:
            whole = reader.isOpened() and int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) == self.frames
            reader.set(cv2.CAP_PROP_POS_FRAMES, self.frames - 1)
            return bool(whole and reader.read()[0])
        finally:
            reader.release()

    def discard(self) -> None:
        """Remove what is not whole."""
        self._writer.release()
        self._links.close()

    def _error(self, what: str) -> StorageError:
        return StorageError(Problem(what, SPACE, str(self.path)))

"""Files in the result folder of a prediction: pictures, videos, labels and crops."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.plain_path import fitting_name
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.session.prediction_writing import write_file, write_picture
from trainer_host.session.source_files import VIDEOS, suffix_of
from trainer_host.session.video_file import VideoFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trainer_host.base.protocols import Prediction
    from trainer_host.base.type_aliases import Image

MOST_STEM = 220
"""Bytes of a source's name that the names of its files begin with; the rest is for numbers and endings."""


@dataclass(frozen=True)
class Wanted:
    """Files to write into the result folder.

    Attributes:
        pictures: Whether to draw pictures and videos.
        frames: Whether to write each drawn frame of a video as a picture too.
        labels: Whether to write label files.
        crops: Whether to write the part of the image around each object.
    """

    pictures: bool
    frames: bool = False
    labels: bool = False
    crops: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any], pictures: bool) -> Wanted:
        """Return the files that settings ask for; ``save=False`` switches pictures off."""
        return cls(
            pictures=pictures and settings.get("save") is not False,
            frames=settings.get("save_frames") is True,
            labels=settings.get("save_txt") is True,
            crops=settings.get("save_crop") is True,
        )

    def any(self) -> bool:
        """Return whether a result folder is needed."""
        return self.pictures or self.frames or self.labels or self.crops


class PredictionFiles:
    """Writes a result folder: each file appears whole or not at all.

    Args:
        draw: Returns the picture of a prediction; None if the task draws none.
        folder: The result folder.
        wanted: Which files to write.

    Attributes:
        files: The files that were written.
        lacks: Settings that the task's predictor does not honour.
    """

    def __init__(self, draw: Callable[[Prediction], Image | None], folder: Path, wanted: Wanted) -> None:
        self.draw, self.folder, self.wanted = draw, folder, wanted
        self.files: dict[Path, None] = {}
        self.lacks: set[str] = set()
        self._videos: dict[Path, VideoFile] = {}
        self._stems: dict[Path, str] = {}
        self._taken: dict[str, int] = {}

    def write(self, prediction: Prediction) -> None:
        """Write what is wanted of one prediction.

        Raises:
            StorageError: If a file cannot be written.
        """
        stem = self._stem(prediction)
        name = stem if prediction.frame is None else f"{stem}_{prediction.frame}"
        if self.wanted.pictures or self.wanted.frames:
            self._draw(prediction, stem, name)
        if self.wanted.labels:
            self._write_labels(getattr(prediction, "label_rows", None), name)
        if self.wanted.crops:
            self._write_crops(getattr(prediction, "crops", None), name)

    def _stem(self, prediction: Prediction) -> str:
        """Return a name that no other image of this run has taken; the frames of a video share one."""
        path = Path(prediction.path)
        if prediction.frame is not None and path in self._stems:
            return self._stems[path]
        known = suffix_of(path) in SUFFIXES | VIDEOS  # what follows the last dot of an address is not a suffix
        stem = fitting_name(path.stem if known else path.name, "", MOST_STEM)
        number, free = self._taken.get(stem, 1), stem
        while free in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken[stem] = number
        self._taken.setdefault(free, 1)
        if prediction.frame is not None:
            self._stems[path] = free
        return free

    def _draw(self, prediction: Prediction, stem: str, name: str) -> None:
        image = self.draw(prediction)
        if image is None:
            return
        if prediction.frame is None:
            if self.wanted.pictures:
                self._keep(write_picture(self.folder / f"{name}.jpg", image))
            return
        if self.wanted.frames:
            self._keep(write_picture(self.folder / f"{stem}_frames" / f"{name}.jpg", image))
        if self.wanted.pictures:
            path = Path(prediction.path)
            if path not in self._videos:
                size = (image.shape[1], image.shape[0])
                self._videos[path] = VideoFile(self.folder / f"{stem}.mp4", prediction.fps, size)
            self._videos[path].write(image)

    def _write_labels(self, rows: Sequence[str] | None, name: str) -> None:
        if rows is None:
            self.lacks.add("save_txt")
        elif rows:
            path = self.folder / "labels" / f"{name}.txt"
            write_file(path, "".join(f"{row}\n" for row in rows).encode())
            self._keep(path)

    def _write_crops(self, crops: Iterable[tuple[str, Image]] | None, name: str) -> None:
        if crops is None:
            self.lacks.add("save_crop")
        for number, (kind, image) in enumerate(crops or (), 1):
            folder = self.folder / "crops" / folder_name(kind)
            ending = ".jpg" if number == 1 else f"-object{number}.jpg"
            self._keep(write_picture(folder / f"{name}{ending}", image))

    def _keep(self, path: Path) -> None:
        self.files[path] = None

    def end_videos(self) -> None:
        """Finish the videos that are being written.

        Raises:
            StorageError: If one of them cannot be read again.
        """
        self._stems.clear()
        while self._videos:
            _, video = self._videos.popitem()
            video.close()
            self._keep(video.path)

    def close(self) -> list[Path]:
        """Finish what is being written, and return every file."""
        self.end_videos()
        return list(self.files)

    def discard(self) -> None:
        """Remove videos that are not whole."""
        for video in self._videos.values():
            video.discard()


def folder_name(name: str) -> str:
    """Return the name of a class as that of a folder, which leads nowhere else."""
    plain = re.sub(r"[\x00-\x1f/\\:]", "_", name).strip()
    return fitting_name(plain if plain.strip(".") else plain.replace(".", "_") or "_", "")

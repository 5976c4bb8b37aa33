"""Files of a prediction: pictures, videos, labels and crops in the result folder, and tables of what was found."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.atomic_io import atomic_write
from trainer_host.base.display import csv_cell, json_text
from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.base.plain_path import fitting_name, plain_path
from trainer_host.base.temporaries import temporary_folder
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.session.prediction_sources import VIDEOS, suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trainer_host.base.protocols import Finished, Prediction
    from trainer_host.base.type_aliases import Image

OUTPUTS = (".json", ".csv")
VIDEO_CODEC = "mp4v"
USUAL_FPS = 25.0
MOST_FPS = 1000.0
FRAMES_TO_LOOK = 100
"""Frames of a video after which the space on the disk is looked at again."""
LEAST_SPACE = 64 * 1024
MOST_STEM = 220
"""Bytes of a source's name that the names of its files begin with; the rest is for numbers and endings."""
LONGEST_JPEG = 65_500
"""Pixels of a side beyond which no JPEG can be written."""
SPACE = "Fix: free space, or choose another folder with project=DIR"


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

    def any(self) -> bool:
        """Return whether a result folder is needed."""
        return self.pictures or self.frames or self.labels or self.crops


class PredictionFiles:
    """Writes a result folder: each file appears whole or not at all.

    Args:
        model: The model, whose task draws.
        folder: The result folder.
        wanted: Which files to write.

    Attributes:
        files: The files that were written.
        lacks: Settings that the task's predictor does not honour.
    """

    def __init__(self, model: Finished, folder: Path, wanted: Wanted) -> None:
        self.model, self.folder, self.wanted = model, folder, wanted
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
        known = suffix_of(path) in SUFFIXES | VIDEOS  # what follows the last dot of an address is no ending
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
        image = self.model.draw(prediction)
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
            _write(path, "".join(f"{row}\n" for row in rows).encode())
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

    def write(self, image: Any) -> None:
        """Add a frame; one of another size, as a camera may give, is scaled.

        Raises:
            StorageError: If the disk is full. The writer does not say so, and a camera has no end at which to notice.
        """
        import cv2

        if self.frames % FRAMES_TO_LOOK == 0 and shutil.disk_usage(self.path.parent).free < LEAST_SPACE:
            raise self._error("cannot write the video: the disk is full.")

        if (image.shape[1], image.shape[0]) != self.size:
            image = cv2.resize(image, self.size)
        self._writer.write(image)
        self.frames += 1

    def close(self) -> None:
        """Finish the file, read it again, and give it its name.

        Raises:
            StorageError: If it does not hold every frame: the writer reports no error of its own.
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


def write_picture(path: Path, image: Image) -> Path:
    """Write an image as a JPEG, or as a PNG if it is too large for one; return the file.

    Raises:
        StorageError: If it cannot be written.
    """
    import cv2

    path = path.with_suffix(".png") if max(image.shape[:2]) > LONGEST_JPEG else path
    content = cv2.imencode(path.suffix, image)[1]  # by its name OpenCV writes in place, and not under every name
    _write(path, content.tobytes())
    return path


def _write(path: Path, content: bytes, fix: str = SPACE) -> None:
    """Write a file whole or not at all, and its folder; a device or a pipe is written as it is."""
    with writing(path, fix):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        atomic_write(path, content, parents=True)


def folder_name(name: str) -> str:
    """Return the name of a class as that of a folder, which leads nowhere else."""
    plain = re.sub(r"[\x00-\x1f/\\:]", "_", name).strip()
    return fitting_name(plain if plain.strip(".") else plain.replace(".", "_") or "_", "")


def try_output(path: Path) -> Path:
    """Return the file that a table is written to, links followed, if it can be written; a device is not tried.

    Raises:
        SettingsError: If its name has another ending.
        StorageError: If something else is there, or if the folder takes no files.
    """
    if path.suffix.lower() not in OUTPUTS:
        raise SettingsError(
            Problem(f"{path} is neither .json nor .csv.", "Fix: write a name that ends in .json or .csv")
        )
    fix = "Fix: give another file with --output"
    try:
        target = path.resolve()
        if target.exists():
            if target.is_dir():
                raise StorageError(Problem("this is a folder.", fix, str(path)))
            if not os.access(target, os.W_OK):
                raise StorageError(Problem("no permission to overwrite the file.", fix, str(path)))
            if not target.is_file():
                return target
        folder = next(parent for parent in target.parents if parent.exists())
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part"):
            pass
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
        what = getattr(error, "strerror", None) or str(error)
        raise StorageError(Problem(f"cannot write the file: {what}.", fix, str(path))) from error
    return target


def write_predictions(path: Path, predictions: Iterable[dict[str, Any]]) -> None:
    """Write what was found as JSON, or as CSV with one row for each object.

    Raises:
        StorageError: If the file cannot be written; then what was there is still there.
    """
    predictions = list(predictions)
    is_json = path.suffix.lower() == ".json"
    text = json_text(predictions, indent=1) + "\n" if is_json else _table(predictions)
    _write(path, text.encode("utf-8"), "Fix: free space, or give another file with --output")


def _table(predictions: Iterable[dict[str, Any]]) -> str:
    rows = [
        {csv_cell(k): csv_cell(v) for k, v in {**_about_image(p), **flatten(found)}.items()}
        for p in predictions
        for found in p["objects"]
    ]
    columns = list(dict.fromkeys(k for row in rows for k in row)) or ["image"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _about_image(prediction: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in prediction.items() if k != "objects"}


def flatten(value: dict[str, Any]) -> dict[str, Any]:
    """Return nested data with dotted keys: ``box.0``, or the name of a list's entry if it has one."""
    flat: dict[str, Any] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            flat |= {f"{key}.{k}": v for k, v in flatten(entry).items()}
        elif isinstance(entry, list):
            taken: set[str] = set()
            for i, item in enumerate(entry):
                if isinstance(item, dict):
                    rest = {k: v for k, v in item.items() if k != "name"}
                    name = str(item.get("name", i))
                    name = f"{name}.{i}" if name in taken else name
                    taken.add(name)
                    flat |= {f"{key}.{name}.{k}": v for k, v in flatten(rest).items()}
                else:
                    flat[f"{key}.{i}"] = item
        else:
            flat[key] = entry
    return flat

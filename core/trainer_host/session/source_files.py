"""Images and videos that a prediction reads: which files they are, and which cannot be read by their header."""

from __future__ import annotations

import glob
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trainer_host.base.results import LoadedImage, UnreadableImage
from trainer_host.data.image_headers import SUFFIXES, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.base.errors import Problem

VIDEOS = frozenset({"asf", "avi", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ts", "wmv", "webm"})
"""Endings of files that the engine reads as videos."""
FAULTS = frozenset({"image-empty", "image-not-image", "image-truncated", "image-bomb", "image-unreadable"})
"""Findings about an image's header for which no decoder is tried."""
TIFF = frozenset({"dng", "tif", "tiff"})
"""Images whose decoder reads more kinds than the reader of headers."""
AT_ONCE = 64
"""Images that are handed to a predictor together, so that a long list is not looked through before the first result."""
Entry: TypeAlias = "Path | LoadedImage"


@dataclass
class Source:
    """The images, videos or stream that a prediction reads.

    Attributes:
        entries: Files and arrays, in their order.
        missing: Entries of a list that cannot be read.
        stream: A camera, an address, the screen, or a list of streams, for the engine to open; None for files.
        problem: Why a folder or a pattern gives no file; whether the model may be used is said before it.
        note: Images that are not read although one may expect it, and how to read them; None if there are none.
    """

    entries: list[Entry] = field(default_factory=list)
    missing: list[UnreadableImage] = field(default_factory=list)
    stream: str | None = None
    problem: Problem | None = None
    note: Problem | None = None

    @property
    def has_video(self) -> bool:
        """Whether there is a video or a stream."""
        return self.stream is not None or any(is_video(entry) for entry in self.entries)

    def parts(self, batch: int) -> Iterator[tuple[list[Entry], list[UnreadableImage]]]:
        """Yield what a predictor is called with: some images, or one video; and what cannot be read among them.

        Args:
            batch: The images that the model sees at once; parts are multiples of it.
        """
        most = max(batch, AT_ONCE // batch * batch)
        images: list[Entry] = []
        faulty: list[UnreadableImage] = []
        for entry in self.entries:
            video = is_video(entry)
            if video and (images or faulty):
                yield images, faulty
                images, faulty = [], []
            if (fault := fault_of(entry)) is not None:
                faulty.append(fault)
            else:
                images.append(entry)
            if video or len(images) == most:
                yield images, faulty
                images, faulty = [], []
        if images or faulty:
            yield images, faulty


def suffix_of(path: Path) -> str:
    """Return a file's ending in small letters, without the dot."""
    return path.name.rpartition(".")[-1].lower()


def is_video(entry: Entry) -> bool:
    """Return whether an entry is a file that the engine reads as a video."""
    return isinstance(entry, Path) and suffix_of(entry) in VIDEOS


def files_among(found: list[Path]) -> list[Entry]:
    """Return the images among files, and after them the videos, both sorted."""
    found = sorted((f.absolute() for f in found), key=str)
    images = [f for f in found if suffix_of(f) in SUFFIXES and not f.is_dir()]
    return [*images, *(f for f in found if suffix_of(f) in VIDEOS and not f.is_dir())]


def files_matching(pattern: str) -> list[Entry]:
    """Return the images and videos that match a pattern; those of the folders that match if it matches no file."""
    found = [Path(f) for f in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (of any path, as the engine does)
    return files_among(found) or files_among([f for folder in found if folder.is_dir() for f in folder.iterdir()])


def fault_of(entry: Entry) -> UnreadableImage | None:
    """Return why a file cannot be read, as far as its header shows; None if it may be readable."""
    if isinstance(entry, LoadedImage):
        return None
    try:
        about = entry.stat()
        if not stat.S_ISREG(about.st_mode):
            return UnreadableImage(entry, "it is a folder, a device or a pipe, and not a file")
        with entry.open("rb"):
            pass
        if not about.st_size:
            return UnreadableImage(entry, "the file is empty")
        header = read_header(str(entry), about.st_size) if suffix_of(entry) in SUFFIXES else None
    except OSError as error:
        if entry.is_symlink() and not entry.exists():
            return UnreadableImage(entry, "the link leads to a file that does not exist")
        fix = {"fix": "allow reading it"} if isinstance(error, PermissionError) else {}
        return UnreadableImage(entry, str(error.strerror or error), **fix)
    codes = FAULTS - {"image-unreadable"} if suffix_of(entry) in TIFF else FAULTS
    faults = [f for f in header.faults if f[0] in codes and f[3] == "error"] if header is not None else []
    return UnreadableImage(entry, faults[0][1].rstrip(".")) if faults else None

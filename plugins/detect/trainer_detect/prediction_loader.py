"""Loading what a prediction reads: images, the frames of a video, and streams that the engine opens."""

from __future__ import annotations

import re
from contextlib import ExitStack
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
from ultralytics.data import load_inference_source
from ultralytics.data.loaders import LoadImagesAndVideos, LoadPilAndNumpy, SourceTypes
from ultralytics.data.utils import VID_FORMATS
from ultralytics.utils import NUM_THREADS
from ultralytics.utils.patches import PIL_FALLBACK_SUFFIXES, imread

from trainer_host import LoadedImage, Problem, SettingsError, TrainerError, UnreadableImage
from trainer_host.data import counted, plain_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.typing import Image

COUNTED = frozenset({"avi", "m4v", "mov", "mp4"})
"""Videos whose index says how many frames they have; others say how long they are."""
MISSING_FRAMES = 0.05
"""Fraction of a video's frames that may be missing at its end before it counts as cut off."""
OPENING = re.compile(r"^(❌ |\d+/\d+: \S+\.\.\. ?)")
"""Beginning of the engine's messages about a source."""
YOUTUBE = re.compile(r"^https?://(www\.)?(youtube\.com|youtu\.be)/", re.IGNORECASE)
"""Addresses whose video the engine looks up with a package."""
POOL = 8
"""Images of a batch from which on they are decoded in several threads, as the engine does."""


class FileLoader(LoadImagesAndVideos):
    """Loads images, or the frames of one video, for the engine's predictor; it collects what cannot be read.

    The engine knows a loader by its base class. Nothing else of that is used: it stops at a damaged file, or passes
    over it with a line in the log.

    Args:
        entries: Images as paths or arrays; or one video.
        batch: Images that the model sees at once.
        vid_stride: Every how many frames of a video are read.
        channels: Channels of the images that the model takes.

    Attributes:
        unreadable: What could not be read so far.
    """

    def __init__(self, entries: Sequence[Any], batch: int, vid_stride: int, channels: int) -> None:
        self.entries = [e if isinstance(e, LoadedImage) else Path(e) for e in entries]
        self.bs, self.vid_stride, self.channels = batch, vid_stride, channels
        self.flag = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}.get(channels, cv2.IMREAD_UNCHANGED)
        videos = [isinstance(e, Path) and e.suffix[1:].lower() in VID_FORMATS for e in self.entries]
        self.mode = "video" if any(videos) else "image"
        self.nf, self.ni, self.video_flag = len(videos), len(videos) - sum(videos), videos
        self.source_type = SourceTypes()
        self.unreadable: list[UnreadableImage] = []
        self.fps, self.frame, self.count = 0.0, 0, 0
        self.cap: Any = None
        self._batches: Iterator[Any] = iter(())

    def __iter__(self) -> FileLoader:
        """Begin at the first image."""
        self._batches = self._load()
        return self

    def __next__(self) -> Any:
        """Return the paths, the images, and lines about them for the log."""
        return next(self._batches)

    def _load(self) -> Iterator[tuple[list[str], list[Image], list[str]]]:
        for start in range(0, self.nf, self.bs) if self.mode == "image" else ():
            group = self.entries[start : start + self.bs]
            read = [(e, image) for e, image in zip(group, self._decode(group), strict=True) if image is not None]
            if read:
                yield [_name(e) for e, _ in read], [image for _, image in read], [f"{_name(e)}: " for e, _ in read]
        for entry in self.entries if self.mode == "video" else ():
            yield from self._frames(Path(_name(entry)))

    def _decode(self, group: Sequence[Any]) -> list[Image | None]:
        # Formats that need a plugin of Pillow are read one by one: it is loaded when it is needed, by one thread.
        lazy = any(Path(_name(e)).suffix.lower() in PIL_FALLBACK_SUFFIXES for e in group)
        if lazy or len(group) < POOL or NUM_THREADS < 2:
            return [self._read(e) for e in group]
        with ThreadPool(min(len(group), NUM_THREADS)) as pool:
            return pool.map(self._read, group)

    def _read(self, entry: Any) -> Image | None:
        """Return an image; or None, with an entry in ``unreadable``."""
        path = entry.path if isinstance(entry, LoadedImage) else entry
        image: Image | None
        try:
            if isinstance(entry, LoadedImage):
                # Of too many channels the engine would take the first.
                fits = entry.image.shape[2] in {1, 2, 3, 4, self.channels}
                image = LoadPilAndNumpy(entry.image, self.channels).im0[0] if fits else entry.image
            else:
                image = imread(entry, self.flag)
        except (cv2.error, MemoryError, OSError, OverflowError, SyntaxError, ValueError) as error:
            self._note(path, f"the image cannot be decoded: {' '.join(str(error).split())}")
            return None
        if image is None:
            self._note(path, "the image cannot be decoded")
        elif image.shape[2] != self.channels:
            self._note(path, f"the image has {image.shape[2]} channels, and the model takes {self.channels}")
        else:
            return image
        return None

    def _note(self, path: Path, reason: str) -> None:
        self.unreadable.append(UnreadableImage(path, reason))

    def _frames(self, path: Path) -> Iterator[tuple[list[str], list[Image], list[str]]]:
        with ExitStack() as stack:
            self.cap = cv2.VideoCapture(str(stack.enter_context(plain_path(path))))
            stack.callback(self.close)
            if not self.cap.isOpened():
                self._note(path, "the video cannot be opened: it is not a video, or it is damaged")
                return
            self.fps, claimed = self.cap.get(cv2.CAP_PROP_FPS), int(self.cap.get(cv2.CAP_PROP_FRAME_COUNT))
            images: list[Image] = []
            seen = read = 0
            while self.cap.grab():
                seen += 1
                if seen % self.vid_stride:
                    continue
                whole, image = self.cap.retrieve()
                if not whole or image is None:
                    continue
                read += 1
                images.append(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None] if self.channels == 1 else image)
                if len(images) == self.bs:
                    yield [str(path)] * self.bs, images, [f"{path}: "] * self.bs
                    images = []
            if images:
                yield [str(path)] * len(images), images, [f"{path}: "] * len(images)
        if seen and not read:
            what = f"the video has {counted(seen, 'frame')}, and vid_stride={self.vid_stride} skips them"
            self.unreadable.append(UnreadableImage(path, what, f"write vid_stride={seen} or less"))
        has_count = path.suffix[1:].lower() in COUNTED
        if not seen:
            self._note(path, "no frame of the video can be read")
        elif has_count and seen < claimed * (1 - MISSING_FRAMES) and seen < claimed - 1:
            self._note(path, f"the video ends after frame {seen} of {claimed}")

    def taken(self) -> Iterator[UnreadableImage]:
        """Yield the entries of ``unreadable``, and remove them."""
        while self.unreadable:
            yield self.unreadable.pop(0)


def _name(entry: Any) -> str:
    return str(entry.path if isinstance(entry, LoadedImage) else entry)


def open_stream(source: str, args: Any, channels: int) -> Any:
    """Return the engine's loader of a camera, an address, the screen, or a list of streams.

    Raises:
        SettingsError: If it cannot be opened.
    """
    if source.lower().split(" ")[0] == "screen":
        _require_package(source, "mss")
    if YOUTUBE.search(source):
        _require_package(source, "pytubefix")
    try:
        return load_inference_source(
            source, args.batch, vid_stride=args.vid_stride, buffer=args.stream_buffer, channels=channels
        )
    except (TrainerError, MemoryError):
        raise
    except Exception as error:  # of the engine, of requests, of mss, of the library that resolves an address
        said = OPENING.sub("", " ".join(str(error).split())).rstrip(".")
        what = f"cannot open source={source}: {said or type(error).__name__}."
        raise SettingsError(Problem(what, "check that it is there and not in use, or give a file")) from error


def _require_package(source: str, package: str) -> None:
    """Refuse a source that needs a package which is missing: the engine would try to install it."""
    import importlib.util

    if importlib.util.find_spec(package) is None:
        what = f"source={source} needs the package {package}, which is not installed."
        raise SettingsError(Problem(what, f"pip install {package}"))

"""The source of a prediction: files, folders, arrays, cameras, and addresses that the user names."""

from __future__ import annotations

import csv
import glob
import os
import re
import shlex
import stat
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trainer_host.base.errors import Problem, SettingsError, UnsafeError
from trainer_host.base.results import LoadedImage, UnreadableImage
from trainer_host.data.image_headers import SUFFIXES, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer_host.base.request import Request

STREAMS = ".streams"
TABLES = (".txt", ".csv")
LISTS = (STREAMS, *TABLES)
"""Endings of files that list sources, one or several in a line."""
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Beginning of what a video library takes for an address; a drive has one letter."""
CAMERA = re.compile(r"/dev/video(\d+)")
VIDEOS = frozenset({"asf", "avi", "gif", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ts", "wmv", "webm"})
"""Endings of files that the engine reads as videos."""
ADDRESSES = frozenset({"http", "https", "rtmp", "rtsp", "tcp", "ul"})
"""Schemes of addresses that the engine opens."""
FORMATS = f"Fix: give an image ({', '.join(sorted(SUFFIXES))}) or a video ({', '.join(sorted(VIDEOS))})"
FAULTS = frozenset({"image-empty", "image-not-image", "image-truncated", "image-bomb", "image-unreadable"})
"""Findings about an image's header for which no decoder is tried."""
TIFF = frozenset({"dng", "tif", "tiff"})
"""Images whose decoder reads more kinds than the reader of headers."""
SEVERAL = "give one path; for several, a folder, a pattern, or a .txt file with one path in each line"
RESULTS = "runs"
"""The folder of results, whose pictures are not taken for images of the user's."""
AT_ONCE = 64
"""Images that are handed to a predictor together, so that a long list is not looked through before the first result."""

Entry: TypeAlias = "Path | LoadedImage"


@dataclass
class Source:
    """What a prediction reads.

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
            if (fault := _fault(entry)) is not None:
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


def given_source(request: Request) -> Source:
    """Return the source of a prediction; files are listed, and none is opened.

    Raises:
        SettingsError: If there is none, or if it does not exist or cannot be read.
        UnsafeError: If it is an address and the run is offline, or a list that names one.
    """
    source = request.values.get("source")
    if source is None:
        data = request.values.get("data")
        fix = f"Fix: source={data}" if isinstance(data, str) and Path(data).is_dir() else None
        raise SettingsError(Problem("no source is given.", fix or "Write source=IMAGE, a folder, or a video."))
    if isinstance(source, str) and not source.strip():
        raise SettingsError(Problem("source= has no value.", "Write source=VALUE."))
    if isinstance(source, (list, tuple)):
        return _listed(source, request.options.offline)
    if not isinstance(source, (str, int, float, os.PathLike)):
        return Source([_loaded(source, 0)])
    try:
        text = os.fsdecode(source) if isinstance(source, os.PathLike) else str(source)
        return _named(text, request.options.offline)
    except OSError as error:
        what, where = f"cannot read the source: {error.strerror or error}.", str(error.filename or source)
        raise SettingsError(Problem(what, "Fix: check the path and its permissions", where)) from error


def _named(text: str, offline: bool) -> Source:
    """Return the source that a text names: a path that exists, else a camera, an address, a screen or a pattern."""
    if text.lower().startswith("file://"):
        text = url2pathname(urlsplit(text).path)
    if "://" in text:
        return _address(text, offline)
    path = Path(text)
    if not path.exists() and text.startswith("~"):
        path = path.expanduser()
    if not path.exists():
        if text.isdigit() or text.lower() == "screen" or text.lower().startswith("screen "):
            return Source(stream=text)
        found = _matching(text) if set("*?[") & set(text) else None
        if found is None and path.is_symlink():
            raise SettingsError(Problem(f"the link {text} leads nowhere.", "Fix: give the file itself"))
        if found is None or "," in text:
            fix = f"Fix: {SEVERAL}" if "," in text else "Check the path."
            raise SettingsError(Problem(f"there is no file or folder {text}.", fix))
        missing = Problem(f"no image or video matches {text}.", "Fix: check the pattern, and quote it")
        return Source(found, problem=None if found else missing)
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        what = f"{text} is a device, a pipe or a socket, and not a file."
        camera = CAMERA.fullmatch(text)
        fix = f"Fix: source={camera[1]} for the camera" if camera else "Fix: give an image, a folder, or a video"
        raise SettingsError(Problem(what, fix))
    if text.lower().endswith(LISTS):
        _refuse_addresses(path, offline)
        return _streams(path) if text.lower().endswith(STREAMS) else _table(path)
    if suffix_of(path) not in SUFFIXES | VIDEOS:
        what = f"{text} is neither an image nor a video, by its ending."
        raise SettingsError(Problem(what, _instead_of(text)))
    return Source([path.absolute()])


def _address(text: str, offline: bool) -> Source:
    """Return the source at an address.

    Raises:
        SettingsError: If the engine opens no addresses of its kind.
        UnsafeError: If the run is offline.
    """
    scheme = text.partition("://")[0]
    if scheme.lower() not in ADDRESSES:
        what = f"source={text}: addresses that begin with {scheme}:// are not supported."
        raise SettingsError(Problem(what, "Fix: download the file, and give its path"))
    if offline:
        raise UnsafeError(Problem(f"{text} would be fetched, and the run is offline.", "Give a local file."))
    return Source(stream=text)


def _instead_of(text: str) -> str:
    """Return what to give instead of a file that is neither an image nor a video."""
    if text.lower().endswith((".yaml", ".yml")):
        return f"Fix: give the folder of the images; to evaluate on a dataset: trainer val model=best.pt data={text}"
    if text.lower().endswith((".npy", ".npz")):
        return "Fix: in Python, give the array: trainer_host.predict(model, numpy.load(file))"
    if text.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")):
        return "Fix: unpack it, and give the folder"
    return FORMATS


def _files(found: list[Path]) -> list[Entry]:
    """Return the images among files, and after them the videos, both sorted."""
    found = sorted((f.absolute() for f in found), key=str)
    images = [f for f in found if suffix_of(f) in SUFFIXES and not f.is_dir()]
    return [*images, *(f for f in found if suffix_of(f) in VIDEOS and not f.is_dir())]


def _matching(pattern: str) -> list[Entry]:
    found = [Path(f) for f in glob.glob(pattern, recursive=True)]  # noqa: PTH207 (of any path, as the engine does)
    return _files(found) or _files([f for folder in found if folder.is_dir() for f in folder.iterdir()])


def _in_folder(folder: Path) -> Source:
    """Return the images and videos of a folder, without those in its folders."""
    found = _files([f for f in folder.iterdir() if not f.name.startswith(".")])
    below = {f.suffix for f in _below(folder) if suffix_of(f) in SUFFIXES | VIDEOS}
    if not below:
        missing = Problem(f"the folder {folder} holds no image and no video.", FORMATS)
        return Source(found, problem=None if found else missing)
    name = "*" if found or len(below) > 1 else f"*{below.pop()}"
    fix = shlex.quote(f"source={Path(glob.escape(str(folder)), '**', name)}")
    if found:
        what = f"the images in the subfolders of {folder} are not read."
        return Source(found, note=Problem(what, f"To read them too: {fix}"))
    return Source(problem=Problem(f"the folder {folder} holds images in its subfolders only.", f"Fix: {fix}"))


def _below(folder: Path, most: int = 10_000) -> Iterator[Path]:
    """Yield files in the subfolders of a folder, without hidden ones; a few suffice to say what it holds."""
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not (top and f == RESULTS))
        if not top:
            yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))
        most -= len(names) + 1
        if most < 0:
            return


def _table(file: Path) -> Source:
    """Return the sources that a text or CSV file lists; those that are missing are noted with their lines."""
    source, seen, table = Source(), False, file.suffix.lower() == ".csv"
    for number, line in enumerate(_text(file).splitlines(), 1):
        for word in (w.strip() for w in (next(csv.reader([line]), []) if table else [line])):
            if not word or (table and number == 1 and word == "source"):
                continue
            seen = True
            _add(source, word, file.parent, (file, number))
    if not seen:
        raise SettingsError(Problem("the list of sources is empty.", "Fix: write one path in each line", str(file)))
    if not source.entries and all(missing.path == file for missing in source.missing):
        what = "the file is not a list of sources: no line names an image, a video or a folder."
        raise SettingsError(Problem(what, "Fix: write one path in each line", str(file)))
    return source


def _add(source: Source, word: str, folder: Path, line: tuple[Path, int] | None = None) -> None:
    """Add the files that an entry of a list names, or note why there are none, with the list's line if it has one."""
    try:
        found, reason = _entry(word, folder), "there is no image or video of this name"
    except OSError as error:
        found, reason = [], str(error.strerror or error)
    source.entries += found
    if found:
        return
    path = Path(word)
    if line is not None and suffix_of(path) in SUFFIXES | VIDEOS:
        reason = f"{reason} ({line[0].name}:{line[1]})"
    elif line is not None:  # what is no name of an image is not quoted: the list may be a link to another file
        path, reason = line[0], f"line {line[1]} names no image, video or folder"
    source.missing.append(UnreadableImage(path, reason, "correct or remove it in the list"))


def _entry(word: str, folder: Path) -> list[Entry]:
    """Return the files that an entry of a list names, relative to the working folder or to the list's folder."""
    for path in (Path(word), folder / word):
        if path.is_dir():
            return _files([f for f in path.iterdir() if not f.name.startswith(".")])
        if path.exists() or path.is_symlink():
            return [path.absolute()] if suffix_of(path) in SUFFIXES | VIDEOS else []
        if "*" in word and (found := _matching(str(path))):
            return found
    return []


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="surrogateescape")


def _streams(file: Path) -> Source:
    if not _text(file).split():
        raise SettingsError(Problem("the list of streams is empty.", "Fix: write one camera in each line", str(file)))
    return Source(stream=str(file))


def _listed(given: Sequence[Any], offline: bool) -> Source:
    """Return the source of a list in Python: of paths, arrays and pictures of Pillow."""
    if not given:
        raise SettingsError(Problem("the list of sources is empty.", "Fix: give paths of images, or arrays"))
    source = Source()
    for number, one in enumerate(given):
        if not isinstance(one, (str, os.PathLike)):
            source.entries.append(_loaded(one, number))
            continue
        text = os.fsdecode(one)
        if "://" in text:
            what = f"an address in a list is not opened: {text}."
            raise UnsafeError(Problem(what, _alone(text, offline)))
        _add(source, text, Path())
    return source


def _loaded(given: Any, number: int) -> LoadedImage:
    """Return an array or a picture of Pillow as an image with a name.

    Raises:
        SettingsError: If it is something else, or of another shape or type.
    """
    import numpy as np
    from PIL import Image, ImageOps

    name = f"image{number}.jpg"
    if isinstance(given, Image.Image):
        name = str(getattr(given, "filename", "") or name)
        try:
            picture = ImageOps.exif_transpose(given)
            if picture.mode.startswith(("I", "F")):  # more than 8 bits, which Pillow would clip to 255
                given = np.asarray(picture)
            else:
                given = np.asarray(picture.convert("L" if picture.mode in {"1", "L"} else "RGB"))
                given = given[..., ::-1] if given.ndim == 3 else given
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a damaged file
            what = f"the picture {name} cannot be decoded: {error}."
            raise SettingsError(Problem(what, "Fix: use another one")) from error
    if not isinstance(given, np.ndarray):
        kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        fix = "give a path, an array of numpy (height x width x BGR, uint8), a picture of Pillow, or a list of these"
        if isinstance(given, (Iterator, Set)) and not hasattr(given, "read"):  # an open file iterates too
            fix = "give a list: list(source)"
        raise SettingsError(Problem(f"an object of type {kind} is not a source.", f"Fix: {fix}"))
    if given.dtype == np.uint16:
        given = (given >> 8).astype(np.uint8)
    return LoadedImage(Path(name), _checked(given))


def _checked(array: Any) -> Any:
    """Return an array as an image of at least three channels; gray is repeated."""
    import numpy as np

    if array.dtype != np.uint8:
        fixes = {
            "b": "Fix: image.astype('uint8') * 255",
            "f": "Fix: (image * 255).astype('uint8') if its values go from 0 to 1",
            **dict.fromkeys("iu", "Fix: image.astype('uint8') if its values go from 0 to 255"),
        }
        fix = fixes.get(array.dtype.kind, "Fix: give a list: list(source)")
        raise SettingsError(Problem(f"an array of {array.dtype} is not an image: it must be uint8.", fix))
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or not image.size:
        fix = "Fix: give one image, height x width x 3 in BGR, or a list of images: list(images)"
        raise SettingsError(Problem(f"an array of shape {array.shape} is not an image.", fix))
    if image.shape[2] > 32 and image.shape[0] <= 4:
        what = f"an array of shape {array.shape} has its channels first."
        raise SettingsError(Problem(what, "Fix: image.transpose(1, 2, 0)"))
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)


def _fault(entry: Entry) -> UnreadableImage | None:
    """Return what is wrong with a file that keeps it from being read, by its header, or None."""
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
            return UnreadableImage(entry, "the link leads nowhere")
        fix = {"fix": "allow reading it"} if isinstance(error, PermissionError) else {}
        return UnreadableImage(entry, str(error.strerror or error), **fix)
    codes = FAULTS - {"image-unreadable"} if suffix_of(entry) in TIFF else FAULTS
    faults = [f for f in header.faults if f[0] in codes and f[3] == "error"] if header is not None else []
    return UnreadableImage(entry, faults[0][1].rstrip(".")) if faults else None


def _refuse_addresses(file: Path, offline: bool) -> None:
    """Refuse a list of sources that names an address: who gives the list need not know what is in it.

    Raises:
        UnsafeError: If it does.
    """
    streams = file.name.lower().endswith(STREAMS)
    for number, entry in _entries(file):
        # A stream goes to the video library as it is, which knows more schemes than those with "://".
        if "://" in entry or (streams and SCHEME.match(entry)):
            what = f"an address in a list is not opened: {entry}."
            raise UnsafeError(Problem(what, _alone(entry, offline), f"{file}:{number}"))


def _alone(address: str, offline: bool) -> str:
    return "Fix: remove it from the list" if offline else f"Fix: give it by itself: source={address}"


def _entries(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            for entry in re.split(r"[\s,\"]+", line):
                yield number, entry

"""The source of a prediction: files, folders, arrays, cameras, and addresses that the user names."""

from __future__ import annotations

import glob
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from trainer_host.base.errors import Problem, SettingsError, fetch_refused
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.session.source_arrays import loaded_image
from trainer_host.session.source_files import VIDEOS, Source, files_among, files_matching, suffix_of
from trainer_host.session.source_lists import (
    LISTS,
    STREAMS,
    listed_in_python,
    listed_in_table,
    listed_streams,
    refuse_addresses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMERA = re.compile(r"/dev/video(\d+)")
ADDRESSES = frozenset({"http", "https", "rtmp", "rtsp", "tcp", "ul"})
"""Schemes of addresses that the engine opens."""
FORMATS = f"give an image ({', '.join(sorted(SUFFIXES))}) or a video ({', '.join(sorted(VIDEOS))})"
SEVERAL = "give one path; for several, a folder, a pattern, or a .txt file with one path in each line"
RESULTS = "runs"
"""The folder of results, whose pictures are not taken for images of the user's."""


def find_source(source: Any, offline: bool, data: Any = None) -> Source:
    """Return the source of a prediction; files are listed, and none is opened.

    Args:
        source: The source, as a user gave it.
        offline: Whether nothing may be fetched.
        data: The setting ``data``, which may be meant if there is no source.

    Raises:
        SettingsError: If there is none, or if it does not exist or cannot be read.
        UnsafeError: If it is an address and the run is offline, or a list that names one.
    """
    if source is None:
        fix = f"source={data}" if isinstance(data, str) and Path(data).is_dir() else None
        raise SettingsError(Problem("no source given.", fix or "add source=IMAGE, a folder, or a video"))
    if isinstance(source, str) and not source.strip():
        raise SettingsError(Problem("source= has no value.", "write source=VALUE"))
    if isinstance(source, (list, tuple)):
        return listed_in_python(source, offline)
    if not isinstance(source, (str, int, float, os.PathLike)):
        return Source([loaded_image(source, 0)])
    try:
        text = os.fsdecode(source) if isinstance(source, os.PathLike) else str(source)
        return _named(text, offline)
    except OSError as error:
        what, where = f"cannot read the source: {error.strerror or error}.", str(error.filename or source)
        raise SettingsError(Problem(what, "check the path and its permissions", where)) from error


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
        found = files_matching(text) if set("*?[") & set(text) else None
        if found is None and path.is_symlink():
            what = f"the link {text} leads to a file that does not exist."
            raise SettingsError(Problem(what, "give the file itself"))
        if found is None or "," in text:
            fix = f"{SEVERAL}" if "," in text else "check the path"
            raise SettingsError(Problem(f"file or folder {text} not found.", fix))
        missing = Problem(f"no image or video matches {text}.", "check the pattern, and quote it")
        return Source(found, problem=None if found else missing)
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        what = f"{text} is a device, a pipe or a socket, not a file."
        camera = CAMERA.fullmatch(text)
        fix = f"source={camera[1]} for the camera" if camera else "give an image, a folder, or a video"
        raise SettingsError(Problem(what, fix))
    if text.lower().endswith(LISTS):
        refuse_addresses(path, offline)
        return listed_streams(path) if text.lower().endswith(STREAMS) else listed_in_table(path)
    if suffix_of(path) not in SUFFIXES | VIDEOS:
        what = f"{text} is neither an image nor a video: unsupported file extension."
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
        raise SettingsError(Problem(what, "download the file, and give its path"))
    if offline:
        raise fetch_refused(text)
    return Source(stream=text)


def _instead_of(text: str) -> str:
    """Return what to give instead of a file that is neither an image nor a video."""
    if text.lower().endswith((".yaml", ".yml")):
        return f"give the folder of the images; to evaluate on a dataset: trainer val model=best.pt data={text}"
    if text.lower().endswith((".npy", ".npz")):
        return "in Python, give the array: trainer_host.predict(model, numpy.load(file))"
    if text.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")):
        return "unpack it, and give the folder"
    return FORMATS


def _in_folder(folder: Path) -> Source:
    """Return the images and videos of a folder, without those in its folders."""
    found = files_among([f for f in folder.iterdir() if not f.name.startswith(".")])
    below = {f.suffix for f in _below(folder) if suffix_of(f) in SUFFIXES | VIDEOS}
    if not below:
        missing = Problem(f"the folder {folder} has no images or videos.", FORMATS)
        return Source(found, problem=None if found else missing)
    name = "*" if found or len(below) > 1 else f"*{below.pop()}"
    fix = shlex.quote(f"source={Path(glob.escape(str(folder)), '**', name)}")
    if found:
        what = f"the images in the subfolders of {folder} are not read."
        return Source(found, note=Problem(what, f"{fix}"))
    return Source(problem=Problem(f"the folder {folder} has images only in its subfolders.", f"{fix}"))


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

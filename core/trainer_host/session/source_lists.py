"""Lists of sources: text and CSV files, lists of streams, and lists in Python."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import Problem, SettingsError, UnsafeError
from trainer_host.base.results import UnreadableImage
from trainer_host.data.image_headers import SUFFIXES
from trainer_host.session.source_arrays import loaded_image
from trainer_host.session.source_files import VIDEOS, Source, files_among, files_matching, suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.session.source_files import Entry

STREAMS = ".streams"
TABLES = (".txt", ".csv")
LISTS = (STREAMS, *TABLES)
"""Endings of files that list sources, one or several in a line."""
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Beginning of what a video library takes for an address; a drive has one letter."""


def listed_in_table(file: Path) -> Source:
    """Return the sources that a text or CSV file lists; those that are missing are noted with their lines."""
    source, seen, table = Source(), False, file.suffix.lower() == ".csv"
    for number, line in enumerate(_text(file).splitlines(), 1):
        for word in (w.strip() for w in (next(csv.reader([line]), []) if table else [line])):
            if not word or (table and number == 1 and word == "source"):
                continue
            seen = True
            _add(source, word, file.parent, (file, number))
    if not seen:
        raise SettingsError(Problem("the list of sources is empty.", "write one path in each line", str(file)))
    if not source.entries and all(missing.path == file for missing in source.missing):
        what = "the file is not a list of sources: no line names an image, a video or a folder."
        raise SettingsError(Problem(what, "write one path in each line", str(file)))
    return source


def listed_streams(file: Path) -> Source:
    """Return the source of a list of streams, which the engine opens together.

    Raises:
        SettingsError: If the list is empty.
    """
    if not _text(file).split():
        raise SettingsError(Problem("the list of streams is empty.", "write one camera in each line", str(file)))
    return Source(stream=str(file))


def listed_in_python(given: Sequence[Any], offline: bool) -> Source:
    """Return the source of a list in Python: of paths, arrays and Pillow images."""
    if not given:
        raise SettingsError(Problem("the list of sources is empty.", "give paths of images, or arrays"))
    source = Source()
    for number, one in enumerate(given):
        if not isinstance(one, (str, os.PathLike)):
            source.entries.append(loaded_image(one, number))
            continue
        text = os.fsdecode(one)
        if "://" in text:
            what = f"an address in a list is not opened: {text}."
            raise UnsafeError(Problem(what, _alone(text, offline)))
        _add(source, text, Path())
    return source


def _add(source: Source, word: str, folder: Path, line: tuple[Path, int] | None = None) -> None:
    """Add the files that an entry of a list names, or note why there are none, with the list's line if it has one."""
    try:
        found, reason = _entry(word, folder), "image or video not found"
    except OSError as error:
        found, reason = [], str(error.strerror or error)
    source.entries += found
    if found:
        return
    path = Path(word)
    if line is not None and suffix_of(path) in SUFFIXES | VIDEOS:
        reason = f"{reason} ({line[0].name}:{line[1]})"
    elif line is not None:  # text that does not name an image is not quoted: the list may link to another file
        path, reason = line[0], f"line {line[1]} names no image, video or folder"
    source.missing.append(UnreadableImage(path, reason, "correct or remove it in the list"))


def _entry(word: str, folder: Path) -> list[Entry]:
    """Return the files that an entry of a list names, relative to the working folder or to the list's folder."""
    for path in (Path(word), folder / word):
        if path.is_dir():
            return files_among([f for f in path.iterdir() if not f.name.startswith(".")])
        if path.exists() or path.is_symlink():
            return [path.absolute()] if suffix_of(path) in SUFFIXES | VIDEOS else []
        if "*" in word and (found := files_matching(str(path))):
            return found
    return []


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig", errors="surrogateescape")


def refuse_addresses(file: Path, offline: bool) -> None:
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


def _entries(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            for entry in re.split(r"[\s,\"]+", line):
                yield number, entry


def _alone(address: str, offline: bool) -> str:
    return "remove it from the list" if offline else f"give it by itself: source={address}"

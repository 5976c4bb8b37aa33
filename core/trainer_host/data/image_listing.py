"""The images of a split and their label files, listed with what the file system says of each."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.atomic_io import display_path
from trainer_host.base.findings import Finding
from trainer_host.data.foreign_labels import Places, folders_out, images_out
from trainer_host.data.image_headers import PICTURES, SUFFIXES
from trainer_host.data.listed_files import ABSENT, Listed, Listing, Stat, stat_of
from trainer_host.data.path_suggestions import tail_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

IMAGES, LABELS, LABEL_SUFFIX = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}", ".txt"

PREFIX = "data/"
"""The prefix of paths in lists of CVAT, though its archives have no such folder."""
MOST_BYTES = 64 << 20
"""Bytes beyond which a list of images is not read."""
MOST_FAULTS = 1000
"""Lines without an image after which a list is not believed to be one."""


def list_split(name: str, sources: Iterable[Path], root: Path, home: Path | None = None) -> Listing:
    """List the images that folders and list files name, and their label files.

    Args:
        name: The split.
        sources: Folders, or text files with one path in each line; they exist.
        root: The folder that the paths of a list are relative to.
        home: The folder of the dataset's YAML, if it has one.
    """
    listing = Listing()
    found: list[Listed] = []
    for source in sources:
        listing.by_folder = listing.by_folder and source.is_dir()
        if source.is_dir():
            listing.tops.append(str(source))
            found += _walk(name, str(source), listing)
        else:
            found += _read_list(name, source, root, listing)
    found.sort()
    listing.findings += _overlaps(name, found, listing.findings)
    listing.images = [path for path, _ in found]
    listing.image_stats = _table([facts for _, facts in found])
    _find_labels(name, listing, str(home or root))
    listing.findings += images_out(name, listing, str(home or root), str(root))
    listing.findings += folders_out(name, listing)
    return listing


def _walk(split: str, top: str, listing: Listing) -> list[Listed]:
    """Return the images below a folder. Hidden ones are passed over, as the engine does."""
    found: list[Listed] = []
    findings, links = listing.findings, listing.image_links
    seen: dict[tuple[int, int], str] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(top, ())]
    while waiting:
        folder, above = waiting.pop()
        below: list[str] = []
        try:
            here = Path(folder).stat()
            first = seen.setdefault((here.st_dev, here.st_ino), folder)
            if first != folder:
                findings.append(_again(split, folder, first, above))
                continue
            with _scan(folder) as entries:
                for entry in entries:
                    name = entry.name
                    suffix = _suffix(name)
                    if entry.is_symlink():
                        links.append(f"{folder}{os.sep}{name}")
                    if suffix in SUFFIXES and name[0] != "." and not _is_folder(entry):
                        found.append((f"{folder}{os.sep}{name}", stat_of(entry)))
                    elif name[0] != ".":
                        below += _pass_over(split, f"{folder}{os.sep}{name}", suffix, _is_folder(entry), findings)
        except OSError as error:
            what = f"the folder cannot be read: {error.strerror}."
            findings.append(Finding("image-unreadable", what, "make it readable", folder, None, "error", split))
        waiting += [(path, (*above, folder)) for path in below]
    return found


def _again(split: str, folder: str, first: str, above: tuple[str, ...]) -> Finding:
    """Return what to say of a folder that was walked before: by a link that leads back, or to another folder."""
    if first in above:
        what = "the link leads to a folder that contains it, so its images would repeat endlessly."
        return Finding("link-loop", what, "remove the link", folder, None, "error", split)
    what = f"the link leads to {display_path(Path(first))}, whose images count once."
    return Finding("image-duplicate", what, "remove the link", folder, None, "warning", split)


def _overlaps(split: str, found: Sequence[Listed], findings: Sequence[Finding]) -> list[Finding]:
    """Warn of images that several sources of a split name; those that one list names twice are reported already."""
    reported = sum(f.code == "image-duplicate" and f.line is not None for f in findings)
    again = [one[0] for one, other in pairwise(found) if one[0] == other[0]]
    if len(again) <= reported:
        return []
    what = f"{len(again) - reported} {split} images are listed by several folders or lists, and count each time."
    fix = "name each folder once, or ignore this if the repetition is intended"
    return [Finding("image-duplicate", what, fix, again[0], None, "warning", split)]


@contextmanager
def _scan(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Open a folder to ask for its entries one by one, relative to it: half the time of a list of whole paths."""
    if os.scandir not in os.supports_fd:
        with os.scandir(folder) as entries:
            yield entries
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        with os.scandir(place) as entries:
            yield entries
    finally:
        os.close(place)


def _pass_over(split: str, path: str, suffix: str, is_folder: bool, findings: list[Finding]) -> list[str]:
    """Note the problems of something that is not an image; a folder is returned."""
    if is_folder and suffix in SUFFIXES:
        what, fix = "a folder has the name of an image.", "rename it, or put the image there"
        findings.append(Finding("image-unreadable", what, fix, path, None, "error", split, path))
    elif suffix in PICTURES and not is_folder:
        what = f"the image is skipped, as .{suffix} files are not supported."
        findings.append(Finding("image-format", what, "convert it to PNG or JPEG", path, None, "warning", split))
    return [path] if is_folder else []


def _suffix(name: str) -> str:
    """Return the ending of a file's name, empty if it has none: a folder may be called jpg."""
    _, point, suffix = name.rpartition(".")
    return suffix.lower() if point else ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _lines_of(split: str, file: Path, findings: list[Finding]) -> list[str]:
    """Return the lines of a list file; none if it cannot be read, which is noted."""

    def note(code: str, message: str, fix: str, line: int | None = None) -> None:
        findings.append(Finding(code, message, fix, str(file), line, "error", split))

    if file.stat().st_size > MOST_BYTES:
        what = f"the list has {file.stat().st_size >> 20} MiB; the maximum is {MOST_BYTES >> 20}."
        note("list-encoding", what, "give a folder of images, or a shorter list")
        return []
    try:
        content = file.read_bytes()
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        what, line = "the list is not UTF-8 text with a path in each line.", content.count(b"\n", 0, error.start) + 1
        note("list-encoding", what, "give a folder of images, or a list saved as UTF-8", line)
        return []
    except OSError as error:
        note("list-encoding", f"the list cannot be read: {error.strerror}.", "make it readable")
        return []


def _read_list(split: str, file: Path, root: Path, listing: Listing) -> list[Listed]:
    """Return the images that a list file names."""
    findings = listing.findings

    def note(code: str, message: str, fix: str, line: int) -> None:
        findings.append(Finding(code, message, fix, str(file), line, "error", split))

    lines = _lines_of(split, file, findings)
    found: list[Listed] = []
    first: dict[str, int] = {}
    faults = without_prefix = 0
    for number, text in enumerate(lines, 1):
        words = text.strip()
        if not words:
            continue
        path, prefixed = _entry(words, file.parent, root)
        without_prefix += prefixed
        if _suffix(path) not in SUFFIXES:
            # Not quoted: the list may be any file of the user, that a third-party YAML points to.
            what = "not the path of an image: the line does not end in .jpg, .png, ..."
            note("list-entry-missing", what, "write the path of an image, with its ending", number)
            faults += 1
            if faults > MOST_FAULTS:
                what = "too many lines are not paths of images; the rest of the list is not checked."
                note("list-encoding", what, "give a text file with the path of an image in each line", number)
                break
            continue
        if path in first:
            what = f"{words} is already listed in line {first[path]}, so it counts twice."
            fix = "remove the line, or ignore this if the repetition is intended"
            findings.append(Finding("image-duplicate", what, fix, str(file), number, "warning", split))
        first.setdefault(path, number)
        facts = stat_of(Path(path))
        if facts == ABSENT:
            note("list-entry-missing", f"image {words} not found.", _meant(words, file.parent, root), number)
            continue
        found.append((path, facts))
    if without_prefix:
        what = f"{without_prefix} of {len(lines)} lines begin with {PREFIX}, but the images are found without it."
        fix = f"remove {PREFIX} from the lines, or put the images into a folder of that name"
        findings.append(Finding("path-habit", what, fix, str(file), None, "warning", split))
    listing.image_links += [path for path, _ in found if os.path.islink(path)]  # noqa: PTH114
    return found


def _meant(words: str, list_folder: Path, root: Path) -> str:
    """Return what to do about a line that names no image; its path may be one of another machine."""
    meant = tail_in(words, (list_folder, root))
    return f"write {'./' * (list_folder == root)}{meant}" if meant else "correct the path, or remove the line"


def _entry(words: str, list_folder: Path, root: Path) -> tuple[str, bool]:
    """Return the path that a line of a list means, and whether that is without the prefix that some tools write.

    It is relative to the list or to the dataset's folder. Where neither is there, the working folder is tried, which is
    what the engine takes a bare path to mean.
    """
    path = os.path.expanduser(words)  # noqa: PTH111
    if os.path.isabs(path):  # noqa: PTH117
        return os.path.normpath(path), False
    places = [os.path.normpath(os.path.join(base, path)) for base in (list_folder, root, Path.cwd())]  # noqa: PTH118
    with suppress(ValueError):  # a path that cannot be one
        there = next((p for p in places if os.path.lexists(p)), None)
        if there is None and path.startswith(PREFIX):
            bare = os.path.normpath(os.path.join(list_folder, path[len(PREFIX) :]))  # noqa: PTH118
            return (bare, True) if os.path.lexists(bare) else (places[0], False)
        return there or places[0], False
    return places[0], False


def label_folder(folder: str) -> str:
    """Return where the labels of the images in a folder are: the last ``images`` in its path becomes ``labels``."""
    return LABELS.join(f"{folder}{os.sep}".rsplit(IMAGES, 1)).rstrip(os.sep)


@dataclass(frozen=True)
class _Labels:
    """A folder of label files: what the file system says of each, and what leads out of the dataset."""

    folder: str
    stats: dict[str, Stat]
    links_out: set[str]
    out: bool


def _find_labels(split: str, listing: Listing, home: str) -> None:
    """Find each image's label file, and the label files that belong to none."""
    folders: dict[str, _Labels] = {}
    stats: list[Stat] = []
    for path in listing.images:
        folder, _, name = path.rpartition(os.sep)
        if folder not in folders:
            folders[folder] = _labels_of(split, folder, home, listing.findings)
        labels = folders[folder]
        label = f"{name.rpartition('.')[0]}{LABEL_SUFFIX}"
        stats.append(labels.stats.get(label, ABSENT))
        if label in labels.links_out:
            listing.links_out.add(len(listing.label_files))
        if labels.out:
            listing.folders_out.add(len(listing.label_files))
        listing.label_files.append(f"{labels.folder}{os.sep}{label}")
    if len(set(listing.label_files)) < len(listing.label_files):
        listing.findings += _shared(split, listing)
    listing.label_stats = _table(stats)
    listing.folders = {labels.folder: list(labels.stats) for labels in folders.values()}


def _labels_of(split: str, images: str, home: str, findings: list[Finding]) -> _Labels:
    """Return the label files of a folder of images."""
    labels = label_folder(images)
    stats, links = _label_stats(split, labels, findings)
    above, between, _ = f"{images}{os.sep}".rpartition(IMAGES)
    owned = Places.around(images, "", home, above if between else "")
    out = os.path.realpath(labels) != labels and not owned.holds(labels)
    within = Places.around(images, labels, home, above if between else "")
    return _Labels(labels, stats, {n for n in links if not within.holds(f"{labels}{os.sep}{n}")}, out)


def _table(stats: Sequence[Stat]) -> NDArray[np.int64]:
    flat = np.fromiter(chain.from_iterable(stats), np.int64, 4 * len(stats))  # a third of the time of np.array
    return flat.reshape(-1, 4)


def _shared(split: str, listing: Listing) -> Iterator[Finding]:
    """Yield images that share a label file with another."""
    owners: dict[str, str] = {}
    for path, file in zip(listing.images, listing.label_files, strict=True):
        first = owners.setdefault(file, path)
        if first != path:
            names = " and ".join(p.rpartition(os.sep)[-1] for p in (first, path))
            label = file.rpartition(os.sep)[-1]
            what = f"{names} have the same label file, {label}: it is found by the name without its ending."
            fix = "give the images different names, each with its own label file"
            yield Finding("image-shared-label", what, fix, path, None, "error", split, path)


def _label_stats(split: str, folder: str, findings: list[Finding]) -> tuple[dict[str, Stat], list[str]]:
    """Return what the file system says of each label file in a folder, and which of them are links."""
    try:
        with _scan(folder) as entries:
            files = [entry for entry in entries if entry.name.endswith(LABEL_SUFFIX)]
            return {e.name: stat_of(e) for e in files}, [e.name for e in files if e.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        what = f"the folder of the label files cannot be read: {error.strerror}."
        findings.append(Finding("label-unreadable", what, "make it readable", folder, None, "error", split))
        return {}, []

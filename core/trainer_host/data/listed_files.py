"""The images and label files of a split, with what the file system says of each."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer_host.base.findings import Finding

Stat = tuple[int, int, int, int]
"""Size in bytes, times of the last change of content and of status in nanoseconds, and inode."""
ABSENT: Stat = (-1, 0, 0, 0)
NO_FILE: Stat = (-2, 0, 0, 0)
"""Stands for something that is there and is neither a file nor a folder."""
FOLDER: Stat = (-3, 0, 0, 0)
BROKEN_LINK: Stat = (-4, 0, 0, 0)
UNREADABLE: Stat = (-5, 0, 0, 0)


Listed = tuple[str, Stat]
"""A path with what the file system says of it."""


@dataclass
class Listing:
    """The images of a split.

    Attributes:
        images: Their absolute paths, in order.
        image_stats: What the file system says of each, int64 (n, 4).
        label_files: The path of each image's label file, whether it is there or not.
        label_stats: What the file system says of each, int64 (n, 4).
        folders: For each folder of labels the names of all label files in it.
        links_out: Indices of the label files that are links which lead out of the dataset.
        folders_out: Indices of the label files in folders outside of the dataset, to which a link leads.
        tops: The folders that were walked.
        image_links: Images, and folders with images, that are links.
        by_folder: Whether all images of their folders are in it; a list may omit some.
        findings: The problems of folders, lists and links.
    """

    images: list[str] = field(default_factory=list)
    image_stats: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    label_files: list[str] = field(default_factory=list)
    label_stats: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    folders: dict[str, list[str]] = field(default_factory=dict)
    links_out: set[int] = field(default_factory=set)
    folders_out: set[int] = field(default_factory=set)
    tops: list[str] = field(default_factory=list)
    image_links: list[str] = field(default_factory=list)
    by_folder: bool = True
    findings: list[Finding] = field(default_factory=list)


def stat_of(entry: os.DirEntry[str] | Path) -> Stat:
    """Return what the file system says of a file, following links."""
    try:
        found = entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        return BROKEN_LINK if entry.is_symlink() else ABSENT
    except ValueError:  # a path that cannot be one
        return ABSENT
    except OSError as error:
        loop = error.errno == errno.ELOOP
        return BROKEN_LINK if loop else ABSENT if error.errno == errno.ENAMETOOLONG else UNREADABLE
    if not stat.S_ISREG(found.st_mode):
        return FOLDER if stat.S_ISDIR(found.st_mode) else NO_FILE
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino

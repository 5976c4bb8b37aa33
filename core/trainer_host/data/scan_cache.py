"""The cache of image headers and parsed label files: plain arrays in the user's cache folder.

An entry is used for a file with unchanged size, times and inode. One of the times is that of the last change of
status, which no program can set back. A file that was changed within two seconds of being read is read again, because
a second change could leave the same times. On a system without that time nothing is cached.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.atomic_io import appearing_whole
from trainer_host.base.temporaries import sweep_once
from trainer_host.data.cache_location import cache_folder
from trainer_host.data.header_facts import ImageFault
from trainer_host.data.label_files import LabelFault, Rows
from trainer_host.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 4
MARGIN = 2_000_000_000
"""Nanoseconds between the last change of a file and its reading, below which it is not cached."""
DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors of a damaged archive; those of an encrypted or newer one are among the `RuntimeError`s."""
ROW_COLUMNS = ("file", "line", "row_lengths", "values", "valid")
"""Parts of the rows, each stored under its name with the prefix ``rows_``."""


@dataclass(frozen=True)
class Contents:
    """The headers of the images of a split and the rows of its label files, n of each.

    Attributes:
        images: The images' paths.
        image_stats: The `Stat` of each image, int64 (n, 4).
        label_stats: The `Stat` of each label file, int64 (n, 4).
        shapes: Height and width of each image, int32 (n, 2).
        marks: A checksum of the first bytes of each image, uint32 (n,).
        modes: The mode of each image, see `header_facts`, uint16 (n,).
        rows: The rows of the label files, each by the index of its image, ascending.
        image_faults: The problems of the images, each with the index of its image.
        read_at: When reading began, in nanoseconds since the epoch.
    """

    images: Sequence[str]
    image_stats: NDArray[np.int64]
    label_stats: NDArray[np.int64]
    shapes: NDArray[np.int32]
    marks: NDArray[np.uint32]
    modes: NDArray[np.uint16]
    rows: Rows
    image_faults: list[tuple[int, ImageFault]]
    read_at: int

    def settled(self, stats: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each file whether its last change was long enough ago when it was read, bool (n,)."""
        if os.name != "posix":
            return np.zeros(len(stats), bool)
        # Whole seconds suggest a file system with invented times, such as a container image.
        real = stats[:, 2] % 1_000_000_000 != 0
        settled: NDArray[np.bool_] = real & (stats[:, 1:3].max(axis=1, initial=0) < self.read_at - MARGIN)
        return settled


def _file(split: str, sources: Sequence[Path]) -> Path:
    names = "\0".join([f"{FORMAT} {__version__}", split, *map(str, sources)])
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()
    return cache_folder() / "datasets" / f"{digest[:32]}.npz"


def load(split: str, sources: Sequence[Path]) -> Contents | None:
    """Return the contents from the last time that the split was read; None if unknown or damaged."""
    stored_in = _file(split, sources)
    sweep_once(stored_in.parent)
    try:
        # The archive has a checksum of every array; pickles, which could run code, are refused.
        with stored_in.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            parts = {name: stored[name] for name in stored.files}
        about: dict[str, Any] = json.loads(parts["about"].tobytes())
        names = parts["images"].tobytes().decode("utf-8", "surrogateescape")
        contents = Contents(
            images=names.split("\0") if names else [],
            image_stats=parts["image_stats"],
            label_stats=parts["label_stats"],
            shapes=parts["shapes"],
            marks=parts["marks"],
            modes=parts["modes"],
            rows=Rows(
                **{name: parts[f"rows_{name}"] for name in ROW_COLUMNS},
                faults=[LabelFault(*fault) for fault in about["label_faults"]],
            ),
            image_faults=[(index, ImageFault(*fault)) for index, fault in about["image_faults"]],
            read_at=int(about["read_at"]),
        )
    except DAMAGED:
        return None
    return contents if _whole(contents) and about.get("format") == FORMAT else None


def _whole(contents: Contents) -> bool:
    """Return whether all parts fit each other: an intact archive may still be someone else's."""
    count, rows = len(contents.images), contents.rows
    return (
        contents.image_stats.shape == contents.label_stats.shape == (count, 4)
        and contents.shapes.shape == (count, 2)
        and contents.marks.shape == contents.modes.shape == (count,)
        and rows.file.shape == rows.line.shape == rows.row_lengths.shape == rows.valid.shape
        and len(rows.values) == int(rows.row_lengths.sum())
        and (not len(rows.file) or (int(rows.file.min()) >= 0 and int(rows.file.max()) < count))
    )


def save(split: str, sources: Sequence[Path], contents: Contents) -> None:
    """Store the contents; if the folder cannot be written to, the next run only takes longer."""
    about = {
        "format": FORMAT,
        "read_at": contents.read_at,
        "label_faults": contents.rows.faults,
        "image_faults": contents.image_faults,
    }
    names = "\0".join(contents.images).encode("utf-8", "surrogateescape")
    arrays = {f"rows_{name}": getattr(contents.rows, name) for name in ROW_COLUMNS}
    try:
        with appearing_whole(_file(split, sources), parents=True) as file:
            np.savez(
                file,
                about=np.frombuffer(json.dumps(about).encode(), np.uint8),
                images=np.frombuffer(names, np.uint8),
                image_stats=contents.image_stats,
                label_stats=contents.label_stats,
                shapes=contents.shapes,
                marks=contents.marks,
                modes=contents.modes,
                **arrays,
            )
    except OSError:
        return


def now() -> int:
    """Return the time in nanoseconds since the epoch."""
    return time.time_ns()

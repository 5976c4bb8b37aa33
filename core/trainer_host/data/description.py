"""A dataset that was read: its keys, and for each split the images and the rows of their labels, as arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.atomic_io import plain
from trainer_host.base.findings import Finding, Severity
from trainer_host.data.cache_location import extracted_folder
from trainer_host.data.image_headers import read_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

MISSING, EMPTY, FOUND = 0, 1, 2
"""Values of `Split.labelled`: no label file, one without rows, one with rows."""

SPLITS = ("train", "val", "test")
"""Names of the splits."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """The images of one split and the rows of their labels. The arrays are not to be written to.

    A row is one line of a label file, or one annotation of another format: numbers, of which the first
    is the class and the next four are the centre and the size of the box, as fractions of the image's width and height.
    The rest belongs to the task.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        images: Absolute paths of the n images, in the order in which the engine has them.
        label_files: For each image the file that holds its rows; several images may share one.
        sizes: Bytes of each image, int64 (n,).
        shapes: Height and width of each image in pixels, as it is seen after its EXIF rotation, int32 (n, 2);
            0 if they could not be read.
        marks: A checksum of the first bytes of each image, uint32 (n,). Files that differ in it differ.
        labelled: `MISSING`, `EMPTY` or `FOUND` for each image, uint8 (n,).
        image: The image of each of the r rows, as its index, int32 (r,), ascending.
        line: The line of each row in its label file, counted from 1, int32 (r,); 0 if unknown.
        row_lengths: How many numbers each row has, int32 (r,).
        values: The numbers of all rows, one row after the other, float64 (sum of row_lengths,).
        valid: False for rows with something that is not a finite number, which reading has reported, bool (r,).
            Such a thing stands in ``values`` as NaN.
        crowd: Rows that mark a crowd rather than one object, bool (r,). They are not trained on.
        modes: Channels, alpha and depth of each image by its header, see `header_facts.CHANNELS`, uint16 (n,); 0
            channels if unknown. Empty if unknown for all images.
    """

    name: str
    images: list[str]
    label_files: list[str]
    sizes: NDArray[np.int64]
    shapes: NDArray[np.int32]
    marks: NDArray[np.uint32]
    labelled: NDArray[np.uint8]
    image: NDArray[np.int32]
    line: NDArray[np.int32]
    row_lengths: NDArray[np.int32]
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    modes: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The index in ``values`` where each row begins, int64 (r,)."""
        return np.cumsum(self.row_lengths, dtype=np.int64) - self.row_lengths

    @cached_property
    def shares_files(self) -> bool:
        """Whether several images have their rows in one file."""
        return len(set(self.label_files)) < len(self.label_files)

    def rows_of(self, image: int) -> NDArray[np.int64]:
        """Return the indices of an image's rows."""
        first, end = np.searchsorted(self.image, [image, image + 1])
        return np.arange(first, end)

    def head(self, count: int) -> NDArray[np.float64]:
        """Return the first numbers of every row, float64 (r, count); NaN if a row has fewer."""
        if len(self.row_lengths) and (self.row_lengths == self.row_lengths[0]).all() and self.row_lengths[0] >= count:
            return self.values.reshape(len(self.row_lengths), -1)[:, :count]
        out = np.full((len(self.row_lengths), count), np.nan)
        for column in range(count):
            has = self.row_lengths > column
            out[has, column] = self.values[self.starts[has] + column]
        return out

    def table(self, columns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows that have just so many numbers: their indices (m,), and the numbers (m, columns)."""
        rows = np.flatnonzero(self.row_lengths == columns)
        if len(rows) == len(self.row_lengths):
            return rows, self.values.reshape(len(rows), columns)
        return rows, self.values[self.starts[rows, None] + np.arange(columns)]

    def without(self, images: set[str]) -> Split:
        """Return the split without some of its images and their rows."""
        kept = np.array([f not in images for f in self.images], bool)
        if kept.all():
            return self
        rows = kept[self.image]
        number = np.cumsum(kept) - 1
        return replace(
            self,
            images=[f for f, keep in zip(self.images, kept, strict=True) if keep],
            label_files=[f for f, keep in zip(self.label_files, kept, strict=True) if keep],
            sizes=self.sizes[kept],
            shapes=self.shapes[kept],
            marks=self.marks[kept],
            modes=self.modes[kept] if len(self.modes) else self.modes,
            labelled=self.labelled[kept],
            image=number[self.image[rows]].astype(np.int32),
            line=self.line[rows],
            row_lengths=self.row_lengths[rows],
            values=self.values[np.repeat(rows, self.row_lengths)],
            valid=self.valid[rows],
            crowd=self.crowd[rows],
        )

    def renamed(self, name: str) -> Split:
        """Return the images and rows as the split of another name."""
        return replace(self, name=name)

    def of_row(self, row: int, code: str, message: str, fix: str = "", severity: Severity = "error") -> Finding:
        """Return a finding about a row, with its file and line."""
        image = int(self.image[row])
        line = int(self.line[row]) or None
        if self.shares_files:
            message = f"{Path(self.images[image]).name}: {message}"
        return Finding(code, message, fix, self.label_files[image], line, severity, self.name, self.images[image])

    def of_image(self, image: int, code: str, message: str, fix: str = "", severity: Severity = "error") -> Finding:
        """Return a finding about an image."""
        file = self.images[image]
        return Finding(code, message, fix, file, None, severity, self.name, file)

    @classmethod
    def from_rows(
        cls,
        name: str,
        images: Sequence[str | Path],
        rows: Sequence[Sequence[Sequence[float]]],
        label_files: Sequence[str | Path],
        *,
        lines: Sequence[Sequence[int]] | None = None,
        crowd: Sequence[Sequence[bool]] | None = None,
        labelled: Sequence[int] | None = None,
    ) -> tuple[Split, list[Finding]]:
        """Make a split from the annotations of another format. Of the images only the headers are read.

        Args:
            name: ``train``, ``val`` or ``test``.
            images: The images; they are put in order of their paths.
            rows: For each image its rows.
            label_files: For each image the file that holds its rows.
            lines: For each row of each image its line, if known.
            crowd: For each row of each image whether it marks a crowd.
            labelled: For each image `MISSING`, `EMPTY` or `FOUND`; inferred from its rows by default.

        Returns:
            The split, and the findings about the images.
        """
        order = sorted(range(len(images)), key=lambda i: os.fspath(images[i]))
        paths = [os.path.abspath(images[i]) for i in order]  # noqa: PTH100 - links stay
        facts, findings = read_images(name, paths)
        counts = np.array([len(rows[i]) for i in order], np.int64)
        flat = [row for i in order for row in rows[i]]
        values = np.array([v for row in flat for v in row], np.float64)
        columns = np.array([len(row) for row in flat], np.int32)
        split = cls(
            name=name,
            images=paths,
            label_files=[os.fspath(label_files[i]) for i in order],
            sizes=facts.sizes,
            shapes=facts.shapes,
            marks=facts.marks,
            modes=facts.modes,
            labelled=np.array(
                [labelled[i] if labelled is not None else FOUND if rows[i] else EMPTY for i in order], np.uint8
            ),
            image=np.repeat(np.arange(len(order)), counts).astype(np.int32),
            line=np.array([n for i in order for n in lines[i]] if lines else np.zeros(len(flat)), np.int32),
            row_lengths=columns,
            values=values,
            valid=_all_finite(values, columns),
            crowd=np.array([c for i in order for c in crowd[i]] if crowd else np.zeros(len(flat)), bool),
        )
        return split, findings


def _all_finite(values: NDArray[np.float64], row_lengths: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return for each row whether all of its numbers are finite, bool (r,)."""
    owner = np.repeat(np.arange(len(row_lengths)), row_lengths)
    finite: NDArray[np.bool_] = np.bincount(owner[~np.isfinite(values)], minlength=len(row_lengths)) == 0
    return finite


@dataclass(frozen=True)
class SourceIds:
    """The ids that the files of a dataset give to images and classes, for results that refer to them.

    Attributes:
        images: The id of each image, by its absolute path.
        classes: The id of each class, by its index.
    """

    images: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Description(Mapping[str, Any]):
    """A dataset that was read: a mapping of its keys, as the engine knows them, with splits and findings. Immutable.

    The keys have at least ``names`` (class index to name), ``nc``, ``channels``, and for each split what the engine is
    given for it; after an error some may be missing. ``data | {key: value}`` and `dataclasses.replace` make
    a changed one.

    Attributes:
        content: The keys.
        file: The file that describes the dataset.
        splits: The images and rows of each split.
        findings: The findings of reading; the host shows them with those of the checks.
        lines: The line of each key in ``file``; a nested key is written with a dot (``names.0``).
        skipped: For each split the images that were skipped because they cannot be used.
        engine_reads: Whether the labels are files that the engine could find and read by itself.
        ids: The ids that the dataset's own files use, if its format has any.
    """

    content: Mapping[str, Any]
    file: str = field(kw_only=True)
    splits: Mapping[str, Split] = field(default_factory=dict, kw_only=True)
    findings: Sequence[Finding] = field(default=(), kw_only=True)
    lines: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    skipped: Mapping[str, list[str]] = field(default_factory=dict, kw_only=True)
    engine_reads: bool = field(default=False, kw_only=True)
    ids: SourceIds = field(default_factory=SourceIds, kw_only=True)

    def __post_init__(self) -> None:
        # Copies: whoever reads a dataset goes on to use its own dicts and lists.
        for name in ("content", "splits", "lines", "skipped"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "findings", tuple(self.findings))
        object.__setattr__(self, "file", os.fspath(self.file))

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)

    @classmethod
    def of(cls, data: Mapping[str, Any], file: str | Path = "") -> Description:
        """Return the data of a hook's context: a description as it is, or other keys as one without splits."""
        return data if isinstance(data, cls) else cls(data, file=os.fspath(file))

    def __or__(self, keys: Mapping[str, Any]) -> Description:
        """Return the dataset with other values of some keys, as ``|`` does for dicts."""
        return replace(self, content={**self.content, **keys})

    def with_findings(self, findings: Iterable[Finding]) -> Description:
        """Return the dataset with further findings."""
        return replace(self, findings=(*self.findings, *findings))

    def of_key(self, key: str, code: str, message: str, fix: str = "", severity: Severity = "error") -> Finding:
        """Return a finding about a key, with its line; a nested key without a line has that of the key above."""
        return Finding(code, message, fix, self.file, line_of(key, self.lines), severity)

    def fingerprint(self) -> str:
        """Return a hash of what is trained on: keys, images by name, size and shape, and labels.

        It does not depend on where the dataset lies, on times, or on how the label files are written.
        """
        file = Path(self.file)
        root = str(Path(self.get("path") or (file if file.is_dir() else file.parent)).resolve())
        keys = {str(k): plain(v) for k, v in self.items() if k not in {*SPLITS, "path", "yaml_file"}}
        digest = hashlib.sha256(repr(_ordered(keys)).encode())
        cached = str(extracted_folder().resolve())
        for name, split in sorted(self.splits.items()):
            names = "\0".join(_relative(_relative(f, cached), root) for f in split.images)
            digest.update(f"\n{name}\n{names}\n".encode("utf-8", "surrogateescape"))
            numbers = (split.row_lengths, split.values, split.crowd)
            for column in (split.sizes, split.shapes, split.marks, split.image, *numbers):
                digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def line_of(key: str, lines: Mapping[str, int]) -> int | None:
    """Return the line of a key; a nested key (``names.0``) without a line has that of the key above."""
    parts = key.split(".")
    known = (lines.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))
    return next((n for n in known if n is not None), None)


def _ordered(value: Any) -> Any:
    """Return plain data in an order that does not depend on how it was written."""
    if isinstance(value, dict):
        return sorted(((str(k), _ordered(v)) for k, v in value.items()), key=lambda pair: pair[0])
    return [_ordered(v) for v in value] if isinstance(value, list) else value


def _relative(path: str, root: str) -> str:
    return path[len(root) + 1 :] if path.startswith(root + os.sep) else path

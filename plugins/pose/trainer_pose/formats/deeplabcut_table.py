"""The table of a ``CollectedData`` file, CSV or H5: the points of each frame.

H5 files are read without PyTables, which would run what they carry as pickles.
"""

from __future__ import annotations

import csv
import io
import math
import pickle
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trainer_host.data import counted
from trainer_pose.formats.hdf5 import MOST_BYTES, part_of, text_of, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ONLY = "single"
"""The individual of body parts that there is one of."""
HEADS = ("scorer", "individuals", "bodyparts", "coords")
COORDINATES = ("x", "y")
DLC_EXTRA = "pip install 'trainer-host[deeplabcut]', or write the labels as CSV"


class TableFault(NamedTuple):
    """A problem in a line; ``frame`` is the index of the frame that cannot be used."""

    line: int | None
    code: str
    message: str
    fix: str
    frame: int | None = None


class Column(NamedTuple):
    """A column: x or y of a body part of an individual."""

    individual: str
    part: str
    coordinate: str


@dataclass
class Table:
    """The labels of a folder of frames.

    Attributes:
        frames: The name of each frame's file.
        lines: The line of each frame, 0 if there are no lines.
        columns: The column of ``values`` by index.
        values: Pixels, NaN if a point is not labelled, float64 (frames, columns).
        faults: The problems found.
    """

    frames: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    faults: list[TableFault] = field(default_factory=list)

    def points(self, individual: str, parts: Sequence[str]) -> NDArray[np.float64]:
        """Return x and y of each body part of an individual, NaN if it is not labelled, (frames, parts, 2)."""
        place = {c: i for i, c in enumerate(self.columns)}
        out = np.full((len(self.frames), len(parts), 2), np.nan)
        for p, part in enumerate(parts):
            for axis, coordinate in enumerate(COORDINATES):
                column = place.get(Column(individual, part, coordinate))
                if column is not None:
                    out[:, p, axis] = self.values[:, column]
        return out

    @property
    def individuals(self) -> list[str]:
        """The individuals, in order of their columns."""
        return list(dict.fromkeys(c.individual for c in self.columns))


def _failed(code: str, message: str, fix: str, line: int | None = None) -> Table:
    return Table(faults=[TableFault(line, code, message, fix)])


def read_csv(path: Path) -> Table:
    """Read a CSV. Nothing raises; problems are among the table's faults."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            return _failed("dlc-too-large", f"the file has {size >> 20} MiB.", "split the video's frames into folders")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return _failed("dlc-unreadable", f"the file cannot be read: {error.strerror}.", "make it readable")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return _failed("dlc-encoding", "the file is not UTF-8 text.", "save it as UTF-8", line)
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        return _failed("dlc-csv", f"CSV syntax: {error}.", "save the labels again", reader.line_num)
    heads = {row[0].strip(): row for _, row in rows[: len(HEADS)] if row[0].strip() in HEADS}
    missing = [h for h in HEADS if h not in heads and h != "individuals"]
    if missing:
        what = f"the table has no line {missing[0]!r} at its head, which a CollectedData file has."
        return _failed("dlc-header", what, "save the labels again with DeepLabCut", 1)
    return _table(heads, rows[len(heads) :])


def _table(heads: dict[str, list[str]], rows: list[tuple[int, list[str]]]) -> Table:
    # The path of a frame is one column, or three: labeled-data, the video, the frame.
    scorer = heads["scorer"]
    first = next((i for i, cell in enumerate(scorer) if i and cell.strip()), len(scorer))
    names = [heads.get(h, [""] * len(scorer))[first:] for h in HEADS[1:]]
    table = Table()
    if not len(names[1]) == len(names[2]) == len(scorer) - first == len(names[0]):
        what = "the lines at the head of the table differ in their number of cells."
        return _failed("dlc-header", what, "save the labels again with DeepLabCut", 1)
    table.columns = [Column(*map(str.strip, cells)) for cells in zip(*names, strict=True)]
    values: list[list[float]] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        name = re.split(r"[/\\]", row[first - 1].strip())[-1] if len(row) >= first else ""
        wrong = _row_fault(line, row, first + len(table.columns), name, seen)
        if wrong is not None:
            table.faults.append(wrong)
            continue
        seen[name] = line
        table.frames.append(name)
        table.lines.append(line)
        values.append([_number(table, line, cell) for cell in row[first:]])
    table.values = np.array(values, np.float64).reshape(len(values), len(table.columns))
    return table


def _row_fault(line: int, row: list[str], columns: int, name: str, seen: dict[str, int]) -> TableFault | None:
    if len(row) != columns:
        what = f"the line has {counted(len(row), 'cell')}, but the head of the table has {columns}."
        return TableFault(line, "dlc-columns", what, "write a cell for each column, empty if nothing is labelled")
    if not name:
        return TableFault(line, "dlc-frame", "the line has no frame.", "write the path of the frame")
    if name in seen:
        what = f"the frame {name} is labelled twice, first in line {seen[name]}."
        return TableFault(line, "dlc-duplicate", what, "remove one of the lines")
    return None


def _number(table: Table, line: int, cell: str) -> float:
    try:
        value = float(cell) if cell.strip() else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value):
        what = f"{cell[:40]!r} is not a number of pixels."
        fix = "write a number, or nothing if the point is not labelled"
        table.faults.append(TableFault(line, "dlc-number", what, fix, len(table.frames) - 1))
        return math.nan
    return value


class _NoClasses(pickle.Unpickler):
    """Makes lists, tuples and text, and nothing else, so that nothing of a file is run."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is refused")


def _plain(value: Any) -> Any:
    return _NoClasses(io.BytesIO(bytes(value))).load()


def read_h5(path: Path) -> Table:
    """Read an H5 file that pandas wrote, as a table or in fixed form. Nothing raises."""
    try:
        import h5py
    except ImportError:
        return _failed("dlc-h5", "the labels are H5 files, but h5py is not installed.", DLC_EXTRA)
    try:
        with h5py.File(path, "r") as file:
            group = part_of(file, next(iter(file)))
            names, index, values = _from_table(group) if "table" in group else _from_fixed(group)
    except (OSError, KeyError, ValueError, TypeError, IndexError, StopIteration, pickle.UnpicklingError) as error:
        what = f"the labels cannot be read: {' '.join(str(error).split())[:120]}."
        return _failed("dlc-h5", what, "write the labels as CSV: deeplabcut.convertcsv2h5 has its counterpart there")
    table = Table(columns=[Column("" if len(n) == 3 else n[1], n[-2], n[-1]) for n in names])
    table.frames = [re.split(r"[/\\]", parts[-1])[-1] for parts in index]
    table.lines = [0] * len(index)
    table.values = np.asarray(values, np.float64).reshape(len(index), len(names))
    return table


Parts = list[tuple[str, ...]]


def _from_table(group: Any) -> tuple[Parts, Parts, NDArray[np.float64]]:
    """Read what ``to_hdf(format="table")`` writes."""
    table = values_of(group, "table")
    names = [tuple(map(str, n)) for n in _plain(part_of(group, "table").attrs["values_block_0_kind"])]
    levels = [n for n in table.dtype.names if not n.startswith("values_block_")]
    index = [tuple(map(text_of, parts)) for parts in zip(*(table[n] for n in levels), strict=True)]
    return names, index, table["values_block_0"]


def _from_fixed(group: Any) -> tuple[Parts, Parts, NDArray[np.float64]]:
    """Read what ``to_hdf`` writes by default."""
    names = _axis(group, "block0_items")
    return names, _axis(group, "axis1"), values_of(group, "block0_values")


def _axis(group: Any, name: str) -> Parts:
    if name in group:
        return [(text_of(v),) for v in values_of(group, name)]
    levels = []
    for level in range(16):
        if f"{name}_level{level}" not in group:
            break
        words, places = values_of(group, f"{name}_level{level}"), values_of(group, f"{name}_label{level}")
        levels.append([text_of(words[i]) for i in places])
    return list(zip(*levels, strict=True))

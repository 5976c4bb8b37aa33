"""Label files: one object in each line, numbers between spaces.

Files are parsed many at a time by array operations; what is not plainly numbers is parsed again line by line, to
report the problem and its place. Both ways give the same numbers, those that Python's ``float`` gives.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_BYTES = 8 << 20
"""Bytes beyond which a label file is not read."""
MOST_ROWS = 20_000
"""Rows beyond which a label file is not read."""

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NOT_FINITE = frozenset({"nan", "inf", "infinity"})
SHOWN = 24
"""Characters of a word that a message quotes."""

PLAIN = np.zeros(256, bool)
"""Bytes of which plain numbers are made, and the blanks between them."""
PLAIN[list(b"0123456789.+- \t\n")] = True
BLANK = np.zeros(256, bool)
BLANK[list(b" \t\n")] = True


class LabelFault(NamedTuple):
    """A word in a label file that is not a number.

    Attributes:
        file: Index of the file.
        line: Its line, counted from 1; 0 for the file as a whole.
        code: The finding's code.
        message: The problem.
        fix: How to fix it.
    """

    file: int
    line: int
    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class Rows:
    """The rows of several label files, as columns; `trainer_host.data.description.Split` says what each holds.

    Attributes:
        file: The file of each row, as its index, int32 (r,).
        line: Its line, counted from 1, int32 (r,).
        row_lengths: How many numbers it has, int32 (r,).
        values: The numbers of all rows, float64; NaN for what is not a finite number.
        valid: Whether all of a row are finite numbers, bool (r,).
        faults: The problems found.
    """

    file: NDArray[np.int32]
    line: NDArray[np.int32]
    row_lengths: NDArray[np.int32]
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    faults: list[LabelFault] = field(default_factory=list)


def parse_labels(contents: Sequence[bytes]) -> Rows:
    """Return the rows of label files.

    Args:
        contents: The bytes of each file.
    """
    return _parse([_normal(content) for content in contents])


def _parse(texts: Sequence[bytes]) -> Rows:
    simple = _parse_together(texts)
    if simple is not None:
        return simple
    if len(texts) == 1:
        return _parse_slowly(texts[0])
    if len(texts) <= 8:
        return join_rows([_parse_together([text]) or _parse_slowly(text) for text in texts], range(len(texts)))
    # Few files are odd, so that halving finds them soon.
    half = len(texts) // 2
    return join_rows([_parse(texts[:half]), _parse(texts[half:])], (0, half))


def _normal(content: bytes) -> bytes:
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in content else content


def join_rows(parts: Sequence[Rows], firsts: Sequence[int]) -> Rows:
    """Return the rows of several parts as one; ``firsts`` has the index of each part's first file."""
    return Rows(
        file=np.concatenate([p.file + np.int32(first) for p, first in zip(parts, firsts, strict=True)]),
        line=np.concatenate([p.line for p in parts]),
        row_lengths=np.concatenate([p.row_lengths for p in parts]),
        values=np.concatenate([p.values for p in parts]),
        valid=np.concatenate([p.valid for p in parts]),
        faults=[f._replace(file=f.file + first) for p, first in zip(parts, firsts, strict=True) for f in p.faults],
    )


def _parse_together(texts: Sequence[bytes]) -> Rows | None:
    """Return the rows of files that hold nothing but plain numbers; None if there is anything else."""
    joined = b"\n".join(texts) + b"\n"
    data = np.frombuffer(joined, np.uint8)
    if not PLAIN[data].all():
        return None
    blank = BLANK[data]
    starts = np.flatnonzero(~blank & np.concatenate(([True], blank[:-1])))
    signs = np.flatnonzero((data == ord("+")) | (data == ord("-")))
    if len(signs) and not (blank[signs - 1] | (signs == 0)).all():
        return None
    # `fromstring` would read a word with two points (1.2.3) as two numbers, and one with a sign inside (1-2) too.
    points = np.searchsorted(starts, np.flatnonzero(data == ord(".")), side="right")
    if len(points) > 1 and (points[1:] == points[:-1]).any():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older releases warn of words that are not numbers
            values = np.fromstring(joined, np.float64, sep=" ") if len(starts) else np.zeros(0)
    except (DeprecationWarning, ValueError):
        return None
    if len(values) != len(starts) or not np.isfinite(values).all():
        return None
    # From here on all is counting: the line of a word is the number of line breaks before it, and a file's first line
    # the number of line breaks before its first byte. So no word is looked at by itself.
    breaks = np.flatnonzero(data == ord("\n"))
    line_of_word = np.searchsorted(breaks, starts)
    counts = np.bincount(line_of_word, minlength=len(breaks))
    lines = np.flatnonzero(counts)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    ends = np.cumsum(lengths)  # the place behind each file's own line break
    first_line = np.searchsorted(breaks, ends - lengths)
    owner = np.searchsorted(first_line, lines, side="right") - 1
    return Rows(
        file=owner.astype(np.int32),
        line=(lines - first_line[owner] + 1).astype(np.int32),
        row_lengths=counts[lines].astype(np.int32),
        values=values,
        valid=np.ones(len(lines), bool),
    )


def _parse_slowly(text: bytes) -> Rows:
    decoded, fault = _decode(text)
    lines: list[int] = []
    counts: list[int] = []
    values: list[float] = []
    valid: list[bool] = []
    faults = [fault] if fault else []
    for number, line in enumerate(decoded.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        found = [_number(word) for word in words]
        odd = sum(value != value for value in found)
        if odd:
            column = next(i for i, value in enumerate(found) if value != value)
            faults.append(_describe(number, column, words[column], odd, len(words)))
        lines.append(number)
        counts.append(len(words))
        values += found
        valid.append(not odd)
    return Rows(
        file=np.zeros(len(lines), np.int32),
        line=np.array(lines, np.int32),
        row_lengths=np.array(counts, np.int32),
        values=np.array(values, np.float64),
        valid=np.array(valid, bool),
        faults=faults,
    )


def _decode(text: bytes) -> tuple[str, LabelFault | None]:
    """Return a label file as text, empty if it is not UTF-8, with the problem."""
    if text and not text.strip(b"\0"):
        what = f"the label file contains only zero bytes ({len(text)}), as after a crash."
        return "", LabelFault(0, 0, "label-encoding", what, "restore it from a backup, or label the image again")
    wide = text.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(text) > 3 and text[1::2].count(0) * 2 > len(text) // 2)
    if wide:
        return "", LabelFault(0, 0, "label-encoding", "the label file is UTF-16 text.", "save it as UTF-8")
    if b"\0" in text:
        what = "the label file is binary data, not text."
        return "", LabelFault(0, 0, "label-encoding", what, "write a row of numbers for each object")
    try:
        return text.decode(), None
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return "", LabelFault(0, line, "label-encoding", "the label file is not UTF-8 text.", "save it as UTF-8")


def _number(word: str) -> float:
    if not NUMBER.fullmatch(word):
        return float("nan")
    value = float(word)
    return value if abs(value) != float("inf") else float("nan")


def _describe(line: int, column: int, word: str, odd: int, words: int) -> LabelFault:
    """Return the problem of the first of the ``odd`` ones among the words of a line."""
    shown = repr(word if len(word) <= SHOWN else f"{word[:SHOWN]}...")
    more = f", and {odd - 1} more in this line" if odd > 1 else ""
    if word.lstrip("+-").lower() in NOT_FINITE or NUMBER.fullmatch(word):
        what = f"{shown} in column {column + 1} is not a finite number{more}."
        return LabelFault(0, line, "label-not-finite", what, "write the number, or remove the line")
    fix = _fix(word, column, header=line == 1 and odd == words)
    return LabelFault(0, line, "label-number", f"{shown} in column {column + 1} is not a number{more}.", fix)


def _fix(word: str, column: int, header: bool) -> str:
    """Return what to do about a word that is not a number; a ``header`` is a first line without any."""
    if word.startswith(("{", "[", "<")):
        return "the file looks like JSON or XML; write one row of numbers for each object"
    if "," in word:
        point = word.count(",") == 1 and NUMBER.fullmatch(word.replace(",", "."))
        return "write a decimal point instead of the comma" if point else "separate the numbers by spaces, not commas"
    if word.startswith("#"):
        return "remove the comment; label files cannot have any"
    if header:
        return "remove the line; a label file has only rows of numbers"
    if column == 0:
        return "write the class as its number; 0 is the first of names"
    return "write numbers separated by spaces"

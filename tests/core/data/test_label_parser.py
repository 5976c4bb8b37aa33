"""The parser of label files against a simple reference: line by line, word by word, Python's own ``float``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainer_host.data.label_files import Rows, parse_labels

BOM = "\ufeff"


@dataclass
class Reference:
    """The rows of a file, and for each line with something that is no finite number which words those are."""

    lines: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    faults: list[tuple[int, str, int, int]] = field(default_factory=list)


def reference(content: bytes) -> Reference:
    """Read a file of UTF-8 text as the engine splits it, with numbers as label files write them."""
    found = Reference()
    text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        values = [as_number(word) for word in words]
        odd = [i for i, value in enumerate(values) if not isinstance(value, float)]
        found.lines.append(number)
        found.columns.append(len(words))
        found.values += [value if isinstance(value, float) else math.nan for value in values]
        found.valid.append(not odd)
        if odd:
            found.faults.append((number, str(values[odd[0]]), odd[0] + 1, len(odd)))
    return found


def as_number(word: str) -> float | str:
    """Return a word's value, or the code of what is wrong with it."""
    if not word.isascii() or "_" in word:
        return "label-number"
    try:
        value = float(word)
    except ValueError:
        return "label-number"
    return value if math.isfinite(value) else "label-not-finite"


def agrees(contents: Sequence[bytes], rows: Rows) -> None:
    """Assert that the parser found in each file what the reference finds."""
    expected = [reference(content) for content in contents]
    assert rows.file.tolist() == [i for i, one in enumerate(expected) for _ in one.lines]
    assert rows.line.tolist() == [n for one in expected for n in one.lines]
    assert rows.row_lengths.tolist() == [n for one in expected for n in one.columns]
    assert rows.valid.tolist() == [s for one in expected for s in one.valid]
    values = np.array([v for one in expected for v in one.values], np.float64)
    nan = np.isnan(values)
    assert np.isnan(rows.values).tolist() == nan.tolist()
    assert rows.values[~nan].tobytes() == values[~nan].tobytes()  # bit for bit: -0.0 is not 0.0
    reported = sorted((f.file, f.line, f.code) for f in rows.faults)
    assert reported == sorted((i, line, code) for i, one in enumerate(expected) for line, code, _, _ in one.faults)
    by_place = {(f.file, f.line): f.message for f in rows.faults}
    for i, one in enumerate(expected):
        for line, _, column, count in one.faults:
            message = by_place[i, line]
            assert f" in column {column} " in message
            assert (f"and {count - 1} more" in message) == (count > 1)


def types_are_right(rows: Rows) -> None:
    assert (rows.file.dtype, rows.line.dtype, rows.row_lengths.dtype) == (np.int32, np.int32, np.int32)
    assert (rows.values.dtype, rows.valid.dtype) == (np.float64, np.bool_)


DIGITS = st.text("0123456789", min_size=1, max_size=25)
PLAIN = st.builds(
    lambda sign, whole, point, part: f"{sign}{whole}{point}{part if point else ''}",
    st.sampled_from(["", "", "", "+", "-"]),
    DIGITS,
    st.sampled_from(["", ".", "."]),
    st.text("0123456789", max_size=25),
)
SHARE = st.floats(0, 1).map(lambda v: f"{v:.6f}")
FORMS = (repr, "{:.17g}".format, "{:e}".format, "{:+.3E}".format, lambda v: repr(v).lstrip("0"))
FINITE = st.builds(lambda form, v: form(v), st.sampled_from(FORMS), st.floats(allow_nan=False, allow_infinity=False))
WORDS = """nan NaN -inf +Infinity 1e999 -1e999 0,5 mouse # 1.2.3 1..2 1-2 1+2 --5 +-5 + - . -. 1e e5 1e+ 0x10 1_0 1j
0.5f 5% "5" [0.5,"""
SIGNS = "\N{MINUS SIGN}0.5", "\N{ARABIC-INDIC DIGIT THREE}", "\N{FULLWIDTH DIGIT FIVE}", "\N{VULGAR FRACTION ONE HALF}"
JUNK = st.sampled_from([*WORDS.split(), *SIGNS])
BLANKS = st.sampled_from([" ", " ", " ", "\t", "  ", " \t "])
BREAKS = st.sampled_from(["\n", "\n", "\r\n", "\n\n", " \n", "\n \t\n"])
ODD_BLANKS = BLANKS | st.sampled_from(["\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}", "\x1f"])
ODD_BREAKS = BREAKS | st.sampled_from(["\r", "\r\r\n", "\n\r", "\x0b", "\x0c", "\x1d", "\x85", "\N{LINE SEPARATOR}"])


@st.composite
def texts(
    draw: st.DrawFn, word: st.SearchStrategy[str], blank: st.SearchStrategy[str], end: st.SearchStrategy[str]
) -> bytes:
    """Return the bytes of a label file."""
    lines = draw(st.lists(st.lists(word, max_size=8), max_size=6))
    text = "".join(draw(blank).join(words) + draw(end) for words in lines)
    text = draw(st.sampled_from(["", "", BOM, "\n", " "])) + text
    return (text.rstrip("\r\n") if draw(st.booleans()) else text).encode()


SIMPLE = texts(PLAIN | SHARE, BLANKS, BREAKS)
ODD = texts(PLAIN | SHARE | FINITE | JUNK, ODD_BLANKS, ODD_BREAKS)


@given(st.lists(SIMPLE, max_size=12))
@settings(max_examples=300)
def test_files_of_plain_numbers(contents: list[bytes]) -> None:
    rows = parse_labels(contents)
    agrees(contents, rows)
    types_are_right(rows)
    assert rows.faults == []


@given(ODD)
@settings(max_examples=500)
@example(b"1 2\r\r\n3")
@example(b"- 5")
@example(b"0.5 .")
@example(b"1 2 3-4")
@example(b"")
def test_one_odd_file(content: bytes) -> None:
    rows = parse_labels([content])
    agrees([content], rows)
    types_are_right(rows)


@given(st.lists(SIMPLE | ODD, max_size=30))
@settings(max_examples=200)
@example([(BOM + BOM + "1 2").encode(), *[b"1"] * 20])
@example([b"1\r\r\n2", *[b"1"] * 20, b"x"])
def test_odd_files_among_others(contents: list[bytes]) -> None:
    agrees(contents, parse_labels(contents))


@given(st.lists(SIMPLE | st.binary(max_size=40), min_size=1, max_size=20))
@settings(max_examples=300)
def test_any_bytes(contents: list[bytes]) -> None:
    rows = parse_labels(contents)
    for i, content in enumerate(contents):
        reported = [f for f in rows.faults if f.file == i]
        if is_text(content):
            assert "label-encoding" not in {f.code for f in reported}
        else:
            assert [f.code for f in reported] == ["label-encoding"]
            assert i not in rows.file
    agrees([c if is_text(c) else b"" for c in contents], rows_of_text(contents, rows))


def is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def rows_of_text(contents: Sequence[bytes], rows: Rows) -> Rows:
    faults = [f for f in rows.faults if is_text(contents[f.file])]
    return Rows(rows.file, rows.line, rows.row_lengths, rows.values, rows.valid, faults)


@given(st.lists(st.lists(SHARE, min_size=1, max_size=5), max_size=5))
def test_wide_text_is_reported(lines: list[list[str]]) -> None:
    text = "\n".join(" ".join(words) for words in lines) + "\n"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        rows = parse_labels([b"0 0.5\n", text.encode(encoding)])
        assert [(f.file, f.code) for f in rows.faults] == [(1, "label-encoding")]
        assert rows.file.tolist() == [0]


def test_the_line_of_bytes_that_are_no_text() -> None:
    [fault] = parse_labels([b"0 0.5\n0 0.5\n\xe9 0.5\n"]).faults
    assert (fault.line, fault.code) == (3, "label-encoding")


def test_many_files_are_parsed_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    contents = [
        "\n".join(" ".join(f"{v:.6f}" for v in row) for row in rng.random((rng.integers(0, 4), 17))).encode()
        for _ in range(2000)
    ]
    contents[777] += b"\n0 oops\n"
    agrees(contents, parse_labels(contents))

"""Text of others for people and programs: what could steer a terminal, or hide, is shown instead of sent."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_UNSAFE = (
    "\x00-\x1f\x7f-\x9f"  # control characters: colours, titles, the clipboard, moving the cursor
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"  # invisible, and marks of direction
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"  # separators, and overrides of direction
    "\ud800-\udfff"  # halves of characters: a file name that is not UTF-8
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff"
)
_ONE_LINE = re.compile(f"[{_UNSAFE}]")
_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters of a cell that a spreadsheet takes for a formula; the last four are the full-width forms."""


def escaped(text: object) -> str:
    r"""Return a text in one line without characters that steer a terminal or are invisible: ``\x1b`` for ESC.

    A backslash stays one, so that a text that is escaped already does not change.
    """
    return _ONE_LINE.sub(_shown, str(text))


def escaped_lines(text: object) -> str:
    """Return a text as `escaped` does, with its line breaks and tabs."""
    return _LINES.sub(_shown, str(text))


def is_plain(text: str) -> bool:
    """Return whether a text of one or more lines has nothing to escape."""
    return _LINES.search(text) is None


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")


def json_text(data: Any, indent: int | None = None) -> str:
    """Return data as JSON that means the same and has none of these characters in it; letters stay letters.

    A number that is not finite is null.
    """
    text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, default=str, indent=indent)
    return _LINES.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv_cell(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula: a text that looks like one has an apostrophe before it.

    Numbers stay as they are, also as text. A half of a character, which no file can hold, is escaped.
    """
    if not isinstance(value, str):
        return value
    value = value.encode("utf-8", "backslashreplace").decode()
    return f"'{value}" if value.startswith(_FORMULA) and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()

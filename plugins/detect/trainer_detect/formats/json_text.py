"""JSON files of labels: read within limits, with the line of each entry of their lists."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer_host.data import gc_paused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

MOST_BYTES = 1 << 30
"""Bytes of a file beyond which it is not read; the largest files of COCO itself have half of it."""
EMPTY, AGAIN = "the file is empty.", "replace the file, or export the labels again"
BLANK = re.compile(r"[ \t\n\r]*")
Entries = list[tuple[int, Any]]
"""The entries of a list, each with the line where it begins, counted from 1."""


class Unreadable(NamedTuple):
    """The reason why a file cannot be read: ``unreadable``, ``too-large``, ``encoding`` or ``syntax``."""

    reason: str
    message: str
    fix: str
    line: int | None = None


class _Scanner:
    """Walks the outermost value of a JSON text, so that the entries of its lists have lines."""

    def __init__(self, text: str, lists: Collection[str], hook: Callable[[dict[str, Any]], Any] | None) -> None:
        self.text = text
        self.lists = lists
        self.decoder = json.JSONDecoder(object_hook=hook)
        self.place, self.line, self.counted = 0, 1, 0

    def skip(self) -> str:
        """Go to the next character that is not blank and return it; the empty text at the end."""
        found = BLANK.match(self.text, self.place)
        self.place = found.end() if found else self.place
        return self.text[self.place : self.place + 1]

    def expect(self, *characters: str) -> str:
        found = self.skip()
        if found not in characters or not found:
            raise json.JSONDecodeError(f"Expecting {' or '.join(map(repr, characters))}", self.text, self.place)
        self.place += 1
        return found

    def value(self) -> Any:
        self.skip()
        value, self.place = self.decoder.raw_decode(self.text, self.place)
        return value

    def line_here(self) -> int:
        self.line += self.text.count("\n", self.counted, self.place)
        self.counted = self.place
        return self.line

    def entries(self) -> Entries:
        """Return the entries of a list with their lines."""
        self.expect("[")
        found: Entries = []
        if self.skip() == "]":
            self.place += 1
            return found
        while True:
            self.skip()
            line = self.line_here()
            found.append((line, self.value()))
            if self.expect(",", "]") == "]":
                return found

    def mapping(self) -> dict[str, Any]:
        """Return the outermost object, whose named lists become entries with lines."""
        content: dict[str, Any] = {}
        self.expect("{")
        closing = self.skip() == "}"
        self.place += closing
        while not closing:
            if self.skip() != '"':
                self.expect('"')
            key = self.value()
            self.expect(":")
            content[key] = self.entries() if key in self.lists and self.skip() == "[" else self.value()
            closing = self.expect(",", "}") == "}"
        return content

    def document(self) -> Any:
        first = self.skip()
        content = self.entries() if first == "[" else self.value() if first not in {"{", ""} else self.mapping()
        if self.skip():
            raise json.JSONDecodeError("Extra data", self.text, self.place)
        return content


def refused(path: Path) -> Unreadable | None:
    """Return why a file is not read for its size or for what it is, if it is not.

    Raises:
        OSError: If it does not exist, or is not accessible.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        what = f"the file has {size >> 20} MiB; at most {MOST_BYTES >> 20} are read."
        return Unreadable("too-large", what, "split it into several files")
    if not path.is_file():
        return Unreadable("unreadable", "not a file, but a folder or a device.", "give a file")
    return None if size else Unreadable("syntax", EMPTY, AGAIN, 1)


def read_text(path: Path, noun: str) -> str | Unreadable:
    """Return the text of a file of labels, or why it cannot be read.

    Args:
        path: The file.
        noun: Its kind in messages, such as "COCO file".
    """
    try:
        if why := refused(path):
            return why
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return Unreadable("unreadable", "file not found.", f"give the path of a {noun}")
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}."
        return Unreadable("unreadable", what, "check the path and its permissions")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Unreadable("encoding", "the file is not UTF-8 text.", "save it as UTF-8", line)


def read_json(
    path: Path, noun: str, lists: Collection[str] = (), hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Return the document of a JSON file, or `Unreadable`. Nothing raises.

    Args:
        path: The file.
        noun: Its kind in messages.
        lists: Keys of the outermost object whose lists become `Entries`, as an outermost list does.
        hook: Called with each object below the outermost, and returns what to take in its place.
    """
    text = read_text(path, noun)
    if isinstance(text, Unreadable):
        return text
    scanner = _Scanner(text, lists, hook)
    try:
        with gc_paused():  # which would look at all objects again and again, for half of the time
            return scanner.document()
    except json.JSONDecodeError as error:
        if not text.strip():
            return Unreadable("syntax", EMPTY, AGAIN, 1)
        what = f"JSON syntax: {error.msg[:1].lower()}{error.msg[1:]}, in column {error.colno}."
        return Unreadable("syntax", what, "correct or replace the file", error.lineno)
    except (ValueError, RecursionError):  # such as a number of thousands of digits
        return Unreadable("syntax", "JSON that cannot be read.", "correct or replace the file", scanner.line_here())

"""XML files of labels: read as a stream, within limits, with the line of each element, and without a document type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from trainer_detect.formats.json_text import Unreadable, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK = 1 << 20
MOST_DEPTH = 50
MOST_TEXT = 16 << 20
"""Characters of text that one part of the document may have."""


@dataclass(slots=True)
class Element:
    """An element of a document, with its line."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        """Yield the elements of a tag at any depth."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.all(tag)

    def said(self, tag: str) -> str:
        """Return the text of the first child of a tag; empty if there is none."""
        return next((c.text.strip() for c in self.children if c.tag == tag), "")


class _RefusedError(Exception):
    pass


class _Builder:
    """Builds the children of the root, one after the other, from the events of the parser."""

    def __init__(self, take: Callable[[Element], None]) -> None:
        self.take = take
        self.stack: list[Element] = []
        self.texts: list[str] = []
        self.characters = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.begin, self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.parser.EntityDeclHandler = self.refuse

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.stack) > MOST_DEPTH:
            raise _RefusedError("the elements are nested too deeply")
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        if len(self.stack) > 1:
            self.stack[-1].children.append(element)
        self.stack.append(element)
        self.forget()

    def end(self, _: str) -> None:
        element = self.stack.pop()
        element.text = "".join(self.texts)
        self.forget()
        if len(self.stack) == 1:
            self.take(element)

    def text(self, text: str) -> None:
        self.characters += len(text)
        if self.characters > MOST_TEXT:
            raise _RefusedError("a text is too long")
        self.texts.append(text)

    def forget(self) -> None:
        self.texts.clear()
        self.characters = 0

    def refuse(self, *_: object) -> None:
        raise _RefusedError("a document type is refused, because it can define entities")

    def read(self, path: Path) -> None:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self.parser.Parse(chunk, False)
            self.parser.Parse(b"", True)


def read_xml(path: Path, noun: str, take: Callable[[Element], None]) -> Unreadable | None:
    """Read a document, part by part: its root's children, each forgotten once it was taken. Nothing raises.

    A document type is refused: its entities could stand for billions of characters, or for files.

    Args:
        path: The file.
        noun: Its kind in messages.
        take: Called with each child of the root once it is complete.

    Returns:
        Why the file cannot be read, or could not be read to its end.
    """
    builder = _Builder(take)
    try:
        if why := refused(path):
            return why
        builder.read(path)
    except FileNotFoundError:
        return Unreadable("unreadable", "file not found.", f"give the path of a {noun}")
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}."
        return Unreadable("unreadable", what, "check the path and its permissions")
    except expat.ExpatError as error:
        what = f"XML syntax: {expat.ErrorString(error.code)}, in column {error.offset + 1}."
        return Unreadable("syntax", what, "replace the file, or export the labels again", error.lineno)
    except (_RefusedError, ValueError, LookupError) as error:  # such as an encoding that is unknown
        what = f"XML that is not read: {error}."
        return Unreadable("syntax", what, "export the labels again", builder.parser.CurrentLineNumber)
    return None

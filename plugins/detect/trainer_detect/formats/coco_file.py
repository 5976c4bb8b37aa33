"""One COCO file: its images, categories and annotations, each with its line, and what is wrong with them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer_host.base.collection import paused_collection
from trainer_host.base.findings import Finding

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 1 << 30
"""Bytes of a file beyond which it is not read; the largest files of COCO itself have half of it."""
LISTS = ("images", "annotations", "categories")
BLANK = re.compile(r"[ \t\n\r]*")
IDS = (int, float, str)
NUMBERS = frozenset({int, float})


class Item(NamedTuple):
    """An entry of a list and the line where it begins, counted from 1."""

    line: int
    content: dict[str, Any]


@dataclass
class CocoFile:
    """What a COCO file says.

    Attributes:
        path: The file.
        images: Image entries by id.
        categories: Category entries by id, in order of their ids.
        annotations: The annotations whose image, category and box can be used.
        findings: What is wrong with the file.
    """

    path: Path
    images: dict[Any, Item] = field(default_factory=dict)
    categories: dict[Any, Item] = field(default_factory=dict)
    annotations: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, fix: str, line: int | None = None) -> None:
        """Note an error that no image can be blamed for."""
        self.findings.append(Finding(code, message, fix, str(self.path), line))


class _Scanner:
    """Walks the outermost object of a JSON text, so that the entries of its lists have lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.decoder = json.JSONDecoder(object_hook=_without_masks)
        self.place, self.line, self.counted = 0, 1, 0

    def skip(self) -> str:
        """Go to the next character that is no blank and return it; the empty text at the end."""
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

    def entries(self) -> list[tuple[int, Any]]:
        """Return the entries of a list with their lines."""
        self.expect("[")
        found: list[tuple[int, Any]] = []
        if self.skip() == "]":
            self.place += 1
            return found
        while True:
            self.skip()
            line = self.line_here()
            found.append((line, self.value()))
            if self.expect(",", "]") == "]":
                return found

    def document(self) -> dict[str, Any]:
        """Return the outermost object; the lists of a COCO file as entries with lines."""
        content: dict[str, Any] = {}
        self.expect("{")
        closing = self.skip() == "}"
        self.place += closing
        while not closing:
            if self.skip() != '"':
                self.expect('"')
            key = self.value()
            self.expect(":")
            content[key] = self.entries() if key in LISTS and self.skip() == "[" else self.value()
            closing = self.expect(",", "}") == "}"
        if self.skip():
            raise json.JSONDecodeError("Extra data", self.text, self.place)
        return content


def _without_masks(content: dict[str, Any]) -> dict[str, Any]:
    content.pop("segmentation", None)  # most of a file's bytes, of which nothing is used
    return content


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file. Nothing raises; what is wrong is among its findings."""
    coco = CocoFile(path)
    document = _parse(coco)
    if document is None:
        return coco
    for key in LISTS:
        if not isinstance(document.get(key), list):
            what = f"the file has no list {key!r}, which a COCO file has."
            coco.add("coco-key", what, "give a COCO file of object instances or persons")
    if coco.findings:
        return coco
    _take_images(coco, document["images"])
    _take_categories(coco, document["categories"])
    _take_annotations(coco, document["annotations"])
    return coco


def _parse(coco: CocoFile) -> dict[str, Any] | None:
    try:
        size = coco.path.stat().st_size
        if size > MOST_BYTES:
            what = f"the file has {size >> 20} MiB; at most {MOST_BYTES >> 20} are read."
            coco.add("coco-too-large", what, "split it into several files")
            return None
        if not coco.path.is_file():
            coco.add("coco-unreadable", "there is a folder or a device of this name.", "give a file")
            return None
        text = coco.path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        coco.add("coco-unreadable", "there is no such file.", "give the path of a COCO file")
        return None
    except OSError as error:
        coco.add("coco-unreadable", f"the file cannot be read: {error.strerror}.", "check the path and its rights")
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        coco.add("coco-encoding", "the file is not UTF-8 text.", "save it as UTF-8", line)
        return None
    scanner = _Scanner(text)
    if text and scanner.skip() not in {"{", ""}:
        coco.add("coco-key", "the file is not a JSON object.", "give a COCO file, with images and annotations", 1)
        return None
    try:
        with paused_collection():  # which would look at all objects again and again, for half of the time
            return scanner.document()
    except json.JSONDecodeError as error:
        what = f"JSON syntax: {error.msg[:1].lower()}{error.msg[1:]}, in column {error.colno}."
        coco.add("coco-syntax", what, "mend or replace the file", error.lineno)
    except (ValueError, RecursionError):  # such as a number of thousands of digits
        coco.add("coco-syntax", "JSON that cannot be read.", "mend or replace the file", scanner.line_here())
    return None


def _entries(coco: CocoFile, key: str, entries: list[tuple[int, Any]]) -> list[Item]:
    """Return the entries of a list that are objects, with an id that no other has."""
    items: dict[Any, Item] = {}
    for place, (line, content) in enumerate(entries):
        number = content.get("id") if isinstance(content, dict) else None
        if not isinstance(content, dict):
            what = f"entry {place + 1} of {key} is not an object."
            coco.add("coco-entry", what, "write an object with an id", line)
        elif not isinstance(number, IDS) and not (number is None and key == "annotations"):
            what = f"entry {place + 1} of {key} has no id."
            coco.add("coco-entry", what, "give it an id of its own", line)
        elif number in items:
            what = f"two entries of {key} have the id {number!r}, the first in line {items[number].line}."
            coco.add("coco-duplicate-id", what, "give each an id of its own, or remove one", line)
        else:
            items[("none", place) if number is None else number] = Item(line, content)
    return list(items.values())


def _take_images(coco: CocoFile, entries: list[tuple[int, Any]]) -> None:
    if not entries:
        coco.add("split-empty", "the file lists no images.", "list the images, also those without an annotation")
    names: dict[str, Item] = {}
    for item in _entries(coco, "images", entries):
        number, name = item.content["id"], item.content.get("file_name")
        if not isinstance(name, str) or not name or "\0" in name:
            what = f"the image {number!r} has no file_name."
            coco.add("coco-entry", what, "write the file's name, relative to the folder of images", item.line)
        elif name in names:
            what = f"the image {name} is listed twice, with the ids {names[name].content['id']!r} and {number!r}."
            coco.add("coco-duplicate-image", what, "join their annotations under one id", item.line)
        else:
            names[name] = item
            coco.images[number] = item


def _take_categories(coco: CocoFile, entries: list[tuple[int, Any]]) -> None:
    items = _entries(coco, "categories", entries)
    for item in sorted(items, key=lambda i: (isinstance(i.content["id"], str), i.content["id"])):
        name = item.content.get("name")
        points = item.content.get("keypoints")
        if not isinstance(name, str) or not name:
            what = f"the category {item.content['id']!r} has no name."
            coco.add("coco-entry", what, "give it a name", item.line)
        elif points is not None and not (isinstance(points, list) and all(isinstance(p, str) for p in points)):
            what = f"the keypoints of category {name!r} are not a list of names."
            coco.add("coco-keypoint-names", what, "write keypoints as a list of names", item.line)
        else:
            coco.categories[item.content["id"]] = item
    if not entries:
        coco.add("names-empty", "the file lists no categories.", "list the categories, at least one")


def _take_annotations(coco: CocoFile, entries: list[tuple[int, Any]]) -> None:
    for item in _entries(coco, "annotations", entries):
        content = item.content
        who = f"annotation {content.get('id')!r}"
        image, category = content.get("image_id"), content.get("category_id")
        if not isinstance(image, IDS) or image not in coco.images:
            what = f"{who} is of image {image!r}, which the file does not list."
            coco.add("coco-unknown-image", what, "list the image, or remove the annotation", item.line)
        elif not isinstance(category, IDS) or category not in coco.categories:
            what = f"{who} is of category {category!r}, which the file does not list."
            coco.add("coco-unknown-category", what, "list the category, or remove the annotation", item.line)
        else:
            coco.annotations.append(item)


def fault_of(item: Item, points: int) -> tuple[str, str, str] | None:
    """Return code, message and fix of what is wrong with an annotation's numbers, or None.

    Args:
        item: The annotation.
        points: How many keypoints its category has.
    """
    content = item.content
    who = f"annotation {content.get('id')!r}"
    box = content.get("bbox")
    if box is None:
        return "coco-bbox", f"{who} has no bbox.", "write bbox: [left, top, width, height] in pixels"
    if not _numbers(box) or len(box) != 4:
        what = f"the bbox of {who} is {str(box)[:60]}, not four numbers."
        return "coco-bbox", what, "write bbox: [left, top, width, height] in pixels"
    found = content.get("keypoints")
    if not points or found is None:
        return None
    if not _numbers(found):
        what = f"the keypoints of {who} are not a list of numbers."
        return "coco-keypoints", what, "write x, y and visibility of each"
    if len(found) != points * 3:
        what = f"{who} has {len(found)} numbers as keypoints; its category needs {points * 3}."
        return "coco-keypoints", what, f"write x, y and visibility of {points} keypoints"
    return None


def _numbers(values: Any) -> bool:
    """Tell whether values are a list of finite numbers."""
    if not isinstance(values, list) or not NUMBERS.issuperset(map(type, values)):
        return False
    try:
        return all(map(math.isfinite, values))
    except OverflowError:  # an integer of hundreds of digits
        return False


def told_keys(path: Path) -> list[str]:
    """Return the keys that a description of a COCO file will have, without reading all of it as JSON."""
    keys = ["names", "nc", "channels"]
    try:
        small = path.is_file() and path.stat().st_size <= MOST_BYTES
        text = path.read_bytes().decode("utf-8-sig") if small else ""
    except (OSError, UnicodeDecodeError):
        return keys
    for found in re.finditer(r'"categories"\s*:\s*(?=\[)', text):
        try:
            categories, _ = json.JSONDecoder().raw_decode(text, found.end())
        except (ValueError, RecursionError):
            continue
        if any(isinstance(c, dict) and c.get("keypoints") for c in categories):
            return [*keys, "kpt_shape"]
    return keys

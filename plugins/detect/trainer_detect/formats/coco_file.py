"""One COCO file: its images, categories and annotations, each with its line, and their problems."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer_detect.formats.json_text import MOST_BYTES, Unreadable, read_json
from trainer_detect.formats.kinds import COCO, Kind
from trainer_host import Finding

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_detect.formats.kinds import Codes

LISTS = ("images", "annotations", "categories")
IDS = (int, float, str)
NUMBERS = frozenset({int, float})


class Item(NamedTuple):
    """An entry of a list and the line where it begins, counted from 1."""

    line: int
    content: dict[str, Any]


@dataclass
class CocoFile:
    """A label file in the form of COCO.

    Attributes:
        path: The file.
        kind: Its kind.
        images: Image entries by id.
        categories: Category entries by id, in order of their ids.
        annotations: The annotations whose image, category and box can be used.
        findings: The problems of the file.
    """

    path: Path
    kind: Kind = COCO
    images: dict[Any, Item] = field(default_factory=dict)
    categories: dict[Any, Item] = field(default_factory=dict)
    annotations: list[Item] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, fix: str, line: int | None = None) -> None:
        """Note an error that no image can be blamed for."""
        self.findings.append(Finding(code, message, fix, str(self.path), line))


def _without_masks(content: dict[str, Any]) -> dict[str, Any]:
    content.pop("segmentation", None)  # most of a file's bytes, of which nothing is used
    return content


def read_coco(path: Path) -> CocoFile:
    """Read a COCO file. Nothing raises; problems are among its findings."""
    coco = CocoFile(path)
    document = _parse(coco)
    if document is None:
        return coco
    for key in LISTS:
        if not isinstance(document.get(key), list):
            what = f"the COCO file has no list {key!r}."
            coco.add("coco-key", what, "give a COCO file of object instances or persons")
    if coco.findings:
        return coco
    _take_images(coco, document["images"])
    _take_categories(coco, document["categories"])
    _take_annotations(coco, document["annotations"])
    return coco


def _parse(coco: CocoFile) -> dict[str, Any] | None:
    document = read_json(coco.path, coco.kind.noun, LISTS, _without_masks)
    if isinstance(document, Unreadable):
        coco.add(coco.kind.codes.of(document.reason), document.message, document.fix, document.line)
        return None
    if not isinstance(document, dict):
        coco.add("coco-key", "the file is not a JSON object.", "give a COCO file, with images and annotations", 1)
        return None
    return document


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
            coco.add("coco-entry", what, "give it a unique id", line)
        elif number in items:
            what = f"two entries of {key} have the id {number!r}, the first in line {items[number].line}."
            coco.add("coco-duplicate-id", what, "give each a unique id, or remove one", line)
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


def fault_of(item: Item, points: int, codes: Codes) -> tuple[str, str, str] | None:
    """Return code, message and fix of the problem with an annotation's numbers, or None.

    Args:
        item: The annotation.
        points: How many keypoints its category has.
        codes: The codes of its file's kind.
    """
    content = item.content
    who = f"annotation {content.get('id')!r}"
    box: Any = content.get("bbox")
    fix = "write bbox: [left, top, width, height] in pixels"
    if points and (fault := _keypoints_fault(content.get("keypoints"), points, who)):
        return codes.keypoints, *fault
    if (_numbers(box) and len(box) == 4) or derives_box(content):
        return None
    if box is None:
        return codes.bbox, f"{who} has no bbox.", fix
    return codes.bbox, f"the bbox of {who} is {str(box)[:60]}, not four numbers.", fix


def _keypoints_fault(found: Any, points: int, who: str) -> tuple[str, str] | None:
    if found is None or found == []:
        return None
    if not _numbers(found):
        return f"the keypoints of {who} are not a list of numbers.", "write x, y and visibility of each"
    if len(found) != points * 3:
        what = f"{who} has {len(found)} numbers as keypoints; its category needs {points * 3}."
        return what, f"write x, y and visibility of {points} keypoints"
    return None


def lacks_box(content: dict[str, Any]) -> bool:
    """Return whether an annotation has no box, or one without area, as tools of keypoints write it."""
    box = content.get("bbox")
    if box in (None, [], [None] * 4):
        return True
    return _numbers(box) and len(box) == 4 and min(box[2:]) == 0


def labelled_points(content: dict[str, Any]) -> list[tuple[float, float]]:
    """Return x and y of the keypoints of an annotation that are labelled."""
    found: Any = content.get("keypoints")
    if not _numbers(found) or len(found) % 3:
        return []
    return [(x, y) for x, y, v in zip(found[::3], found[1::3], found[2::3], strict=True) if v > 0]


def derives_box(content: dict[str, Any]) -> bool:
    """Return whether the box of an annotation is to be made from its keypoints."""
    return lacks_box(content) and bool(labelled_points(content))


def says_nothing(content: dict[str, Any]) -> bool:
    """Return whether an annotation without a box has no labelled keypoint either, though places for both."""
    places = content.get("keypoints")
    return bool(content.get("bbox") and places and _numbers(places)) and not labelled_points(content)


def _numbers(values: Any) -> bool:
    """Return whether values are a list of finite numbers."""
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

"""Files of labelme, one for each image: rectangles and points, which a group makes one object."""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from typing import TYPE_CHECKING, Any

from trainer_detect.formats.json_text import Unreadable, read_json
from trainer_detect.formats.kinds import LABELME, recognise
from trainer_detect.formats.tool_labels import (
    HIDDEN,
    VISIBLE,
    Labels,
    Mark,
    Picture,
    ShapeFault,
    hull,
    is_number,
    objects_of,
    path_endings,
)
from trainer_detect.formats.tool_reader import ToolFormat
from trainer_host.data import cache_image, counted

if TYPE_CHECKING:
    from pathlib import Path

HOW = "in labelme, give the rectangle and the points of one object the same group id"
FIX = "open the file in labelme, and correct it"
BOXED = {
    "polygon": "polygon",
    "mask": "mask",
    "oriented_rectangle": "oriented rectangle",
    "circle": "circle",
}
SKIPPED = {"line": "line", "linestrip": "line strip", "points": "point set"}
COUNTS = {"point": 1, "rectangle": 2, "mask": 2, "circle": 2}
"""Number of points of a shape, by its type."""
NOT_SEEN = frozenset({"occluded", "hidden", "invisible"})
"""Flags of a point that mean that it is hidden."""


def read_labelme(path: Path) -> Labels:
    """Read the files of labelme in a folder. Nothing raises; problems are among the findings."""
    labels = Labels(path, LABELME)
    others = 0
    home = path if path.is_dir() else path.parent
    for file in LABELME.files_of(path):
        if recognise(file) != LABELME.plugin and file != path:
            others += 1
            continue
        document = read_json(file, LABELME.noun, ("shapes",))
        if isinstance(document, Unreadable):
            labels.unreadable(document, file)
        elif not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
            labels.add(LABELME.codes.key, f"{file.name} has no list 'shapes'.", "give the files of labelme", 1)
        else:
            labels.pictures.append(_picture(labels, file, home, document))
    if others:
        what = f"{counted(others, 'JSON file')} of other kinds among the labels, not read."
        labels.add("annotation-other-files", what, "move them elsewhere", severity="warning")
    return labels


def _picture(labels: Labels, file: Path, home: Path, document: dict[str, Any]) -> Picture:
    given = document.get("imagePath")
    name = given.replace("\\", "/") if isinstance(given, str) and "\0" not in given else ""
    names = [os.path.normpath(file.parent / name), *path_endings(name)] if name else []
    picture = Picture(names, file=file, line=1, key=os.path.relpath(file, home))
    width, height = document.get("imageWidth"), document.get("imageHeight")
    if is_number(width) and is_number(height) and min(width, height) > 0:
        picture.size = float(width), float(height)
    if not names:
        what = "imagePath is missing."
        picture.faults.append(ShapeFault("annotation-entry", what, "write imagePath, relative to the file", 1))
        picture.names = [file.stem]
    elif not os.path.exists(names[0]):  # noqa: PTH110
        embedded = _embedded(document.get("imageData"), path_endings(name)[-1] if path_endings(name) else file.stem)
        picture.names = [*names, embedded] if embedded else names
    marks = []
    for number, (line, shape) in enumerate(document["shapes"], 1):
        mark = _mark(labels, picture, shape, line, f"shape {number}")
        marks += [mark] if mark else []
    picture.objects, faults = objects_of(marks, HOW)
    picture.faults += faults
    return picture


def _embedded(data: Any, name: str) -> str | None:
    """Return where the image is put that a file carries, if it carries one."""
    if not isinstance(data, str) or not data:
        return None
    try:
        return cache_image(base64.b64decode(data, validate=True), name)
    except (binascii.Error, ValueError):
        return None


def _mark(labels: Labels, picture: Picture, shape: Any, line: int, who: str) -> Mark | None:
    """Return a shape as a box or a point; problems of it are noted."""
    kind = shape.get("shape_type") or "polygon" if isinstance(shape, dict) else None
    if not isinstance(shape, dict) or not isinstance(kind, str):
        picture.faults.append(ShapeFault("annotation-entry", f"{who} is not a shape.", FIX, line))
        return None
    if kind in SKIPPED or (kind not in BOXED and kind not in COUNTS):
        labels.skipped[SKIPPED.get(kind, "other shape")] += 1
        return None
    label, group, points = shape.get("label"), shape.get("group_id"), _points(shape.get("points"))
    wrong = ""
    if not isinstance(label, str) or not label:
        wrong = "has no label"
    elif not points or len(points) != COUNTS.get(kind, len(points)):
        wrong = f"is a {kind} with points {str(shape.get('points'))[:40]}"
    elif not isinstance(group, (int, str, type(None))):
        wrong = f"has {str(group)[:40]} as group_id"
    if wrong or not isinstance(label, str) or not points:
        picture.faults.append(ShapeFault("annotation-entry", f"{who} {wrong}.", FIX, line))
        return None
    if kind == "point":
        flags = shape.get("flags")
        hidden = isinstance(flags, dict) and any(v is True and k.lower() in NOT_SEEN for k, v in flags.items())
        return Mark(label, None, (*points[0], HIDDEN if hidden else VISIBLE), group, line, who)
    if kind in BOXED:
        labels.boxed[BOXED[kind]] += 1
    if kind == "circle":  # its centre, and a point on it
        (x, y), radius = points[0], math.dist(*points)
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    return Mark(label, hull(points), None, group, line, who)


def _points(given: Any) -> list[tuple[float, float]] | None:
    """Return the points of a shape; None if they are not pairs of numbers."""
    if not isinstance(given, list) or not all(isinstance(p, list) and len(p) == 2 for p in given):
        return None
    if not all(is_number(v) for p in given for v in p):
        return None
    return [(float(x), float(y)) for x, y in given]


FORMAT = ToolFormat(LABELME, read_labelme, re.compile(rb'"shape_type"\s*:\s*"point"'))

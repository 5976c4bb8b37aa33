"""One file of Label Studio, JSON or JSON-MIN: rectangles and keypoints of tasks, in percent of their images."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from trainer_detect.formats.json_text import Unreadable, read_json
from trainer_detect.formats.kinds import LABEL_STUDIO
from trainer_detect.formats.tool_labels import (
    HIDDEN,
    OBJECT,
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
from trainer_host.data import IMAGE_SUFFIXES, counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainer_detect.formats.tool_labels import Box

HOW = "in Label Studio, drag the keypoints into the rectangle of their object, in the list of regions"
AGAIN = "export the labels again as JSON"
PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""The prefix of the names of uploaded files."""
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
MOST_PERCENT = 1e6
SHAPES = ("rectangle", "keypoint", "polygon", "ellipse", "brush")
IGNORED = frozenset({"relation", "choices", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise"})
"""Results about an image or about other regions, which are not regions themselves."""


@dataclass
class _Task:
    """A task with the annotation that is used: its regions, and which belong together."""

    line: int
    number: Any
    data: dict[str, Any]
    regions: list[dict[str, Any]] = field(default_factory=list)
    relations: list[tuple[Any, Any]] = field(default_factory=list)
    image_key: str = ""


def read_label_studio(path: Path) -> Labels:
    """Read a file of Label Studio. Nothing raises; problems are among its findings."""
    labels = Labels(path, LABEL_STUDIO)
    labels.remedy = "give the folder that has the images of the tasks: images=DIR"
    document = read_json(path, LABEL_STUDIO.noun)
    if isinstance(document, Unreadable):
        labels.unreadable(document)
        return labels
    entries = document if isinstance(document, list) else [(1, document)]
    for task in _tasks(labels, entries):
        if names := _image_of(task):
            labels.pictures.append(_picture(labels, task, names))
        else:
            labels.add("annotation-entry", f"task {task.number}: its data names no image.", AGAIN, task.line)
    return labels


# Tasks


def _tasks(labels: Labels, entries: list[tuple[int, Any]]) -> Iterator[_Task]:
    """Yield the tasks that are labelled, each with one annotation."""
    unlabelled = several = 0
    short: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for place, (line, content) in enumerate(entries, 1):
        if not isinstance(content, dict):
            labels.add("annotation-entry", f"entry {place} is not a task.", AGAIN, line)
            continue
        given = content.get("annotations", content.get("completions"))
        if not isinstance(given, list):
            if content.get("annotation_id") is None:
                unlabelled += 1
            else:
                short[str(content.get("id", f"entry {place}"))].append((line, content))
            continue
        done = [a for a in given if isinstance(a, dict) and not a.get("was_cancelled") and not a.get("skipped")]
        done = [a for a in done if isinstance(a.get("result"), list)]
        unlabelled += not done
        several += len(done) > 1
        if done:
            yield _full_task(line, content, max(done, key=_rank))
    for same in short.values():
        several += len(same) > 1
        yield _short_task(*max(same, key=lambda entry: _rank(entry[1])))
    if unlabelled:
        what = f"{counted(unlabelled, 'task')} without an annotation, or skipped; not used."
        fix = "label them, and submit tasks without objects as empty"
        labels.add("annotation-unlabelled", what, fix, severity="warning")
    if several:
        what = f"{counted(several, 'task')} with several annotations; of each the last is used, or the ground truth."
        labels.add("annotation-several", what, "mark one of them as the ground truth", severity="warning")


def _rank(annotation: dict[str, Any]) -> tuple[bool, str]:
    when = annotation.get("updated_at") or annotation.get("created_at")
    return annotation.get("ground_truth") is True, str(when or "")


def _full_task(line: int, content: dict[str, Any], annotation: dict[str, Any]) -> _Task:
    data = content.get("data")
    task = _Task(line, content.get("id"), data if isinstance(data, dict) else {})
    upload = content.get("file_upload")
    if isinstance(upload, str) and not any(_is_image(v) for v in task.data.values()):
        task.data = {"image": upload}
    for region in annotation["result"]:
        if not isinstance(region, dict):
            continue
        if region.get("type") == "relation":
            task.relations.append((region.get("from_id"), region.get("to_id")))
        elif isinstance(region.get("value"), dict):
            task.regions.append({**region["value"], **{k: v for k, v in region.items() if k != "value"}})
            task.image_key = task.image_key or str(region.get("to_name", ""))
    return task


def _short_task(line: int, content: dict[str, Any]) -> _Task:
    """Return a task of JSON-MIN, whose regions stand next to its data, by the names of their tags."""
    regions = {k: v for k, v in content.items() if isinstance(v, list) and any(map(_is_region, v))}
    task = _Task(line, content.get("id"), {k: v for k, v in content.items() if k not in regions})
    task.regions = [dict(r) for found in regions.values() for r in found if isinstance(r, dict)]
    return task


def _is_region(value: Any) -> bool:
    return isinstance(value, dict) and ("original_width" in value or any(k.endswith("labels") for k in value))


# Images


def _is_image(value: Any) -> bool:
    """Return whether a value looks like the path or the address of an image."""
    if not isinstance(value, str) or len(value) > 10_000:
        return False
    return _path_of(value).rpartition(".")[2].lower() in IMAGE_SUFFIXES


def _path_of(value: str) -> str:
    """Return the path that an address or a path means."""
    try:
        if "/data/local-files/" in value:
            return parse_qs(urlsplit(value).query).get("d", [""])[0]
        if SCHEME.match(value):
            parts = urlsplit(value)
            return unquote(parts.path if parts.scheme.lower() in {"http", "https"} else f"{parts.netloc}{parts.path}")
    except ValueError:  # an address that cannot be one
        return ""
    return value


def _names(value: str) -> list[str]:
    """Return the paths at which the image of a task may be."""
    path = _path_of(value)
    absolute = [path] if path.startswith("/") and not value.startswith("/data/") and "://" not in value else []
    names = []
    for ending in path_endings(path):
        names.append(ending)
        if value.startswith("/data/upload/"):
            names.append(unquote(ending))
    last = names[-1] if names else ""
    return list(dict.fromkeys([*absolute, *names, PREFIX.sub("", last)]))


def _image_of(task: _Task) -> list[str]:
    """Return the paths at which the image of a task may be; none if its data names no image."""
    candidates = [task.data.get(task.image_key), task.data.get("image"), *task.data.values()]
    value = next((v for v in candidates if _is_image(v)), None)
    return _names(value) if value else []


def _picture(labels: Labels, task: _Task, names: list[str]) -> Picture:
    picture = Picture(names, task.line)
    sizes = {(r["original_width"], r["original_height"]) for r in task.regions if _has_size(r)}
    picture.size = next(iter(sizes), None)
    if len(sizes) > 1:
        what = f"task {task.number}: its regions are of images of different sizes."
        picture.faults.append(ShapeFault("annotation-entry", what, "label one image in each task", task.line))
    marks = _marks(labels, task, picture)
    picture.objects, faults = objects_of(marks, HOW)
    picture.faults += faults
    return picture


# Regions


def _has_size(region: dict[str, Any]) -> bool:
    width, height = region.get("original_width"), region.get("original_height")
    return is_number(width) and is_number(height) and min(width, height) > 0


def _marks(labels: Labels, task: _Task, picture: Picture) -> list[Mark]:
    """Return the boxes and points of a task in pixels; problems of its regions are noted."""
    named: dict[Any, str] = {}
    shapes: dict[Any, tuple[str, dict[str, Any]]] = {}
    for place, region in enumerate(task.regions):
        key = _id(region.get("id"), place)
        label, shape = _label(region), _shape(region)
        if label:
            named.setdefault(key, label)
        if shape:
            shapes.setdefault(key, (shape, region))
        elif not label and str(region.get("type", "")).lower() not in IGNORED:
            labels.skipped["other region"] += 1
    ends = [pair for pair in task.relations if all(isinstance(end, (str, int)) for end in pair)]
    related = {b: a for pair in ends for a, b in (pair, pair[::-1]) if _is_box(shapes, a)}
    marks = []
    for key, (shape, region) in shapes.items():
        who = f"task {task.number}, region {region.get('id') or key}"
        label = named.get(key, OBJECT)
        if shape == "brush":
            labels.skipped["brush mask"] += 1
            continue
        fault = _fault(region, shape)
        if fault:
            picture.faults.append(ShapeFault("annotation-entry", f"{who} {fault}.", AGAIN, task.line))
            continue
        if shape == "keypoint":
            owner = next((o for o in (region.get("parentID"), related.get(key)) if _is_box(shapes, o)), None)
            seen = HIDDEN if region.get("hidden") is True else VISIBLE
            x, y = _pixels(region, region["x"], region["y"])
            marks.append(Mark(label, None, (x, y, seen), owner, task.line, who))
        else:
            marks.append(Mark(label, _box(labels, region, shape), None, key, task.line, who))
    return marks


def _id(given: Any, place: int) -> Any:
    return given if isinstance(given, (str, int)) else ("region", place)


def _is_box(shapes: dict[Any, tuple[str, dict[str, Any]]], key: Any) -> bool:
    return isinstance(key, (str, int)) and key in shapes and shapes[key][0] not in {"keypoint", "brush"}


def _label(region: dict[str, Any]) -> str:
    found = next((v for k, v in region.items() if k.endswith("labels") and isinstance(v, list) and v), [""])
    return found[0] if isinstance(found[0], str) else ""


def _shape(region: dict[str, Any]) -> str:
    """Return what a region is, by its type or by what it has; empty for what is not a region."""
    kind = str(region.get("type", "")).lower()
    named = next((s for s in SHAPES if kind.startswith(s)), None)
    if named:
        return named
    for key, shape in (("points", "polygon"), ("radiusX", "ellipse"), ("rle", "brush"), ("height", "rectangle")):
        if key in region:
            return shape
    return "keypoint" if {"x", "y"} <= region.keys() else ""


def _fault(region: dict[str, Any], shape: str) -> str:
    if not _has_size(region):
        return "has no original_width and original_height"
    if region.get("image_rotation"):
        return f"was drawn on an image rotated by {region['image_rotation']!r:.20} degrees, which is not read"
    if shape == "polygon":
        points = region.get("points")
        good = isinstance(points, list) and points and all(isinstance(p, list) and len(p) == 2 for p in points)
        values = [v for p in points for v in p] if good and isinstance(points, list) else [None]
    else:
        needed = {"rectangle": ("width", "height"), "ellipse": ("radiusX", "radiusY")}.get(shape, ())
        values = [region.get(k) for k in ("x", "y", *needed)] + [region.get("rotation") or 0]
    wrong = next((v for v in values if not is_number(v, MOST_PERCENT)), 0)
    return "" if wrong == 0 else f"has {str(wrong)[:40]}, which is not a percentage"


def _pixels(region: dict[str, Any], x: float, y: float) -> tuple[float, float]:
    return x / 100 * region["original_width"], y / 100 * region["original_height"]


def _box(labels: Labels, region: dict[str, Any], shape: str) -> Box:
    """Return the box of a region in pixels, or the box around it."""
    if shape == "polygon":
        labels.boxed["polygon"] += 1
        return hull([_pixels(region, *p) for p in region["points"]])
    x, y = _pixels(region, region["x"], region["y"])
    angle = math.radians(region.get("rotation") or 0)
    c, s = math.cos(angle), math.sin(angle)
    if shape == "ellipse":
        labels.boxed["ellipse"] += 1
        rx, ry = _pixels(region, region["radiusX"], region["radiusY"])
        wide, high = math.hypot(rx * c, ry * s), math.hypot(rx * s, ry * c)
        return x - wide, y - high, 2 * wide, 2 * high
    width, height = _pixels(region, region["width"], region["height"])
    if not angle:
        return x, y, width, height
    # A rectangle is rotated around its upper left corner.
    labels.boxed["rotated rectangle"] += 1
    corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)]
    return hull([(x + u * c - v * s, y + u * s + v * c) for u, v in corners])


FORMAT = ToolFormat(LABEL_STUDIO, read_label_studio, re.compile(rb'"keypointlabels"'))

"""One file of CVAT, for images or for video: boxes, skeletons and points, of images or along tracks."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainer_detect.formats.kinds import CVAT
from trainer_detect.formats.tool_labels import (
    HIDDEN,
    UNLABELLED,
    VISIBLE,
    LabelledObject,
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
from trainer_detect.formats.xml_text import read_xml
from trainer_host.data import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from trainer_detect.formats.tool_labels import Box, Point
    from trainer_detect.formats.xml_text import Element

FRAME = "frame_{:06d}"
FRAME_SUFFIXES = (".png", ".PNG", ".jpg", ".JPG", ".jpeg", ".JPEG")
MOST_FRAMES = 200_000
HOW = "give the shapes of one object a group in CVAT, or label it as a skeleton"
SHAPES = frozenset({"box", "points", "skeleton", "polygon", "mask", "ellipse", "polyline", "cuboid", "tag"})
SKIPPED = frozenset({"polyline", "cuboid", "tag"})
_EDGE = re.compile(r"<line\b[^>]*>")
_NODE = re.compile(r"<circle\b[^>]*>")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*["']([^"']*)["']""")


class _FaultyError(Exception):
    pass


@dataclass
class _Marks:
    """The shapes of an image, before they are grouped into objects."""

    picture: Picture
    marks: list[Mark] = field(default_factory=list)
    skeletons: list[tuple[str | None, LabelledObject]] = field(default_factory=list)


def read_cvat(path: Path) -> Labels:
    """Read a CVAT file. Nothing raises; problems are among its findings."""
    return _Reader(path).read()


class _Reader:
    def __init__(self, path: Path) -> None:
        self.labels = Labels(path, CVAT)
        self.images: list[_Marks] = []
        self.frames: dict[tuple[str, int], _Marks] = {}
        self.seen: set[str] = set()

    def read(self) -> Labels:
        labels = self.labels
        why = read_xml(labels.path, CVAT.noun, self.take)
        if why:
            labels.unreadable(why)
            return labels
        if not {"image", "track", "meta"} & self.seen:
            fix = "give the annotations.xml of CVAT for images 1.1 or CVAT for video 1.1"
            labels.add(CVAT.codes.key, "the file has neither images nor tracks.", fix, 1)
        # Frames that nothing but the range of a task names are background, if there is one task, as a video.
        named = "image" in self.seen or any(task for task, _ in self.frames)
        self.images += [frame for _, frame in sorted(self.frames.items()) if frame.picture.line or not named]
        for image in self.images:
            self.finish(image)
            labels.pictures.append(image.picture)
        return labels

    def take(self, element: Element) -> None:
        self.seen.add(element.tag)
        if element.tag == "meta":
            self.take_meta(element)
        elif element.tag == "image":
            self.take_image(element)
        elif element.tag == "track":
            self.take_track(element)

    # What the file says of its labels

    def take_meta(self, meta: Element) -> None:
        declared: dict[str, list[str]] = {}
        for label in meta.all("label"):
            name, parent = label.said("name"), label.said("parent")
            if parent:
                declared.setdefault(parent, []).append(name)
            elif name:
                declared.setdefault(name, [])
            if label.said("svg"):
                self.labels.skeleton += _edges(label.said("svg"))
        self.labels.classes.update(declared)
        video = meta.said("source")
        videos = [t for tag in ("task", "job") for t in meta.all(tag) if t.said("mode") == "interpolation"]
        for task in videos:
            self.add_frames(task)
            video = video or task.said("source")
        extract = f"export with images, or extract them: ffmpeg -i {video} -start_number 0 images/{FRAME_FFMPEG}"
        self.labels.remedy = extract if videos else "export with images, or give their folder: images=DIR"

    def add_frames(self, task: Element) -> None:
        """Note the frames of a video, which are background without a track."""
        first, last = task.said("start_frame"), task.said("stop_frame")
        step = re.search(r"step=(\d{1,6})", task.said("frame_filter"))
        if first.isdecimal() and last.isdecimal() and len(last) < 9:
            numbers = range(int(first), int(last) + 1, max(1, int(step[1])) if step else 1)
            for number in numbers[:MOST_FRAMES]:
                self.frame("", number, 0, {})

    # Images and tracks

    def take_image(self, image: Element) -> None:
        name, subset = image.attributes.get("name", ""), image.attributes.get("subset")
        if not name:
            self.labels.add("annotation-entry", "the image has no name.", "export the labels again", image.line)
            return
        size = _size(image.attributes)
        names = [*([f"{subset}/{name}"] if subset else []), *path_endings(name), name]
        if name.rpartition(".")[2].lower() not in IMAGE_SUFFIXES:  # a frame of a video, whose name has no ending
            names = [f"{n}{s}" for n in names for s in FRAME_SUFFIXES]
        names = list(dict.fromkeys(names))
        group = image.attributes.get("task_id")
        found = _Marks(Picture(names, image.line, size, group=group and f"task {group}", subset=subset))
        self.images.append(found)
        for number, shape in enumerate(image.children, 1):
            if shape.tag in SHAPES:
                group = shape.attributes.get("group_id")
                self.take_shape(found, shape, shape.attributes.get("label", ""), group, f"{shape.tag} {number}")

    def frame(self, task: str, number: int, line: int, attributes: dict[str, str]) -> _Marks:
        key = (task, number)
        if key not in self.frames:
            subset = attributes.get("subset")
            names = [f"{FRAME.format(number)}{s}" for s in FRAME_SUFFIXES]
            names += [f"{subset}/{n}" for n in names] if subset else []
            group = f"task {task}" if key[0] else None
            picture = Picture(names, line, None, group=group, subset=subset, optional=True)
            self.frames[key] = _Marks(picture)
        found = self.frames[key]
        found.picture.line = found.picture.line or line
        return found

    def take_track(self, track: Element) -> None:
        label, task = track.attributes.get("label", ""), track.attributes.get("task_id", "")
        parts: dict[int, list[Element]] = {}
        for inner in (c for c in track.children if c.tag == "track"):
            for point in inner.children:
                point.attributes.setdefault("label", inner.attributes.get("label", ""))
                if (number := _frame_number(point)) is not None:
                    parts.setdefault(number, []).append(point)
        for shape in (c for c in track.children if c.tag in SHAPES):
            number = _frame_number(shape)
            if number is None:
                what = f"track {track.attributes.get('id')}: a shape has no frame."
                self.labels.add("annotation-entry", what, "export the labels again", shape.line)
                continue
            image = self.frame(task, number, shape.line, track.attributes)
            if shape.attributes.get("outside") == "1":
                continue
            shape.children += parts.get(number, [])
            who = f"track {track.attributes.get('id')}"
            self.take_shape(image, shape, label, track.attributes.get("group_id"), who)

    def take_shape(self, image: _Marks, shape: Element, label: str, group: str | None, who: str) -> None:
        group = group if group not in {None, "", "0"} else None
        if shape.tag in SKIPPED:
            self.labels.skipped[shape.tag] += 1
            return
        try:
            if not label:
                raise _FaultyError("has no label")
            if shape.tag == "skeleton":
                points = {p.attributes.get("label", ""): _keypoint(p) for p in shape.children if p.tag == "points"}
                image.skeletons.append((group, LabelledObject(label, None, points, shape.line, who)))
            elif shape.tag == "points":
                self.take_points(image, shape, label, group, who)
            else:
                image.marks.append(Mark(label, self.box_of(shape), None, group, shape.line, who))
        except _FaultyError as error:
            fault = ShapeFault(
                "annotation-entry", f"{who} {error}.", "correct it in CVAT, and export again", shape.line
            )
            image.picture.faults.append(fault)

    def take_points(self, image: _Marks, shape: Element, label: str, group: str | None, who: str) -> None:
        places = _places(shape)
        seen = _visibility(shape)
        if len(places) == 1:
            image.marks.append(Mark(label, None, (*places[0], seen), group, shape.line, who))
            return
        points: dict[str, Point] = {str(i): (*p, seen) for i, p in enumerate(places, 1)}
        image.skeletons.append((group, LabelledObject(label, None, points, shape.line, who)))

    def box_of(self, shape: Element) -> Box:
        """Return the box of a shape, or the box around it."""
        if shape.tag == "polygon":
            self.labels.boxed["polygon"] += 1
            return hull(_places(shape))
        if shape.tag == "mask":
            self.labels.boxed["mask"] += 1
            left, top, width, height = (_number(shape, k) for k in ("left", "top", "width", "height"))
            return left, top, width, height
        if shape.tag == "ellipse":
            self.labels.boxed["ellipse"] += 1
            x, y, rx, ry = (_number(shape, k) for k in ("cx", "cy", "rx", "ry"))
            turned = math.radians(_number(shape, "rotation", "0"))
            wide = math.hypot(rx * math.cos(turned), ry * math.sin(turned))
            high = math.hypot(rx * math.sin(turned), ry * math.cos(turned))
            return x - wide, y - high, 2 * wide, 2 * high
        left, top, right, bottom = (_number(shape, k) for k in ("xtl", "ytl", "xbr", "ybr"))
        angle = _number(shape, "rotation", "0") % 360
        if not angle:
            return left, top, right - left, bottom - top
        self.labels.boxed["rotated rectangle"] += 1
        x, y, w, h = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
        c, s = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
        wide, high = w * c + h * s, w * s + h * c
        return x - wide, y - high, 2 * wide, 2 * high

    def finish(self, image: _Marks) -> None:
        """Give skeletons the box of their group, and loose points to their objects."""
        marks = image.marks
        for group, skeleton in image.skeletons:
            boxes = [m for m in marks if m.box and group is not None and m.group == group]
            rivals = [g for g, _ in image.skeletons if g == group]
            if len(boxes) == 1 and len(rivals) == 1:
                skeleton.box = boxes[0].box
                marks.remove(boxes[0])
        found, faults = objects_of(marks, HOW)
        image.picture.objects = [s for _, s in image.skeletons] + found
        image.picture.faults += faults


FRAME_FFMPEG = "frame_%06d.png"


def _number(shape: Element, key: str, missing: str | None = None) -> float:
    text = shape.attributes.get(key, missing)
    return _float(text, key) if text is not None else _raise(f"has no {key}")


def _raise(message: str) -> float:
    raise _FaultyError(message)


def _float(text: str, key: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_number(value):
        raise _FaultyError(f"has {text[:40]!r} as {key}, not a number of pixels")
    return value


def _places(shape: Element) -> list[tuple[float, float]]:
    """Return the points of a shape."""
    pairs = [pair.split(",") for pair in shape.attributes.get("points", "").split(";") if pair]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise _FaultyError(f"has {shape.attributes.get('points', '')[:40]!r} as points")
    return [(_float(x, "points"), _float(y, "points")) for x, y in pairs]


def _visibility(shape: Element) -> int:
    if shape.attributes.get("outside") == "1":
        return UNLABELLED
    return HIDDEN if shape.attributes.get("occluded") == "1" else VISIBLE


def _keypoint(shape: Element) -> Point:
    places = _places(shape)
    if len(places) != 1:
        raise _FaultyError(f"has {len(places)} places for one keypoint")
    return (*places[0], _visibility(shape))


def _frame_number(shape: Element) -> int | None:
    text = shape.attributes.get("frame", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _size(attributes: dict[str, str]) -> tuple[float, float] | None:
    width, height = attributes.get("width", ""), attributes.get("height", "")
    good = all(t.isdecimal() and 0 < len(t) < 8 for t in (width, height))
    return (float(width), float(height)) if good else None


def _edges(svg: str) -> list[tuple[str, str]]:
    """Return the lines of a skeleton by the names of their ends."""
    nodes = [dict(_ATTRIBUTE.findall(found)) for found in _NODE.findall(svg)]
    names = {n.get("data-node-id"): n.get("data-label-name", "") for n in nodes}
    lines = [dict(_ATTRIBUTE.findall(found)) for found in _EDGE.findall(svg)]
    ends = [(names.get(found.get("data-node-from")), names.get(found.get("data-node-to"))) for found in lines]
    return [(a, b) for a, b in ends if a and b]


FORMAT = ToolFormat(CVAT, read_cvat, re.compile(rb"<(skeleton|points)\b"))

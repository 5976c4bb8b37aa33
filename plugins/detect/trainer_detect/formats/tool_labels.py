"""Labels of tools in one form: objects with a box, named keypoints, or both."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from trainer_host import Finding
from trainer_host.data import counted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from pathlib import Path

    from trainer_detect.formats.json_text import Unreadable
    from trainer_detect.formats.kinds import Kind
    from trainer_host import Severity

OBJECT = "object"
"""The class of keypoints that nothing gives another."""
VISIBLE, HIDDEN, UNLABELLED = 2, 1, 0

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""
Point = tuple[float, float, int]
"""x and y in pixels, and visibility."""


class ShapeFault(NamedTuple):
    """A problem of one image."""

    code: str
    message: str
    fix: str
    line: int


@dataclass
class LabelledObject:
    """One object of an image.

    Attributes:
        label: Its class.
        box: Its box, if it has one.
        points: Its keypoints by name.
        line: Its line in the file, 0 if it is not known.
        who: Its name in messages, such as "shape 3".
    """

    label: str
    box: Box | None
    points: dict[str, Point]
    line: int
    who: str


@dataclass
class Picture:
    """An image with its objects.

    Attributes:
        names: Paths at which the image may be, the likeliest first, each relative or absolute.
        line: Its line in the file, 0 if it is not known.
        size: Width and height in pixels, if the file says them.
        objects: Its objects.
        faults: The faults of its labels.
        file: The file of its labels, if each image has its own.
        group: The video or task that it is from.
        subset: The subset that the tool has it in.
        optional: Whether it may be missing, as a frame of a video may.
        key: Its name independent of the dataset's place; the first of its names if this is empty.
    """

    names: Sequence[str]
    line: int = 0
    size: tuple[float, float] | None = None
    objects: list[LabelledObject] = field(default_factory=list)
    faults: list[ShapeFault] = field(default_factory=list)
    file: Path | None = None
    group: str | None = None
    subset: str | None = None
    optional: bool = False
    key: str = ""


@dataclass
class Labels:
    """The labels of one file, or of one folder of files.

    Attributes:
        path: The file.
        kind: Its kind.
        pictures: Its images.
        classes: The classes that it declares, with the keypoints of each, in order.
        skeleton: Lines between keypoints, by name.
        mirrored: The keypoint that each becomes in a mirror image, where the file says so.
        remedy: The fix if no image is found.
        findings: The problems of the file.
        skipped: How many labels of each sort are not read.
        boxed: How many objects of each sort are read as the box around them.
    """

    path: Path
    kind: Kind
    pictures: list[Picture] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    skeleton: list[tuple[str, str]] = field(default_factory=list)
    mirrored: dict[str, str] = field(default_factory=dict)
    remedy: str = "give the folder: images=DIR"
    findings: list[Finding] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    boxed: Counter[str] = field(default_factory=Counter)

    def add(self, code: str, message: str, fix: str, line: int | None = None, severity: Severity = "error") -> None:
        """Note the problems of the file."""
        self.findings.append(Finding(code, message, fix, str(self.path), line or None, severity))

    def unreadable(self, why: Unreadable, path: Path | None = None) -> None:
        """Note that a file cannot be read."""
        code = self.kind.codes.of(why.reason)
        self.findings.append(Finding(code, why.message, why.fix, str(path or self.path), why.line))

    def note_counts(self) -> None:
        """Note how many labels are not read, and how many are read as boxes."""
        if self.skipped:
            what = f"labels of other kinds are skipped: {_listed(self.skipped)}."
            fix = "label objects with boxes or keypoints to train on them"
            self.add("annotation-skipped", what, fix, severity="warning")
        if self.boxed:
            what = f"labels of other kinds become the box around each: {_listed(self.boxed)}."
            self.add("annotation-boxed", what, "check in the report that the boxes fit", severity="warning")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(counted(n, word) for word, n in sorted(counts.items()))


class Mark(NamedTuple):
    """A box or a point of an image, before it is known which belong together.

    Attributes:
        label: The class of a box, or the name of a point.
        box: The box, or None for a point.
        point: The point, or None for a box.
        group: Shapes of the same group are one object; None if unknown.
        line: Its line in the file.
        who: Its name in messages.
    """

    label: str
    box: Box | None
    point: Point | None
    group: Hashable
    line: int
    who: str


def objects_of(marks: Iterable[Mark], how: str) -> tuple[list[LabelledObject], list[ShapeFault]]:
    """Return the objects that the boxes and points of one image are.

    Points belong to the box of their group; without a group to the one box that is around them; and in an image without
    boxes all of them are one object.

    Args:
        marks: The boxes and points.
        how: How a user of the tool says what belongs together.
    """
    grouped: dict[Hashable, list[Mark]] = defaultdict(list)
    order: dict[str, int] = {}
    for mark in marks:
        order.setdefault(mark.who, len(order))
        grouped[mark.group].append(mark)
    loose = grouped.pop(None, [])
    found: list[LabelledObject] = []
    faults: list[ShapeFault] = []
    waiting = [m for m in loose if m.point]
    for group in grouped.values():
        boxes, points = [m for m in group if m.box], [m for m in group if m.point]
        if len(boxes) > 1 and points:
            waiting += points  # a group of several objects
            points = []
        owners = [LabelledObject(m.label, m.box, {}, m.line, m.who) for m in boxes]
        if points and not owners:
            owners = [LabelledObject(OBJECT, None, {}, points[0].line, points[0].who)]
        for point in points:
            faults += _give(owners[0], point, how)
        found += owners
    found += [LabelledObject(m.label, m.box, {}, m.line, m.who) for m in loose if m.box]
    if waiting and not found:
        found = [LabelledObject(OBJECT, None, {}, waiting[0].line, waiting[0].who)]
        owners_of = {id(m): found for m in waiting}
    else:
        owners_of = {id(m): [o for o in found if o.box and m.point and _around(o.box, m.point)] for m in waiting}
    for mark in waiting:
        owners = owners_of[id(mark)]
        if len(owners) == 1:
            faults += _give(owners[0], mark, how)
        else:
            around = "no box is" if not owners else f"{len(owners)} boxes are"
            what = f"{mark.who}: unknown object of the point {mark.label!r}; {around} around it."
            faults.append(ShapeFault("annotation-group", what, how, mark.line))
    return sorted(found, key=lambda o: order[o.who]), faults


def _around(box: Box, point: Point) -> bool:
    left, top, width, height = box
    return left <= point[0] <= left + width and top <= point[1] <= top + height


def _give(owner: LabelledObject, mark: Mark, how: str) -> list[ShapeFault]:
    """Give a point to its object; a name that the object has already is a fault."""
    if mark.label in owner.points:
        what = f"{mark.who}: the object has a second point {mark.label!r}."
        return [ShapeFault("annotation-group", what, how, mark.line)]
    if mark.point:
        owner.points[mark.label] = mark.point
    return []


def hull(points: Sequence[tuple[float, float]]) -> Box:
    """Return the box around some points."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def is_number(value: Any, most: float = 1e9) -> TypeGuard[float]:
    """Return whether a value is a finite number that can be a coordinate."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < most


def path_endings(path: str) -> list[str]:
    """Return a path and its endings, from the longest to the name alone, with slashes; ``..`` stays within the path."""
    parts = [p for p in path.replace("\\", "/").split("/") if p not in {"", "."}]
    return ["/".join(parts[i:]) for i in range(len(parts))]

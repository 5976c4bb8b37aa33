"""Checks of boxes and classes: columns, ranges, duplicates, and what the training images say of the classes.

The limits are the engine's: it drops an image if a coordinate is above 1.01 or below -0.01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer_detect.rows import (
    Boxes,
    description,
    fitting_shapes,
    image_sizes,
    keypoint_shape,
    read_boxes,
    row_kind,
)
from trainer_host import Finding
from trainer_host.data import class_names, counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from trainer_detect.rows import Bools, Floats, Rows
    from trainer_host import DataContext
    from trainer_host.data import Description, Split

    Found = Iterator[tuple[int, Finding]]

TOLERANCE = 0.01
"""Distance that a coordinate may lie outside the range from 0 to 1."""
LARGE = 2
"""Fraction of the image beyond which a number is probably meant in pixels, not a slip."""
IMBALANCE = 100
"""Largest ratio of the objects of the most frequent class to those of the rarest."""
SHOWN = 5
"""Names that a message lists before it counts the others."""
BOX = "class, x, y, width, height"
POLYGON = "a class and at least 3 points x, y"


def check_dataset(ctx: DataContext) -> Iterator[Finding]:
    """Yield the problems of the rows, their classes and boxes, by split, image and line."""
    data = description(ctx)
    classes = _class_range(data, bool(ctx.args.single_cls))
    for split in data.splits.values():
        boxes = read_boxes(split, keypoint_shape(data), row_kind(ctx.engine_task))
        yield from in_order(_of_split(split, boxes, classes))
    if not ctx.args.single_cls:
        yield from _statistics(data)


def _of_split(split: Split, boxes: Boxes, classes: _Classes) -> Found:
    if boxes.kind == "boxes":
        yield from _columns(split, boxes)
    elif boxes.kind == "polygons":
        yield from _polygon_columns(split, boxes)
    yield from _classes(split, boxes, classes)
    yield from _boxes(split, boxes)
    yield from _duplicates(split, boxes)


def in_order(found: Iterable[tuple[int, Finding]]) -> Iterator[Finding]:
    """Yield the findings of rows in the order of the rows, which is that of images and lines."""
    for _, finding in sorted(found, key=lambda pair: pair[0]):
        yield finding


def shapes_text(shapes: Iterable[tuple[int, int]]) -> str:
    """Return shapes as they are written: ``[4, 3] or [6, 2]``."""
    return " or ".join(f"[{count}, {dims}]" for count, dims in shapes)


def numbers(values: Iterable[float]) -> str:
    """Return numbers as a label file has them."""
    return " ".join(f"{v:.6g}" for v in values)


def amount(found: int) -> str:
    """Return how many numbers a row has, as a message says it."""
    return counted(found, "number")


def line_text(split: Split, row: int) -> str:
    """Return what a message calls a row."""
    return f"line {int(split.line[row])}" if split.line[row] else "an earlier one"


# --- columns ------------------------------------------------------------------------------------------------------


def _columns(split: Split, boxes: Boxes) -> Found:
    for row in np.flatnonzero(boxes.misfit).tolist():
        found = int(split.row_lengths[row])
        message = f"the row has {amount(found)}; a box has 5: {BOX}."
        fits = shapes_text(fitting_shapes(found))
        if fits:
            message += f" {found} numbers would fit kpt_shape: {fits}."
        fix = f"write {BOX}, or {POLYGON}"
        if found == 6:
            fix = f"write {BOX} alone; if the last number is a confidence, remove it"
        yield row, split.of_row(row, "label-columns", message, fix)
    yield from _mixed(split, boxes)


def _polygon_columns(split: Split, boxes: Boxes) -> Found:
    for row in np.flatnonzero(boxes.misfit).tolist():
        found = int(split.row_lengths[row])
        message = f"the row has {amount(found)}; a polygon has 7 or more: {POLYGON}."
        fix = f"write {POLYGON}"
        if found == 5:
            message = f"the row is a box ({BOX}), but the task needs a polygon."
            fix += "; for boxes alone: --task detect"
        yield row, split.of_row(row, "label-columns", message, fix)


def _mixed(split: Split, boxes: Boxes) -> Found:
    """Yield the first row of each image that is a polygon among boxes, or a box among polygons."""
    if not boxes.polygon.any():
        return
    images = split.image[boxes.rows]
    polygon = boxes.polygon[boxes.rows]
    _, first = np.unique(images, return_index=True)
    leader = np.repeat(first, np.diff(np.append(first, len(images))))
    other = np.flatnonzero(polygon != polygon[leader])
    _, once = np.unique(images[other], return_index=True)
    for index in other[once].tolist():
        row, before = int(boxes.rows[index]), int(boxes.rows[leader[index]])
        kinds = ("a box", "a polygon") if polygon[index] else ("a polygon", "a box")
        message = f"the row is {kinds[1]} and {line_text(split, before)} is {kinds[0]}: a file holds one kind."
        yield row, split.of_row(row, "label-mixed", message, "write every row as a box, or every row as a polygon")


# --- classes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Classes:
    """The number of classes, if that is known and matters, and whether labels count them from 1."""

    count: int | None
    from_one: bool = False


def _class_range(data: Description, single_cls: bool) -> _Classes:
    names = class_names(data.get("names"))
    nc = data.get("nc")
    count = max(nc if type(nc) is int else 0, len(names))
    if single_cls or not count:
        return _Classes(None)
    seen = [split.head(1)[split.valid & ~split.crowd, 0] for split in data.splits.values()]
    classes = np.concatenate([*seen, np.zeros(0)])
    return _Classes(count, bool(len(classes)) and classes.min() == 1 and classes.max() == count)


def _classes(split: Split, boxes: Boxes, known: _Classes) -> Found:
    classes = boxes.values[:, 0]
    whole = classes % 1 == 0
    outside = classes < 0 if known.count is None else (classes < 0) | (classes >= known.count)
    for index in np.flatnonzero(~whole).tolist():
        message = f"the class is {classes[index]:.10g}, not a whole number."
        fix = f"begin the row with the class, a whole number: {POLYGON if boxes.kind == 'polygons' else BOX}"
        yield int(boxes.rows[index]), split.of_row(int(boxes.rows[index]), "class-type", message, fix)
    for index in np.flatnonzero(whole & outside).tolist():
        message, fix = _range_text(classes[index], known)
        yield int(boxes.rows[index]), split.of_row(int(boxes.rows[index]), "class-range", message, fix)


def _range_text(number: float, known: _Classes) -> tuple[str, str]:
    if known.count is None:
        return f"the class is {number:.10g}.", "write a class of 0 or more"
    if known.count == 1:
        return f"the class is {number:.10g}, and the only class is 0.", "write 0, or add its name to names"
    message = f"the class is {number:.10g}, but the dataset has the classes 0 to {known.count - 1}."
    if known.from_one:
        return message, f"count classes from 0: the labels have 1 to {known.count}, so subtract 1 from each"
    return message, f"write a class from 0 to {known.count - 1}, or add its name to names"


def _statistics(data: Description) -> Iterator[Finding]:
    """Yield warnings about the classes of all training rows."""
    names, train = class_names(data.get("names")), data.splits.get("train")
    if not names or train is None:
        return
    classes = train.head(1)[train.valid & ~train.crowd, 0]
    classes = classes[(classes >= 0) & (classes <= max(names)) & (classes % 1 == 0)].astype(np.int64)
    if not len(classes):
        return
    counts = np.bincount(classes, minlength=max(names) + 1)
    unseen = [number for number in sorted(names) if number >= 0 and not counts[number]]
    if unseen:
        listing = listed([f"{number} ({names[number]})" for number in unseen], SHOWN)
        message = f"no training label has the {'class' if len(unseen) == 1 else 'classes'} {listing}."
        fix = "label such objects, or remove the names and renumber the classes; ignore this if it is intended"
        yield data.of_key(f"names.{unseen[0]}", "class-never-seen", message, fix, "warning")
    most, rare = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    if counts[most] > IMBALANCE * counts[rare]:
        few, many = (f"{counts[n]} of class {n} ({names.get(n, n)})" for n in (rare, most))
        message = f"the training labels have {few} and {many}: more than {IMBALANCE} times as many."
        fix = "add images of the rare class, or weigh the classes with cls_pw=1.0"
        yield Finding("class-imbalance", message, fix, data.file, severity="warning", split="train")


# --- boxes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BoxFaults:
    """Faults of boxes, at most one for each, bool (m,)."""

    pixels: Bools
    negative: Bools
    outside_range: Bools
    empty: Bools

    @property
    def any(self) -> Bools:
        """Boxes that have one of the faults."""
        return self.pixels | self.negative | self.outside_range | self.empty


def look_like_pixels(points: Floats, sizes: Floats, used: Bools) -> Bools:
    """Return where most points (m, n, 2) lie above 1 and all fit the image's size in pixels (m, 2), bool (m,).

    Only the points that are ``used`` (m, n) are looked at.
    """
    if not (points > 1 + TOLERANCE).any():
        return np.zeros(len(points), bool)
    large = ((points > 1 + TOLERANCE) & used[..., None]).sum(axis=(1, 2))
    fits = (points >= 0) & (points <= sizes[:, None, :] + 1) | ~used[..., None]
    # 2 coordinates for each point, of which more than half are to be above 1.
    found: Bools = (large > used.sum(axis=1)) & fits.all(axis=(1, 2)) & (sizes > 0).all(axis=1)
    return found


def box_faults(split: Split, rows: Rows, values: Floats) -> BoxFaults:
    """Judge boxes.

    Args:
        split: The split.
        rows: Their rows, int64 (m,).
        values: Class, centre and size of each, float64 (m, 5).
    """
    box = values[:, 1:5]
    points = box.reshape(-1, 2, 2)
    pixels = look_like_pixels(points, image_sizes(split, rows), np.ones(points.shape[:2], bool))
    negative = (box[:, 2:] < 0).any(axis=1) & ~pixels
    outside = ((box > 1 + TOLERANCE) | (box < -TOLERANCE)).any(axis=1) & ~pixels & ~negative
    empty = (box[:, 2:] == 0).any(axis=1) & ~pixels & ~negative & ~outside
    return BoxFaults(pixels, negative, outside, empty)


def _boxes(split: Split, boxes: Boxes) -> Found:
    faults, values = box_faults(split, boxes.rows, boxes.values), boxes.values
    beyond = _beyond(values)
    over = (beyond > TOLERANCE) & ~faults.any
    for index in np.flatnonzero(faults.any | over).tolist():
        row = int(boxes.rows[index])
        around = "around the polygon, " if boxes.polygon[row] else ""
        text = f"{around}x, y, width, height = {numbers(values[index, 1:])}"
        if faults.pixels[index]:
            found = _pixel_finding(split, row, values[index])
        elif faults.negative[index]:
            found = split.of_row(
                row, "box-negative", f"the box has a negative size: {text}.", "write a positive width and height"
            )
        elif faults.outside_range[index]:
            found = _range_finding(split, row, values[index], text)
        elif faults.empty[index]:
            found = split.of_row(
                row, "box-empty", f"the box has no area: {text}.", "draw the box again, or delete the row"
            )
        else:
            message = f"the box reaches {100 * beyond[index]:.3g}% beyond the image: {text}."
            found = split.of_row(row, "box-outside", message, "cut the box at the image's edge", "warning")
        yield row, found


def _range_finding(split: Split, row: int, values: Floats, text: str) -> Finding:
    message = f"the box is not in normalized coordinates (0 to 1): {text}."
    fix = "write x, y, width and height as fractions of the image, from 0 to 1"
    if (np.abs(values[1:]) > LARGE).any():
        fix = "divide x and width by the image's width, y and height by its height"
    return split.of_row(row, "box-range", message, fix)


def _beyond(values: Floats) -> Floats:
    """Return how far each box reaches beyond the image, as a fraction of it; negative within, float64 (m,)."""
    centre, half = values[:, 1:3], values[:, 3:5] / 2
    with np.errstate(over="ignore"):
        beyond: Floats = np.maximum((half - centre).max(axis=1), (centre + half - 1).max(axis=1))
    return beyond


def _pixel_finding(split: Split, row: int, values: Floats) -> Finding:
    height, width = (int(v) for v in split.shapes[split.image[row]])
    message = f"the box looks like pixels of the {width} x {height} image: {numbers(values[1:])}."
    share = values[1:] / (width, height, width, height)
    fix = f"divide by the image's width and height: {numbers([values[0], *share.round(6)])}"
    return split.of_row(row, "label-pixels", message, fix)


def _may_repeat(images: NDArray[np.int32], values: Floats) -> Bools:
    """Return which rows share the x of another row of their image, bool (m,): few do that do not repeat it."""
    with np.errstate(over="ignore"):
        x = values[:, 1].astype(np.float32)
    order = np.lexsort((x, images))
    same = (images[order][1:] == images[order][:-1]) & (x[order][1:] == x[order][:-1])
    found = np.zeros(len(images), bool)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return found


def _duplicates(split: Split, boxes: Boxes) -> Found:
    """Yield rows that repeat an earlier row of their image, as the engine compares them: in single precision."""
    suspects = np.flatnonzero(_may_repeat(split.image[boxes.rows], boxes.values))
    if not len(suspects):
        return
    with np.errstate(over="ignore"):
        content = (split.values.astype(np.float32) + np.float32(0)).tobytes()  # -0 becomes 0
    rows = boxes.rows[suspects]
    starts = 4 * split.starts[rows]
    ends = starts + 4 * boxes.lengths[suspects]
    first: dict[bytes, int] = {}
    current = -1
    for row, image, start, end in zip(
        rows.tolist(), split.image[rows].tolist(), starts.tolist(), ends.tolist(), strict=True
    ):
        if image != current:
            first, current = {}, image
        earlier = first.setdefault(content[start:end], row)
        if earlier != row:
            message = f"the row repeats {line_text(split, earlier)}, and is used only once."
            yield row, split.of_row(row, "duplicate-row", message, "delete the row", "warning")

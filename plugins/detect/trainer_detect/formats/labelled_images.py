"""Images with annotations in the form of COCO, whatever file they are from, as the splits of a dataset."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_detect.formats.coco_file import derives_box, fault_of, labelled_points, lacks_box, says_nothing
from trainer_detect.formats.common import LEAST, box_shares, boxes_around, shares, unlisted
from trainer_host import Finding
from trainer_host.data import Description, SourceIds, Split, counted, extracted_folder, read_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer_detect.formats.coco_file import CocoFile, Item
    from trainer_detect.formats.coco_source import Source


@dataclass
class LabelledImages:
    """The images of one split.

    Attributes:
        name: The split.
        file: The file that lists them.
        images: Their entries.
        folder: The folder that their names are relative to.
        inside: The folder that they are expected in.
    """

    name: str
    file: CocoFile
    images: list[Item]
    folder: Path
    inside: Path | None = None

    def paths(self) -> list[str]:
        """Return the absolute paths of the images."""
        return [os.path.abspath(self.folder / i.content["file_name"]) for i in self.images]  # noqa: PTH100 - links


def description_of(
    source: Source, parts: Sequence[LabelledImages], names: Sequence[str], points: dict[str, Any], margin: float
) -> Description:
    """Return a dataset with the rows of all its splits.

    Args:
        source: The user's input.
        parts: The images of each split.
        names: The classes.
        points: The keys that say what the keypoints are; none if there are no keypoints.
        margin: How far a box that is made from keypoints reaches beyond them, as a fraction of their longer extent.
    """
    keys: dict[str, Any] = {"channels": 3, **points, **source.keys}
    keys |= {"names": dict(enumerate(names)), "nc": len(names)}
    count = points["kpt_shape"][0] if points else 0
    splits: dict[str, Split] = {}
    for part in parts:
        splits[part.name] = _Reader(source, part, list(names), count, margin).split()
        keys[part.name] = str(part.folder)
    source.findings += unlisted(splits.values(), source.kind.noun)
    ids = _ids_of(parts, names)
    return Description(
        keys, file=str(source.file), splits=splits, findings=source.findings, lines=source.lines, ids=ids
    )


def _ids_of(parts: Sequence[LabelledImages], names: Sequence[str]) -> SourceIds:
    """Return the ids of images and classes, by path and by index."""
    images = {path: i.content["id"] for part in parts for path, i in zip(part.paths(), part.images, strict=True)}
    number = {name: i for i, name in enumerate(names)}
    categories = [c for part in parts for c in part.file.categories.items()]
    return SourceIds(images, {number[c.content["name"]]: id_ for id_, c in categories if c.content["name"] in number})


@dataclass
class _Found:
    """The annotations of a split that can be used, as columns."""

    owners: list[int] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    boxless: list[Item] = field(default_factory=list)
    empty: list[Item] = field(default_factory=list)


@dataclass
class _Reader:
    """Makes a `Split` of the images of one."""

    source: Source
    part: LabelledImages
    names: list[str]
    points: int
    margin: float

    def __post_init__(self) -> None:
        self.file, self.images, self.name = self.part.file, self.part.images, self.part.name
        self.paths = self.part.paths()
        self.files = [str(i.content.get("label_file") or self.file.path) for i in self.images]
        self.place = {i.content["id"]: n for n, i in enumerate(self.images)}
        self.sizes = self._sizes()

    def add(self, code: str, message: str, fix: str, image: int, line: int) -> None:
        """Note an error of one image."""
        where = self.files[image], line or None
        image_path = self.paths[image]
        self.source.findings.append(Finding(code, message, fix, *where, split=self.name, image=image_path))

    def warn(self, code: str, message: str, fix: str, line: int | None = None) -> None:
        """Note a warning about the split."""
        where = str(self.file.path), line
        self.source.findings.append(Finding(code, message, fix, *where, severity="warning", split=self.name))

    def _sizes(self) -> NDArray[np.float64]:
        """Return width and height of each image: what the file says, else what the image says, else 0."""
        said = [(i.content.get("width"), i.content.get("height")) for i in self.images]
        sizes = np.array([(w, h) if _is_side(w) and _is_side(h) else (0, 0) for w, h in said], np.float64).reshape(
            -1, 2
        )
        unknown = np.flatnonzero(sizes[:, 0] == 0)
        if len(unknown):
            facts, _ = read_images(self.name, [self.paths[i] for i in unknown])
            sizes[unknown] = facts.shapes[:, ::-1]
        return sizes

    def split(self) -> Split:
        """Return the split; problems are among the findings."""
        found = self._usable()
        owners, table = np.array(found.owners, np.int64), self._table(found)
        order = np.argsort(owners, kind="stable")
        ends = np.searchsorted(owners[order], np.arange(1, len(self.images)))
        per_image = [part.tolist() for part in np.split(order, ends)] if self.images else []
        rows = table.tolist()
        split, findings = Split.from_rows(
            self.name,
            self.paths,
            [[rows[i] for i in part] for part in per_image],
            self.files,
            lines=[[found.lines[i] for i in part] for part in per_image],
            crowd=[[found.crowd[i] for i in part] for part in per_image],
        )
        missing = {path for path in self.paths if not os.path.lexists(path)}
        self.source.findings += [f for f in findings if f.image not in missing]
        self._judge_images(split, missing)
        self._judge_outside()
        self._judge_boxes(found)
        return split

    def _usable(self) -> _Found:
        """Return the annotations that can be used; problems of the others are noted."""
        number = {name: i for i, name in enumerate(self.names)}
        found = _Found()
        for item in self.file.annotations:
            content = item.content
            image = self.place.get(content["image_id"])
            if image is None or not self.sizes[image, 0]:
                continue  # of the other split, or of an image that cannot be read
            category = self.file.categories[content["category_id"]].content
            count = len(category.get("keypoints") or ())
            if fault := fault_of(item, count, self.source.kind.codes):
                self.add(*fault, image, item.line)
                continue
            box: Any = content.get("bbox")
            if lacks_box(content):
                if says_nothing(content):
                    found.empty.append(item)
                    continue
                if derives_box(content):
                    box = self._box_of(content, image)
                    found.boxless.append(item)
            found.owners.append(image)
            found.classes.append(number[category["name"]])
            found.boxes.append(box)
            given = content.get("keypoints") or [] if count else []
            found.points.append(given + [0] * (self.points * 3 - len(given)))
            found.lines.append(item.line)
            found.crowd.append(bool(content.get("iscrowd")))
        return found

    def _box_of(self, content: dict[str, Any], image: int) -> list[float]:
        points = np.array([labelled_points(content)], np.float64)
        around = boxes_around(points, np.ones(points.shape[:2], bool), self.sizes[image : image + 1], self.margin)
        found: list[float] = around[0].tolist()
        return found

    def _table(self, found: _Found) -> NDArray[np.float64]:
        """Return the numbers of each annotation: class, box and keypoints, as fractions of the image."""
        sizes = self.sizes[np.array(found.owners, np.int64)]
        placed = np.array(found.points, np.float64).reshape(len(found.owners), self.points, 3)
        placed[..., :2] = shares(placed[..., :2], sizes[:, None])
        placed[placed[..., 2] == 0] = 0
        parts = [
            np.array(found.classes, np.float64)[:, None],
            box_shares(found.boxes, sizes),
            placed.reshape(len(found.owners), self.points * 3),
        ]
        return np.hstack(parts)

    def _judge_boxes(self, found: _Found) -> None:
        """Note how many boxes are made from keypoints, and how many annotations say nothing."""
        codes, plugin = self.source.kind.codes, self.source.kind.plugin
        if found.boxless:
            what = (
                f"{counted(len(found.boxless), 'object')} without a box: the box is made from the keypoints, with "
                f"{self.margin:g} of their extent on each side and at least {LEAST:.0%} of the image."
            )
            fix = f"see the report; {plugin}.margin=0.2 for another margin, or draw the boxes"
            self.warn(codes.box_derived, what, fix, found.boxless[0].line or None)
        if found.empty:
            what = f"{counted(len(found.empty), 'annotation')} with neither a box nor a labelled keypoint, not used."
            fix = "remove them, or label them"
            self.warn(codes.nothing_labelled, what, fix, found.empty[0].line or None)

    def _judge_images(self, split: Split, missing: set[str]) -> None:
        """Note the images that do not exist, and those whose size differs from the file's."""
        codes = self.source.kind.codes
        shapes = dict(zip(split.images, split.shapes.tolist(), strict=True))
        for n, (item, path) in enumerate(zip(self.images, self.paths, strict=True)):
            name = item.content["file_name"]
            height, width = shapes[path]
            said = tuple(self.sizes[n].astype(int).tolist())
            if path in missing:
                what = f"the image {name} is not in {self.part.folder}."
                self.add(codes.image_missing, what, "add the image, or remove it from the file", n, item.line)
            elif height and said != (width, height):
                what = f"the image {name} has {width} x {height} pixels, but the file says {said[0]} x {said[1]}."
                fix = "write the image's own width and height, and coordinates that fit them"
                if said == (height, width):
                    fix = "rotate the image upright and remove its EXIF orientation, or label it as it is displayed"
                self.add(codes.image_size, what, fix, n, item.line)

    def _judge_outside(self) -> None:
        """Warn of images that lie elsewhere."""
        home = os.path.abspath(self.part.inside or self.part.folder)  # noqa: PTH100
        # Images that the file carries are in the user's cache folder.
        owned = (home, str(extracted_folder()))
        outside = [p for p in self.paths if not any(Path(p).is_relative_to(o) for o in owned)]
        if outside:
            what = f"{counted(len(outside), 'image')} outside of {home}, such as {outside[0]}."
            self.warn("path-outside", what, "write each file_name relative to the folder of images")


def _is_side(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9

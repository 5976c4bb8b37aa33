"""COCO files as a dataset: classes, keypoints, and the rows of each split."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_detect.formats.coco_classes import class_names, keypoint_keys
from trainer_detect.formats.coco_file import CocoFile, Item, fault_of, read_coco
from trainer_detect.formats.coco_source import find_folder
from trainer_detect.formats.common import (
    box_shares,
    counted,
    held_out,
    held_out_finding,
    one_image_finding,
    shares,
    unlisted,
)
from trainer_host.base.findings import Finding
from trainer_host.data.description import Description, Split
from trainer_host.data.images import read_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer_detect.formats.coco_source import Source


def read_dataset(source: Source, holdout: float) -> Description:
    """Read the COCO files of a dataset.

    Args:
        source: The files.
        holdout: The share of the images that is held out where one file has them all.
    """
    read = {path: read_coco(path) for path in dict.fromkeys(source.files.values())}
    source.findings += [f for coco in read.values() for f in coco.findings]
    files = {split: read[path] for split, path in source.files.items()}
    names = class_names(source, files)
    points = keypoint_keys(source, files, names)
    keys: dict[str, Any] = {"channels": 3, **points, **source.keys}
    keys |= {"names": dict(enumerate(names)), "nc": len(names)}
    count = points["kpt_shape"][0] if points else 0
    splits: dict[str, Split] = {}
    for name, (coco, images) in _parts(source, files, holdout).items():
        folder = find_folder(source, name, (i.content["file_name"] for i in images))
        if folder is not None:
            splits[name] = _Part(source, name, coco, images, folder, names, count).split()
            keys[name] = str(folder)
    source.findings += unlisted(splits.values(), "COCO file")
    return Description(keys, file=source.file, splits=splits, findings=source.findings, lines=source.lines)


def _parts(source: Source, files: dict[str, CocoFile], holdout: float) -> dict[str, tuple[CocoFile, list[Item]]]:
    """Return the file and the images of each split; one file alone is divided."""
    parts = {split: (coco, list(coco.images.values())) for split, coco in files.items() if coco.images}
    if list(files) != ["train"] or not parts:
        return parts
    coco, images = parts["train"]
    if len(images) == 1:
        source.findings.append(one_image_finding(coco.path))
        return parts
    out = held_out([i.content["file_name"] for i in images], holdout)
    chosen = [i for i, held in zip(images, out, strict=True) if held]
    remedy = "give two files to choose the images yourself: data=train.json,val.json"
    source.findings.append(held_out_finding(coco.path, len(chosen), len(images), remedy))
    return {"train": (coco, [i for i, held in zip(images, out, strict=True) if not held]), "val": (coco, chosen)}


@dataclass
class _Part:
    """The images of one split of a COCO file, which become a `Split`."""

    source: Source
    name: str
    coco: CocoFile
    images: list[Item]
    folder: Path
    names: list[str]
    points: int

    def __post_init__(self) -> None:
        self.paths = [os.path.abspath(self.folder / i.content["file_name"]) for i in self.images]  # noqa: PTH100 - links
        self.place = {i.content["id"]: n for n, i in enumerate(self.images)}
        self.sizes = self._sizes()

    def add(self, code: str, message: str, fix: str, image: int, line: int) -> None:
        """Note an error of one image."""
        file = str(self.coco.path)
        self.source.findings.append(Finding(code, message, fix, file, line, "error", self.name, self.paths[image]))

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
        """Return the split; what is wrong is among the findings."""
        owners, table, lines, crowd = self._rows()
        order = np.argsort(owners, kind="stable")
        ends = np.searchsorted(owners[order], np.arange(1, len(self.images)))
        per_image = [part.tolist() for part in np.split(order, ends)] if self.images else []
        rows = table.tolist()
        split, findings = Split.from_rows(
            self.name,
            self.paths,
            [[rows[i] for i in part] for part in per_image],
            [str(self.coco.path)] * len(self.paths),
            lines=[[lines[i] for i in part] for part in per_image],
            crowd=[[crowd[i] for i in part] for part in per_image],
        )
        missing = {path for path in self.paths if not os.path.lexists(path)}
        self.source.findings += [f for f in findings if f.image not in missing]
        self._judge_images(split, missing)
        return split

    def _rows(self) -> tuple[NDArray[np.int64], NDArray[np.float64], list[int], list[bool]]:
        """Return the image, the numbers, the line and the crowd flag of each annotation that can be used."""
        number = {name: i for i, name in enumerate(self.names)}
        owners, classes, boxes, points, lines, crowd = [], [], [], [], [], []
        for item in self.coco.annotations:
            content = item.content
            image = self.place.get(content["image_id"])
            if image is None or not self.sizes[image, 0]:
                continue  # of the other split, or of an image that cannot be read
            category = self.coco.categories[content["category_id"]].content
            count = len(category.get("keypoints") or ())
            if fault := fault_of(item, count):
                self.add(*fault, image, item.line)
                continue
            owners.append(image)
            classes.append(number[category["name"]])
            boxes.append(content["bbox"])
            given = content.get("keypoints") or [] if count else []
            points.append(given + [0] * (self.points * 3 - len(given)))
            lines.append(item.line)
            crowd.append(bool(content.get("iscrowd")))
        image_of = np.array(owners, np.int64)
        sizes = self.sizes[image_of]
        placed = np.array(points, np.float64).reshape(len(owners), self.points, 3)
        placed[..., :2] = shares(placed[..., :2], sizes[:, None])
        placed[placed[..., 2] == 0] = 0
        parts = [
            np.array(classes, np.float64)[:, None],
            box_shares(boxes, sizes),
            placed.reshape(len(owners), self.points * 3),
        ]
        return image_of, np.hstack(parts), lines, crowd

    def _judge_images(self, split: Split, missing: set[str]) -> None:
        """Note the images that are not there, that lie elsewhere, and whose size is not what the file says."""
        shapes = dict(zip(split.images, split.shapes.tolist(), strict=True))
        for n, (item, path) in enumerate(zip(self.images, self.paths, strict=True)):
            name = item.content["file_name"]
            height, width = shapes[path]
            said = tuple(self.sizes[n].astype(int).tolist())
            if path in missing:
                what = f"the image {name} is not in {self.folder}."
                self.add("coco-image-missing", what, "put it there, or remove it from the file", n, item.line)
            elif height and said != (width, height):
                what = f"the image {name} has {width} x {height} pixels, and the file says {said[0]} x {said[1]}."
                fix = "write the image's own width and height, and coordinates that fit them"
                if said == (height, width):
                    fix = "turn the image upright and remove its EXIF rotation, or label it as it is seen"
                self.add("coco-image-size", what, fix, n, item.line)
        outside = [p for p in self.paths if not Path(p).is_relative_to(os.path.abspath(self.folder))]  # noqa: PTH100
        if outside:
            what = f"{counted(len(outside), 'image')} outside of {self.folder}, such as {outside[0]}."
            fix = "write each file_name relative to the folder of images"
            finding = Finding("path-outside", what, fix, str(self.coco.path), None, "warning", self.name)
            self.source.findings.append(finding)


def _is_side(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9

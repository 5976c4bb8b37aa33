"""Labels of a tool as a dataset: one list of keypoints for all classes, where the images are, and what is held out."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer_detect.formats.coco_classes import class_names, keypoint_keys
from trainer_detect.formats.coco_file import CocoFile, Item
from trainer_detect.formats.coco_source import find_source, split_of
from trainer_detect.formats.common import held_out_finding, one_image_finding
from trainer_detect.formats.json_text import MOST_BYTES
from trainer_detect.formats.labelled_images import LabelledImages, description_of
from trainer_detect.formats.tool_labels import ShapeFault
from trainer_host import Finding
from trainer_host.data import SPLITS, counted, display_path, held_out, listed

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from trainer_detect.formats.coco_source import Source
    from trainer_detect.formats.kinds import Kind
    from trainer_detect.formats.tool_extension import ToolOptions
    from trainer_detect.formats.tool_labels import LabelledObject, Labels, Picture
    from trainer_host import DataContext
    from trainer_host.data import Description

PROBED = 50
"""Images that are looked for in a folder to see whether it is the right one."""
SHARE = 0.2
Part = tuple["Labels", list["Picture"]]


class ToolFormat(NamedTuple):
    """The files of a tool.

    Attributes:
        kind: Their kind.
        read: Reads one of them.
        points: What only files with keypoints contain.
    """

    kind: Kind
    read: Callable[[Path], Labels]
    points: re.Pattern[bytes]

    def read_dataset(self, ctx: DataContext, options: ToolOptions) -> Description:
        """Return the dataset that ``ctx.source`` names."""
        return read_tool_dataset(find_source(ctx.source, ctx.images, self.kind), self.read, options)

    def told_keys(self, source: str) -> set[str]:
        """Return the keys that the dataset will have, without reading it."""
        found = find_source(source, (), self.kind)
        keys = {"names", "nc", "channels", *found.keys}
        paths = (f for path in found.files.values() for f in self.kind.files_of(path))
        return {*keys, "kpt_shape", "kpt_names"} if any(_mentions(f, self.points) for f in paths) else keys


def _mentions(path: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        small = path.is_file() and path.stat().st_size <= MOST_BYTES
        return small and pattern.search(path.read_bytes()) is not None
    except (OSError, ValueError):
        return False


def read_tool_dataset(source: Source, read: Callable[[Path], Labels], options: ToolOptions) -> Description:
    """Read the labels of a tool.

    Args:
        source: The files.
        read: Reads one of them.
        options: The options of the plugin.
    """
    known = {path: read(path) for path in dict.fromkeys(source.files.values())}
    for labels in known.values():
        labels.note_counts()
        source.findings += labels.findings
    parts = _parts(source, {split: known[path] for split, path in source.files.items()}, options.holdout)
    points = _keypoint_names(source, list(known.values()))
    classes = _classes(source, list(known.values()), points)
    files, images = {}, []
    for split, (labels, pictures) in parts.items():
        folder, names = _find_images(source, split, labels, pictures)
        if folder is None:
            continue
        kept = [(p, n) for p, n in zip(pictures, names, strict=True) if n or not p.optional]
        absent = sum(not n and bool(p.objects) for p, n in zip(pictures, names, strict=True))
        if absent:
            what = f"{counted(absent, 'labelled frame')} of {len(pictures)} without an image, not used."
            labels.add("annotation-frames", what, labels.remedy, severity="warning")
            source.findings.append(labels.findings[-1])
        files[split] = _as_coco(labels, kept, classes, points)
        part = LabelledImages(split, files[split], list(files[split].images.values()), folder, folder.parent)
        images.append(part)
        _note_faults(source, part, [p for p, _ in kept])
    names = class_names(source, files)
    keys = keypoint_keys(source, files, names)
    if keys:
        keys |= _mirrored(known.values(), points)
    return description_of(source, images, names, keys, options.margin)


def _parts(source: Source, labels: dict[str, Labels], holdout: float | None) -> dict[str, Part]:
    """Return the images of each split: by the tool's subsets, or with a part held out, if one file has them all."""
    parts = {split: (found, list(found.pictures)) for split, found in labels.items()}
    for split, (found, pictures) in parts.items():
        if not pictures and not any(f.severity == "error" for f in found.findings):
            finding = Finding("split-empty", "the labels have no images.", "label images", str(found.path), split=split)
            source.findings.append(finding)
    parts = {split: part for split, part in parts.items() if part[1]}
    if list(labels) != ["train"] or not parts:
        return parts
    found, pictures = parts["train"]
    subsets = {p.subset: split_of(p.subset or "") for p in pictures}
    if {"train", "val"} <= set(subsets.values()) and None not in subsets.values():
        return {s: (found, [p for p in pictures if subsets[p.subset] == s]) for s in SPLITS if s in subsets.values()}
    if len(pictures) == 1:
        alone = found.kind.for_each_image and found.path.is_file()
        folder = shlex.quote(display_path(found.path.parent))
        fix = f"give the folder with the files of all images: data={folder}" if alone else "add images"
        source.findings.append(one_image_finding(found.path, fix))
        return parts
    held = _held(source, found, pictures, holdout)
    return {
        "train": (found, [p for p, out in zip(pictures, held, strict=True) if not out]),
        "val": (found, [p for p, out in zip(pictures, held, strict=True) if out]),
    }


def _held(source: Source, labels: Labels, pictures: Sequence[Picture], holdout: float | None) -> list[bool]:
    """Return which images are held out: whole videos or tasks if there are several, else images by their names."""
    groups = sorted({p.group for p in pictures if p.group is not None})
    plugin = labels.kind.plugin
    if holdout is None and len(groups) > 1 and all(p.group is not None for p in pictures):
        chosen = {g for g, out in zip(groups, held_out(groups, SHARE), strict=True) if out}
        held = [p.group in chosen for p in pictures]
        what = f"held out for validation: {listed(sorted(chosen))}, {sum(held)} of {len(held)} images."
        fix = f"hold out a fraction of all images: {plugin}.holdout={SHARE}"
        source.findings.append(Finding("holdout", what, fix, str(labels.path), None, "warning"))
        return held
    held = held_out([p.key or p.names[0] for p in pictures], holdout or SHARE)
    if len(groups) == 1 or any(p.optional for p in pictures):
        remedy = "label a second video to hold it out, as frames of one video resemble each other"
        source.findings.append(held_out_finding(labels.path, sum(held), len(held), remedy))
        return held
    remedy = (
        f"give the labels of each split to choose yourself: data=TRAIN,VAL; {plugin}.holdout=0.1 for another fraction"
    )
    source.findings.append(held_out_finding(labels.path, sum(held), len(held), remedy))
    return held


# Classes and keypoints


def _objects(labels: Iterable[Labels]) -> Iterable[LabelledObject]:
    return (o for found in labels for p in found.pictures for o in p.objects)


def _keypoint_names(source: Source, labels: Sequence[Labels]) -> list[str]:
    """Return the keypoints of all classes: those of the YAML, else those that are declared, then others by name."""
    used = sorted({name for o in _objects(labels) for name in o.points})
    given = source.keys.get("kpt_names")
    given = next(iter(given.values()), None) if isinstance(given, dict) else given
    if isinstance(given, list) and all(isinstance(n, str) for n in given):
        if unknown := [n for n in used if n not in given]:
            what = f"the labels have keypoints that are not in kpt_names: {listed(unknown)}."
            source.add(source.kind.codes.keypoints, what, "add them to kpt_names", "kpt_names")
        return list(dict.fromkeys([*given, *used]))
    declared = [points for found in labels for points in found.classes.values() if points]
    names = list(dict.fromkeys([n for points in declared for n in points] + used))
    if len({frozenset(points) for points in declared}) > 1:
        what = (
            f"the classes have different keypoints; each row has all {len(names)}, those of other classes not labelled."
        )
        fix = "remove classes that you do not need, if that is too many"
        where = str(labels[0].path), None
        source.findings.append(Finding("annotation-keypoints-differ", what, fix, *where, severity="warning"))
    return names


def _classes(source: Source, labels: Sequence[Labels], points: Sequence[str]) -> dict[str, bool]:
    """Return the classes in order, each with whether it has keypoints."""
    used = sorted({o.label for o in _objects(labels)})
    pointed = {o.label for o in _objects(labels) if o.points}
    pointed |= {name for found in labels for name, declared in found.classes.items() if declared}
    names = list(dict.fromkeys([n for found in labels for n in found.classes] + used))
    # A label that only names points is not a class.
    kept = [n for n in names if n in used or n not in points]
    given = source.keys.get("names")
    wanted = list(given.values()) if isinstance(given, dict) else given
    if isinstance(wanted, list) and set(used) <= set(map(str, wanted)):
        kept = [str(n) for n in wanted]
    return {n: n in pointed for n in kept}


def _mirrored(labels: Iterable[Labels], points: Sequence[str]) -> dict[str, Any]:
    """Return ``flip_idx`` where the files say which keypoints are each other's mirror image."""
    pairs = {k: v for found in labels for k, v in found.mirrored.items()}
    if not pairs:
        return {}
    flips = [pairs.get(n, n) for n in points]
    return {"flip_idx": [points.index(n) for n in flips]} if sorted(flips) == sorted(points) else {}


# Images


def _places(source: Source, split: str) -> list[Path]:
    """Return the folders in which images may be."""
    file = source.files.get(split) or source.files["train"]
    given = source.folders.get(split) or source.folders.get("train")
    home = file if file.is_dir() else file.parent
    bases = [given.absolute()] if given else [home, home / "images", home.parent / "images", home.parent]
    places = [b / part for b in bases for part in dict.fromkeys(["", split, file.stem])]
    return [p for p in places if os.path.isdir(p)] or places[:1]  # noqa: PTH112 - of any name


def _find_images(
    source: Source, split: str, labels: Labels, pictures: Sequence[Picture]
) -> tuple[Path | None, list[str]]:
    """Return the folder of a split's images, and the path of each: empty for one that may be missing and is."""
    places = _places(source, split)
    wanted = [p for p in labels.pictures if p.objects or not p.optional] or labels.pictures
    hits = _hits(places, wanted[:: max(1, len(wanted) // PROBED)])
    hits = hits if max(hits) else _hits(places, wanted)
    if not max(hits):
        if any(f.code == labels.kind.codes.images and f.file == str(labels.path) for f in source.findings):
            return None, []  # reported with the other split of the file
        looked = ", ".join(dict.fromkeys(map(str, places)))
        first, count = wanted[0].names[0], len(labels.pictures)
        what = f"none of the {count} images is in {looked}, such as {first}."
        if count == 1:
            what = f"the image {first} is not in {looked}."
        of = split if len(source.files) > 1 else None
        source.findings.append(Finding(labels.kind.codes.images, what, labels.remedy, str(labels.path), split=of))
        return None, []
    best = places[hits.index(max(hits))]
    names = []
    for picture in pictures:
        others = places if picture.objects or not picture.optional else ()
        found = next((f for place in (best, *others) if (f := _found(place, picture))), None)
        names.append(found or ("" if picture.optional else str(best / picture.names[0])))
    return best, names


def _hits(places: Sequence[Path], pictures: Sequence[Picture]) -> list[int]:
    return [sum(_found(place, p) is not None for p in pictures) for place in places]


def _found(place: Path, picture: Picture) -> str | None:
    for name in picture.names:
        path = os.path.join(place, name)  # noqa: PTH118 - many
        if "\0" not in name and os.path.isfile(path):  # noqa: PTH113
            return path
    return None


# The form of COCO


def _as_coco(
    labels: Labels, pictures: Sequence[tuple[Picture, str]], classes: dict[str, bool], points: Sequence[str]
) -> CocoFile:
    coco = CocoFile(labels.path, labels.kind)
    pairs = [[points.index(a) + 1, points.index(b) + 1] for a, b in labels.skeleton if a in points and b in points]
    for name, pointed in classes.items():
        content: dict[str, Any] = {"id": name, "name": name}
        if pointed:
            content |= {"keypoints": list(points), "skeleton": pairs}
        coco.categories[name] = Item(0, content)
    for number, (picture, path) in enumerate(pictures):
        content = {"id": number, "file_name": path, "label_file": picture.file and str(picture.file)}
        if picture.size:
            content |= dict(zip(("width", "height"), picture.size, strict=True))
        coco.images[number] = Item(picture.line, content)
        for o in picture.objects:
            content = {"id": o.who, "image_id": number, "category_id": o.label, "bbox": list(o.box or (0, 0, 0, 0))}
            if classes[o.label]:
                content["keypoints"] = [float(v) for name in points for v in o.points.get(name, (0, 0, 0))]
            coco.annotations.append(Item(o.line, content))
    return coco


def _note_faults(source: Source, part: LabelledImages, pictures: Sequence[Picture]) -> None:
    """Note the problems of the labels of single images, and images that are there twice."""
    first: dict[str, Picture] = {}
    for picture, item in zip(pictures, part.images, strict=True):
        path = os.path.abspath(item.content["file_name"])  # noqa: PTH100
        faults = list(picture.faults)
        if path in first:
            other = first[path]
            where = display_path(other.file) if other.file else f"line {other.line}"
            what = f"the image {path} is labelled twice, first in {where}."
            faults.append(ShapeFault("annotation-duplicate-image", what, "keep one of them", picture.line))
        first.setdefault(path, picture)
        for code, message, fix, line in faults:
            file = str(picture.file or part.file.path)
            source.findings.append(Finding(code, message, fix, file, line or None, split=part.name, image=path))

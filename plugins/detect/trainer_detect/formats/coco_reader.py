"""COCO files as a dataset: which images each split has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer_detect.formats.coco_classes import class_names, keypoint_keys
from trainer_detect.formats.coco_file import CocoFile, Item, read_coco
from trainer_detect.formats.coco_source import find_folder
from trainer_detect.formats.common import MARGIN, held_out_finding, one_image_finding
from trainer_detect.formats.labelled_images import LabelledImages, description_of
from trainer_host.data import held_out

if TYPE_CHECKING:
    from trainer_detect.formats.coco_source import Source
    from trainer_host.data import Description


def read_dataset(source: Source, holdout: float, margin: float = MARGIN) -> Description:
    """Read the COCO files of a dataset.

    Args:
        source: The files.
        holdout: The fraction of the images that is held out if one file has them all.
        margin: How far a box that is made from keypoints reaches beyond them, as a fraction of their longer extent.
    """
    read = {path: read_coco(path) for path in dict.fromkeys(source.files.values())}
    source.findings += [f for coco in read.values() for f in coco.findings]
    files = {split: read[path] for split, path in source.files.items()}
    names = class_names(source, files)
    keys = keypoint_keys(source, files, names)
    parts = []
    for name, (coco, images) in _parts(source, files, holdout).items():
        folder = find_folder(source, name, images)
        if folder is not None:
            parts.append(LabelledImages(name, coco, images, folder))
    return description_of(source, parts, names, keys, margin)


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

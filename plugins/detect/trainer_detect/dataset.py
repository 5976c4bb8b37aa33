"""The engine's dataset of boxes, given the labels that the host has read."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_file_speeds, get_split_fraction
from ultralytics.utils import LOGGER, colorstr
from ultralytics.utils.patches import imread

from trainer_detect.augment import Augment
from trainer_detect.labels import BOX, engine_labels, polygon_labels
from trainer_detect.rows import keypoint_shape
from trainer_host import DatasetError, PluginError, Problem
from trainer_host.data import Description, cache_folder, gc_paused, read_images_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer_host import LoaderContext
    from trainer_host.data import Split
    from trainer_host.typing import Augmentation

NOWHERE = Path(os.devnull) / "none"
"""A path that never exists, on which the engine decides for each image that no decoded copy is kept."""
DISK_SAMPLES = 30
DISK_MARGIN = 1.1
POLYGON = 7
"""Columns that a class and three points have."""


class ParsedDataset(YOLODataset):  # type: ignore[misc, unused-ignore]
    """The engine's dataset without its scan: it reads and writes no label caches, and writes nothing next to images.

    Args:
        split: The split as the host has read it.
        augmentations: Functions that change each training image, after the engine's own transforms.
    """

    def __init__(self, *args: Any, split: Split, augmentations: Sequence[Augmentation] = (), **kwargs: Any) -> None:
        self.split = split
        self.augmentations = tuple(augmentations)
        self._arrays: list[Path] | None = None
        super().__init__(*args, **kwargs)

    def get_img_files(self, img_path: Any) -> list[str]:
        """Return the images of the split, or the fraction of them that is to be used."""
        total = len(self.split)
        count = self.fraction if isinstance(self.fraction, int) else max(1, round(total * self.fraction))
        files = self.split.images[:count]
        check_file_speeds(files, prefix=self.prefix)  # draws from the global generator, as the engine's own does
        return files

    def get_labels(self) -> list[dict[str, Any]]:
        """Return the labels of the images."""
        with gc_paused():
            return self._labels(len(self.im_files))

    def _labels(self, count: int) -> list[dict[str, Any]]:
        points, dims = self.data.get("kpt_shape", (0, 0))
        self._refuse_misfits(BOX + points * dims)
        if self.use_keypoints:
            labels = engine_labels(self.split, points, dims, count)
        elif np.isin(self.split.row_lengths, [BOX, longer := BOX + points * dims]).all():
            labels = engine_labels(self.split, 0, 0, count, longer)
        else:
            labels = polygon_labels(self.split, count, points, dims)
        self.label_files = self.split.label_files[:count]
        self.verify_labels(labels, Path(self.label_files[0]))
        return labels

    def _refuse_misfits(self, columns: int) -> None:
        """Refuse rows that cannot be trained on; if the dataset was checked, the check has found them.

        Raises:
            DatasetError: If there are any; none is passed over.
        """
        split = self.split
        polygon = (split.row_lengths >= POLYGON) & (split.row_lengths % 2 == 1) & (not self.use_keypoints)
        fits = (
            split.row_lengths == columns if self.use_keypoints else np.isin(split.row_lengths, [BOX, columns]) | polygon
        )
        bad = np.flatnonzero(~split.crowd & ~(fits & split.valid))
        if len(bad):
            what = f"the row has {split.row_lengths[bad[0]]} numbers, which is not what the task reads."
            raise DatasetError(split.of_row(int(bad[0]), "label-columns", what, "see trainer check").problem())

    def build_transforms(self, hyp: Any = None) -> Any:
        """Return the engine's transforms, with the augmentations of plugins before the last, which makes tensors.

        The engine asks again when it closes the mosaic.

        Raises:
            PluginError: If there are augmentations, and objects that they would not change with the image.
        """
        transforms = super().build_transforms(hyp)
        if not (self.augment and self.augmentations):
            return transforms
        if self.use_segments or self.use_obb:
            what = "augmentations of plugins change boxes and points, not the outlines that this task trains on."
            raise PluginError(Problem(what, "remove the plugin, or wrap its hook build_dataset instead"))
        flip_idx = self.data.get("flip_idx") or () if self.use_keypoints else ()
        transforms.insert(-1, Augment(self.augmentations, len(self.data["names"]), flip_idx))
        return transforms

    @property
    def npy_files(self) -> list[Path]:
        """Folder of decoded images with ``cache=disk``: in the user's cache folder, never next to the images."""
        if self._arrays is None:
            kept = self.cache == "disk"
            self._arrays = [self._array(f) if kept else NOWHERE for f in self.im_files]
        return self._arrays

    @npy_files.setter
    def npy_files(self, files: Any) -> None:
        """Ignore the engine's choice."""

    def _array(self, file: str) -> Path:
        found = Path(file).stat()
        facts = (file, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, self.channels)
        return cache_folder() / "images" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.npy"

    def check_cache_disk(self, safety_margin: float = DISK_MARGIN - 1) -> bool:
        """Return whether the decoded images fit on the disk; draws as many random numbers as the engine's own."""
        sample = [random.choice(self.im_files) for _ in range(min(self.ni, DISK_SAMPLES))]  # noqa: S311
        images = (imread(file, flags=self.cv2_flag) for file in sample)
        needed = sum(i.nbytes for i in images if i is not None) * self.ni / len(sample) * (1 + safety_margin)
        folder = cache_folder() / "images"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
        except OSError as error:
            LOGGER.warning(f"cache=disk is ignored: {folder} cannot be written to ({error.strerror}).")
            self.cache = None
            return False
        if needed > free:
            LOGGER.warning(f"cache=disk is ignored: {needed / 2**30:.1f} GiB are needed at {folder}.")
            self.cache = None
            return False
        return True


def parsed_dataset(ctx: LoaderContext, *, rect: bool = False) -> ParsedDataset:
    """Return the dataset that the engine's `build_yolo_dataset` builds for boxes, from what the host has read.

    Args:
        ctx: What to load.
        rect: Whether to pad images to rectangles also without the setting ``rect``.

    Raises:
        DatasetError: If the engine cannot use the images, the labels, or the keys of the dataset.
    """
    args, training = ctx.args, ctx.mode == "train"
    name = "train" if training else args.split or "val"
    try:
        return ParsedDataset(
            img_path=ctx.path,
            imgsz=args.imgsz,
            batch_size=ctx.batch_size,
            augment=training,
            hyp=args,
            rect=args.rect or rect,
            cache=args.cache or None,
            single_cls=args.single_cls or False,
            stride=ctx.stride,
            pad=0.0 if training else 0.5,
            prefix=colorstr(f"{ctx.mode}: "),
            task=args.task,
            classes=args.classes,
            data=_without_shape(ctx.data),
            fraction=1.0 if ctx.data.get("complete") else get_split_fraction(args.fraction, name),
            split=split_of(ctx.data, name, ctx.path),
            augmentations=ctx.augmentations,
        )
    except (RuntimeError, ValueError, FileNotFoundError, AssertionError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"the {ctx.mode} images cannot be used: {' '.join(str(error).split())}") from error


def _without_shape(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys, without a keypoint shape that is none: the engine unpacks it for every task."""
    keys = dict(data)
    if keypoint_shape(Description(keys, file="")) is None:
        keys.pop("kpt_shape", None)
    return keys


def split_of(data: Mapping[str, Any], name: str, path: Any) -> Split:
    """Return a split of the dataset that was read; images from elsewhere are read now.

    Raises:
        DatasetError: If there is something wrong with images that are read now, or if there are none.
    """
    splits: dict[str, Split] = getattr(data, "splits", {})
    if name in splits and path == data.get(name):
        return splits[name]
    for split in splits.values():
        if path == data.get(split.name):
            return split
    sources = [Path(p).resolve() for p in (path if isinstance(path, list) else [path])]
    return read_images_at(name, sources)

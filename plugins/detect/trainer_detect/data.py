"""The dataset and the loader of boxes: the engine's own, with what its detection trainer adds to them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from ultralytics.data import YOLODataset, build_dataloader
from ultralytics.data.utils import (
    check_det_dataset,
    convert_ndjson_to_yolo_if_needed,
    find_dataset_yaml,
    get_split_fraction,
    img2label_paths,
)
from ultralytics.models.yolo.detect import DetectionTrainer as Engine
from ultralytics.utils import DATASETS_DIR, LOGGER, ONLINE, ROOT, clean_url, colorstr
from ultralytics.utils.patches import override_configs

from trainer_host import AutobatchHints, DatasetError, Finding, Problem, UnsafeError
from trainer_host.data.dataset_yaml import line_of_key, read_dataset_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer_host import DataContext, RunContext


SHOWN = 3
"""Files that a warning names before it counts the others."""


def read_dataset(ctx: DataContext) -> Mapping[str, Any]:
    """Read a dataset YAML as the engine does, after ruling out what would run code or fetch unasked.

    Raises:
        DatasetError: If it cannot be read.
    """
    vet_source(ctx)
    try:
        source = convert_ndjson_to_yolo_if_needed(ctx.source, ctx.args.fraction, split=ctx.split)
        # Only what the engine ships may be fetched: for any other dataset this would run its download.
        data: dict[str, Any] = check_det_dataset(source, autodownload=_is_shipped(ctx.source), split=ctx.split)
    except Exception as error:  # the engine raises whatever comes; its own trainer makes one error of all
        raise DatasetError(f"the dataset {ctx.source} cannot be used: {' '.join(str(error).split())}") from error
    if ctx.args.single_cls:
        LOGGER.info("Overriding class names with single class.")
        data["names"], data["nc"] = {0: "item"}, 1
    return data


def vet_source(ctx: DataContext) -> None:
    """Rule out a dataset that is missing, unreadable, or would make the engine run or fetch something.

    A dataset that the engine ships is trusted, and fetched where it is missing, unless the run is offline.

    Raises:
        DatasetError: If there is something wrong.
        UnsafeError: If a YAML would be fetched whose download could then run, or anything in an offline run.
    """
    source, path = ctx.source, Path(ctx.source)
    if "://" in source:
        _vet_remote(ctx)
    elif path.is_dir():
        _vet_folder(ctx, path)
    elif not path.exists():
        _vet_shipped(ctx, path)
    elif path.suffix.lower() in {".yaml", ".yml"}:
        _vet_yaml(ctx, path)
    elif path.suffix.lower() == ".ndjson" and ctx.offline:
        raise UnsafeError(Problem(f"the images of {source} would be fetched, and the run is offline."))


def _vet_remote(ctx: DataContext) -> None:
    if ctx.offline:
        raise UnsafeError(Problem(f"{ctx.source} would be fetched, and the run is offline.", "Give a local file."))
    if clean_url(ctx.source).lower().endswith((".yaml", ".yml")):
        what = f"{ctx.source} is refused: a dataset YAML from the network can run its download."
        raise UnsafeError(Problem(what, "Fetch it yourself, read it, and give the local file."))


def _vet_folder(ctx: DataContext, folder: Path) -> None:
    try:
        found = find_dataset_yaml(folder)
    except (FileNotFoundError, AssertionError) as error:
        what = f"there is not one dataset YAML in {folder}."
        raise DatasetError(Problem(what, "Give the file itself: data=FOLDER/data.yaml")) from error
    _vet_yaml(ctx, Path(found))


def _shipped(source: str) -> Path | None:
    """Return the dataset YAML of the engine that a bare name means, where no file of the user's has it."""
    if Path(source).parent != Path() or Path(source).exists():
        return None
    names = [ROOT / "cfg" / "datasets" / f"{source}{suffix}" for suffix in ("", ".yaml", ".yml")]
    return next((f for f in names if f.is_file()), None)


def _is_shipped(source: str) -> bool:
    return _shipped(source) is not None


def _vet_shipped(ctx: DataContext, path: Path) -> None:
    found = _shipped(str(path))
    if found is None:
        raise DatasetError(
            Problem(f"there is no dataset {ctx.source}.", "Give the path of a dataset YAML: data=my.yaml")
        )
    missing = _missing_images(read_dataset_yaml(found), found, ctx.split)
    if missing and (ctx.offline or not ONLINE):
        raise DatasetError(
            Problem(
                f"the images of {ctx.source} are not here, and there is no network to fetch them.",
                f"Put them at {missing[1]}, or give another dataset: data=my.yaml",
            )
        )


def _vet_yaml(ctx: DataContext, path: Path) -> None:
    content = read_dataset_yaml(path)
    missing = _missing_images(content, path, ctx.split)
    if missing is None:
        return
    key, where = missing
    what = f"{key}: there are no images at {where}."
    fix = "Fix: correct the path; it is relative to the YAML, or to its path: key."
    if content.get("download"):
        fix = f"Fix: the dataset names a download ({content['download']!s:.60}), which is never run; fetch it yourself."
    raise DatasetError(Problem(what, fix, f"{path}:{line_of_key(path, key) or 1}"))


def _missing_images(content: dict[str, Any], file: Path, split: str) -> tuple[str, Path] | None:
    """Return the first split whose images are not where the engine would look, with that place."""
    root = Path(str(content.get("path") or file.parent))
    if not root.exists() and not root.is_absolute():
        root = (DATASETS_DIR / root).resolve()
    for key in dict.fromkeys(("train", split or "val")):
        given = content.get(key, content.get("validation") if key == "val" else None)
        for entry in [given] if isinstance(given, str) else given if isinstance(given, list) else []:
            place = (root / str(entry)).resolve()
            # The engine's second try, which it makes for a single folder and not for a list of them.
            bare = isinstance(given, str) and given.startswith("../")
            without_dots = (root / str(entry)[3:]).resolve() if bare else place
            if not place.exists() and not without_dots.exists():
                return key, place
    return None


def check_dataset(ctx: DataContext) -> Iterator[Finding]:
    """Yield what is wrong with the classes."""
    if not ctx.data["names"]:
        yield Finding("names-empty", "the dataset has no classes.", "write names: [object]", ctx.source)


class ScannedDataset(YOLODataset):  # type: ignore[misc, unused-ignore]
    """The engine's dataset, which reads the labels themselves: a cache beside them is a pickle of whoever made it."""

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        with TemporaryDirectory() as elsewhere:  # the engine writes what it has read, which is not to be in the dataset
            scanned: dict[str, Any] = self.cache_labels(Path(elsewhere) / cache_path.name)
        return scanned, False


def build_dataset(ctx: DataContext) -> Any:
    """Return the engine's dataset; validation images are padded to rectangles.

    Raises:
        DatasetError: If the engine cannot use the images, the labels, or the keys of the dataset.
    """
    return scanned_dataset(ctx.args, ctx.path, ctx.batch_size, ctx.data, ctx.mode, ctx.stride, ctx.mode == "val")


def scanned_dataset(
    args: Any, path: Any, batch: int | None, data: Mapping[str, Any], mode: str, stride: int, rect: bool
) -> Any:
    """Return the dataset that the engine's `build_yolo_dataset` builds for boxes, without its label cache."""
    training = mode == "train"
    split = "train" if training else args.split or "val"
    try:
        dataset = ScannedDataset(
            img_path=path,
            imgsz=args.imgsz,
            batch_size=batch,
            augment=training,
            hyp=args,
            rect=args.rect or rect,
            cache=args.cache or None,
            single_cls=args.single_cls or False,
            stride=stride,
            pad=0.0 if training else 0.5,
            prefix=colorstr(f"{mode}: "),
            task=args.task,
            classes=args.classes,
            data=data,
            fraction=1.0 if data.get("complete") else get_split_fraction(args.fraction, split),
        )
    except (RuntimeError, ValueError, FileNotFoundError, AssertionError) as error:
        raise DatasetError(f"the {mode} images cannot be used: {' '.join(str(error).split())}") from error
    tell_left_out(dataset, mode)
    return dataset


def tell_left_out(dataset: Any, mode: str) -> None:
    """Warn of images that the engine leaves out, because they or their labels cannot be used."""
    used = set(img2label_paths(dataset.im_files))
    left_out = [label for label in dataset.label_files if label not in used]
    if left_out:
        count, names = len(left_out), ", ".join(left_out[:SHOWN])
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        LOGGER.warning(
            f"{count} of {len(dataset.label_files)} {mode} images are left out, because the image or its label file "
            f"cannot be used. Run with -v to see why. Label files: {names}{more}"
        )


def build_loader(ctx: DataContext, dataset: Any) -> Any:
    """Return the engine's loader.

    Rectangular training batches differ in shape, so that a shuffled loader could not stack them.
    """
    training = ctx.mode == "train"
    shuffle = training
    if training and getattr(dataset, "rect", False) and np.any(dataset.batch_shapes != dataset.batch_shapes[0]):
        LOGGER.warning("'rect=True' is incompatible with DataLoader shuffle, setting shuffle=False")
        shuffle = False
    return build_dataloader(
        dataset,
        batch=ctx.batch_size,
        workers=ctx.args.workers * (1 if training else 2),
        shuffle=shuffle,
        rank=ctx.rank,
        drop_last=ctx.args.compile and training,
        device=ctx.device,
    )


def preprocess_batch(ctx: RunContext, batch: dict[str, Any]) -> dict[str, Any]:
    """Have the engine's detection trainer prepare the batch."""
    prepared: dict[str, Any] = Engine.preprocess_batch(ctx.engine, batch)
    return prepared


def autobatch_hints(ctx: RunContext) -> AutobatchHints:
    """Return four times the objects of the fullest training image, since a mosaic joins four."""
    trainer = ctx.engine
    with override_configs(trainer.args, overrides={"cache": False}) as trainer.args:
        dataset = trainer.build_dataset(trainer.data["train"], mode="train", batch=16)
    return AutobatchHints(max(len(label["cls"]) for label in dataset.labels) * 4, len(dataset))

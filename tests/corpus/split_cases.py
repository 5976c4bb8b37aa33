"""Splits that lead nowhere, lead to the same images, or are listed wrongly."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.corpus.generator import (
    TRAIN,
    Change,
    Expected,
    case,
    content,
    keys,
    moved,
    picture,
    row,
    sparse,
    together,
    warning,
    yaml_text,
)


def emptied(folder: str) -> Change:
    def change(root: Path) -> None:
        shutil.rmtree(root / folder)
        (root / folder).mkdir()

    return change


def outside(root: Path) -> None:
    shutil.copytree(root / "images", root.with_name(f"{root.name}-elsewhere") / "images")
    shutil.copytree(root / "labels", root.with_name(f"{root.name}-elsewhere") / "labels")
    (root / "data.yaml").write_text(yaml_text(train=f"train: ../{root.name}-elsewhere/images/train"))


def links_alone(root: Path) -> None:
    emptied("images/train")(root)
    (root / "images/store").mkdir()
    for name in ("a", "b"):
        (root / "images/train" / name).symlink_to("../store")


def gifs_alone(root: Path) -> None:
    for image in sorted((root / "images/train").iterdir()):
        image.unlink()
        picture(1).convert("P").save(image.with_suffix(".gif"))


def linked_out(root: Path) -> None:
    """Link the images of train, with their labels, into the dataset."""
    target = root.with_name(f"{root.name}-elsewhere")
    shutil.copytree(root / "images/train", target / "images/train")
    shutil.copytree(root / "labels/train", target / "labels/train")
    shutil.rmtree(root / "images/train")
    (root / "images/train").symlink_to(target / "images/train")


def image_out(root: Path) -> None:
    target = root.with_name(f"{root.name}-elsewhere.jpg")
    (root / "images/train/00.jpg").rename(target)
    (root / "images/train/00.jpg").symlink_to(target)


LISTED = "".join(f"./images/{name}.jpg\n" for name in TRAIN)

CASES = [
    case(
        "train-folder-missing",
        "train leads nowhere",
        keys(train="train: images/trian"),
        Expected("split-missing-path", line=1),
    ),
    case(
        "val-folder-missing", "val leads nowhere", keys(val="val: images/valid"), Expected("split-missing-path", line=2)
    ),
    case(
        "test-folder-missing",
        "test leads nowhere",
        keys(test="test: images/test"),
        warning("split-missing-path", "data.yaml", 13),
    ),
    case(
        "one-folder-missing",
        "One of two folders is missing",
        keys(train="train:\n  - images/train\n  - images/more"),
        Expected("split-missing-path", line=(1, 3)),
    ),
    case(
        "path-missing",
        "path leads nowhere",
        keys(path="path: gone-for-good"),
        Expected("split-missing-path", line=(1, 2, 13)),
    ),
    case(
        "train-address",
        "train is an address in the network",
        keys(train="train: https://example.com/images.zip"),
        Expected("split-missing-path", line=1),
    ),
    case(
        "train-of-windows",
        "A path as Windows writes it",
        keys(train=r"train: images\train"),
        Expected("split-missing-path", line=1),
    ),
    case(
        "train-of-an-unknown-user",
        "The home of a user that there is not",
        keys(train="train: ~nobody-there/images"),
        Expected("split-missing-path", line=1),
    ),
    case(
        "train-with-a-blank",
        "A blank at the end of a path",
        keys(train='train: "images/train "'),
        Expected("split-missing-path", line=1),
    ),
    case(
        "train-is-a-device",
        "train is a device that never ends",
        keys(train="train: /dev/zero"),
        Expected("key-type", line=1),
        also="path-outside",
        heavy=True,
    ),
    case(
        "train-is-an-image",
        "train is one image",
        keys(train="train: images/train/00.jpg"),
        Expected("key-type", line=1),
    ),
    case(
        "train-folder-empty",
        "No images in the folder",
        emptied("images/train"),
        Expected("split-empty", line=1),
        also="label-orphan",
    ),
    case(
        "val-without-pictures",
        "A folder that holds text only",
        together(emptied("images/val"), content("images/val/notes.txt", "none yet\n")),
        Expected("split-empty", line=2),
        also="label-orphan",
    ),
    case("splits-same", "val is train", keys(val="val: images/train"), warning("splits-same", line=(1, 2))),
    case(
        "splits-same-otherwise-written",
        "val is train, written otherwise",
        keys(val="val: ./images/../images/train/"),
        warning("splits-same", line=(1, 2)),
    ),
    case("test-is-val", "test is val", keys(test="test: images/val"), warning("splits-same", line=(2, 13))),
    case(
        "splits-share-an-image",
        "A training image is in val too, under another name",
        together(
            lambda root: shutil.copyfile(root / "images/train/00.jpg", root / "images/val/99.jpg") and None,
            content("labels/val/99.txt", row(0, (0.5, 0.5, 0.3, 0.3), 5, (2, 2, 2, 2))),
        ),
        warning("splits-share-images", "images/val/99.jpg"),
    ),
    case(
        "path-outside",
        "train lies outside of the dataset's folder",
        outside,
        warning("path-outside", line=1),
        also="splits-share-images",
    ),
    case(
        "path-habit",
        "../images/train, where it is meant without the dots",
        keys(train="train: ../images/train"),
        warning("path-habit", line=1),
    ),
    case(
        "validation-for-val", "validation: for val:", keys(val="validation: images/val"), warning("unknown-key", line=2)
    ),
    case(
        "list-entry-missing",
        "A list file names an image that there is not",
        together(keys(train="train: train.txt"), content("train.txt", LISTED.replace("/02.jpg", "/20.jpg"))),
        Expected("list-entry-missing", "train.txt", 3),
        also="label-orphan",
    ),
    case(
        "list-latin-1",
        "A list file saved as Latin-1",
        together(
            keys(train="train: train.txt"), content("train.txt", f"{LISTED}./images/train/é.jpg\n".encode("latin-1"))
        ),
        Expected("list-encoding", "train.txt", 7),
        also="split-empty",
    ),
    case(
        "list-of-a-gigabyte",
        "A list file of one gigabyte of zeros",
        together(keys(train="train: train.txt"), sparse("train.txt", 1 << 30)),
        Expected("list-encoding", "train.txt"),
        also="split-empty",
        heavy=True,
    ),
    case(
        "list-empty",
        "A list file without lines",
        together(keys(train="train: train.txt"), content("train.txt", "")),
        Expected("split-empty", line=1),
    ),
    case(
        "list-without-extension",
        "A list file names an image without its extension",
        together(keys(train="train: train.txt"), content("train.txt", f"{LISTED}./images/train/00\n")),
        Expected("list-entry-missing", "train.txt", 7),
    ),
    case(
        "list-twice",
        "A list file names an image twice",
        together(keys(train="train: train.txt"), content("train.txt", f"{LISTED}./images/train/00.jpg\n")),
        warning("image-duplicate", "train.txt", 7),
    ),
    case(
        "path-of-windows",
        "path is a folder of another machine, with Windows",
        keys(path=r"path: C:\Users\me\mice"),
        Expected("split-missing-path", line=13),
    ),
    case(
        "path-of-a-notebook",
        "path is a folder of a notebook in the cloud",
        keys(path="path: /content/drive/MyDrive/mice"),
        Expected("split-missing-path", line=13),
    ),
    case(
        "path-with-a-part",
        "path is a folder of another machine, whose last part is here",
        together(
            keys(path="path: /kaggle/input/mice/data"), moved("images", "data/images"), moved("labels", "data/labels")
        ),
        Expected("split-missing-path", line=13),
    ),
    case(
        "train-of-another-machine",
        "train and val are folders of another machine",
        keys(train="train: /home/other/mice/images/train", val=r"val: D:\mice\images\val"),
        Expected("split-missing-path", line=1),
        Expected("split-missing-path", line=2),
    ),
    case(
        "train-split-first",
        "train/images for images/train",
        keys(train="train: train/images", val="val: valid/images"),
        Expected("split-missing-path", line=1),
        Expected("split-missing-path", line=2),
    ),
    case(
        "list-of-another-machine",
        "A list file names images of another machine",
        together(
            keys(train="train: train.txt"), content("train.txt", LISTED.replace("./images", "/content/mice/images"))
        ),
        Expected("list-entry-missing", "train.txt", 1),
        also="list-entry-missing",
    ),
    case(
        "train-of-links-alone",
        "train has two links to one folder, in which there are no images",
        links_alone,
        Expected("split-empty", line=1),
        also="image-duplicate label-orphan",
    ),
    case(
        "train-of-gifs",
        "Every picture in train is a GIF",
        gifs_alone,
        Expected("split-empty", line=1),
        also="image-format label-orphan",
    ),
    case(
        "train-link-outside",
        "train is a link that leads out of the dataset",
        linked_out,
        warning("link-outside", line=1),
    ),
    case(
        "image-link-outside",
        "An image is a link that leads out of the dataset",
        image_out,
        warning("link-outside", "images/train/00.jpg"),
    ),
    case(
        "images-beside",
        "The images are not where train says",
        moved("images/train", "pictures/train"),
        Expected("split-missing-path", line=1),
    ),
]

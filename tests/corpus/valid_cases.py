"""Unusual but valid datasets: no error, and no warning but the ones named."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.corpus.generator import (
    FIRST_IMAGE,
    FIRST_LABELS,
    TRAIN,
    VAL,
    Case,
    Change,
    case,
    content,
    each_label,
    each_row,
    edit_row,
    keys,
    numbers,
    picture,
    rows,
    saved,
    together,
    warning,
    yaml_text,
)
from tests.corpus.yaml_cases import RUNS_CODE


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, (RUNS_CODE,)


def foreign_cache(root: Path) -> None:
    """Leave a label cache of another tool, which runs code where it is unpickled."""
    for split in ("train", "val"):
        with (root / f"labels/{split}.cache").open("wb") as file:
            np.save(file, np.array(Evil(), dtype=object), allow_pickle=True)
    (root / "labels/notes.pickle").write_bytes(pickle.dumps(Evil()))


def renamed(stem: str, extension: str = ".jpg") -> Change:
    """Rename every image and label file; ``{n}`` in the stem is its number."""

    def change(root: Path) -> None:
        for n, name in enumerate(TRAIN + VAL):
            split = name.partition("/")[0]
            new = stem.format(n=n)
            (root / f"images/{name}.jpg").rename(root / f"images/{split}/{new}{extension}")
            (root / f"labels/{name}.txt").rename(root / f"labels/{split}/{new}.txt")

    return change


def redrawn(extension: str, mode: str = "RGB") -> Change:
    """Save every image in another form."""

    def change(root: Path) -> None:
        for n, name in enumerate(TRAIN + VAL):
            (root / f"images/{name}.jpg").unlink()
            picture(n).convert(mode).save(root / f"images/{name}{extension}")

    return change


def two_dimensions(root: Path) -> None:
    keys(kpt_shape="kpt_shape: [4, 2]")(root)
    for n, name in enumerate(TRAIN + VAL):
        (root / f"labels/{name}.txt").write_text("\n".join(rows(n, dims=2)) + "\n")


def read_only(root: Path) -> None:
    for path in sorted(root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    root.chmod(0o555)


def linked_images(root: Path) -> None:
    (root / "store").mkdir()
    for name in TRAIN + VAL:
        image = root / f"images/{name}.jpg"
        stored = root / "store" / name.replace("/", "-")
        image.rename(stored)
        image.symlink_to(Path("../../store") / stored.name)


def arrays_beside(root: Path) -> None:
    for name in TRAIN:
        np.save(root / f"images/{name}.npy", np.zeros((48, 64, 3), np.uint8))


def two_folders(root: Path) -> None:
    for kind, extension in (("images", "jpg"), ("labels", "txt")):
        (root / kind / "more").mkdir()
        (root / f"{kind}/train/05.{extension}").rename(root / f"{kind}/more/05.{extension}")
    keys(train="train: [images/train, images/more]")(root)


def subfolders(root: Path) -> None:
    for kind, extension in (("images", "jpg"), ("labels", "txt")):
        (root / kind / "train/day 1/cam.2").mkdir(parents=True)
        (root / f"{kind}/train/05.{extension}").rename(root / f"{kind}/train/day 1/cam.2/05.{extension}")


def together_in_a_folder(root: Path) -> None:
    for split in ("train", "val"):
        shutil.move(root / "images" / split, root / split)
        for file in (root / "labels" / split).iterdir():
            file.rename(root / split / file.name)
    shutil.rmtree(root / "labels")
    (root / "images").rmdir()
    keys(train="train: train", val="val: val")(root)


def absolute_path(root: Path) -> None:
    keys(path=f"path: {root.resolve()}")(root)


def test_split(root: Path) -> None:
    shutil.copytree(root / "labels/val", root / "labels/test")
    (root / "images/test").mkdir()
    for n, label in enumerate(sorted((root / "labels/test").iterdir())):
        picture(50 + n).save(root / f"images/test/{label.stem}.jpg")
    keys(test="test: images/test")(root)


def valid(name: str, why: str, change: Change, *expected: Any) -> Case:
    return case(f"valid-{name}", why, change, *expected)


LISTED = "".join(f"./images/{name}.jpg\n" for name in TRAIN)
METADATA = """author: somebody
license: CC BY 4.0
roboflow:
  workspace: mice
  version: 3
version: 1.2
description: "mice, and rats"
"""

CASES = [
    valid("plain", "The base itself", lambda root: None),
    valid(
        "crlf",
        "Lines end as on Windows",
        together(
            content("data.yaml", yaml_text().replace("\n", "\r\n")), each_label(lambda t: t.replace("\n", "\r\n"))
        ),
    ),
    valid(
        "byte-order-marks",
        "YAML and labels begin with a byte order mark",
        together(content("data.yaml", "\ufeff" + yaml_text()), each_label(lambda t: "\ufeff" + t)),
    ),
    valid("names-of-files", "Blanks, dots and letters of other alphabets in file names", renamed("мышь no. {n} 鼠")),
    valid(
        "names-of-classes", "Letters of other alphabets in class names", keys(names="names: [мышь, 'rat: large 鼠']")
    ),
    valid("names-of-bytes", "File names that are not UTF-8", renamed(os.fsdecode(b"caf\xe9 ") + "{n}")),
    valid("names-of-two-lines", "File names with a line break and quotation marks", renamed("a \"b\"\n'c' {n}")),
    valid("capital-extensions", "Images named .JPG", renamed("IMG_{n}", ".JPG")),
    valid("empty-labels", "Empty label files, for background", content(FIRST_LABELS, "")),
    valid("blank-labels", "A label file of blanks and empty lines", content(FIRST_LABELS, " \n\n\t\n")),
    valid("grayscale", "Images in shades of gray", redrawn(".jpg", "L")),
    valid(
        "one-channel",
        "Images in shades of gray, and channels: 1",
        together(redrawn(".png", "L"), keys(channels="channels: 1")),
    ),
    valid("png", "PNG", redrawn(".png")),
    valid("transparency", "PNG with transparency", redrawn(".png", "RGBA")),
    valid("palette", "PNG of 256 colours", redrawn(".png", "P")),
    valid("progressive", "Progressive JPEG", saved(FIRST_IMAGE, picture(0), progressive=True)),
    valid("webp", "WebP", redrawn(".webp")),
    valid("bmp", "BMP", redrawn(".bmp")),
    valid("tiff", "TIFF", redrawn(".tif")),
    valid("jpeg-extension", "Images named .jpeg", renamed("{n}", ".jpeg")),
    valid("list-of-names", "Classes as a list", keys(names="names: [mouse, rat]")),
    valid("nc-and-names", "nc next to names", keys(nc="nc: 2")),
    valid("nc-as-text", 'nc: "2"', keys(nc='nc: "2"')),
    valid("nc-alone", "nc without names", keys(names=None, nc="nc: 2")),
    valid("read-only", "Nothing may be written", read_only),
    valid("links-inside", "Images are symlinks to files of the dataset", linked_images),
    valid("foreign-cache", "A label cache of another tool, which runs code when it is read", foreign_cache),
    valid("arrays-beside", "Arrays (.npy) next to the images", arrays_beside),
    valid(
        "list-file",
        "train is a text file of paths",
        together(keys(train="train: train.txt"), content("train.txt", LISTED)),
    ),
    valid(
        "list-file-crlf",
        "A list file with a byte order mark, Windows lines and an empty last line",
        together(
            keys(train="train: train.txt"), content("train.txt", "\ufeff" + LISTED.replace("\n", "\r\n") + "\r\n")
        ),
    ),
    valid("two-folders", "train is a list of folders", two_folders),
    valid("subfolders", "Images in folders within folders, with a dot in their names", subfolders),
    valid("labels-beside", "Label files next to the images", together_in_a_folder),
    valid("absolute-path", "path is absolute", absolute_path),
    valid("path-dot", "path: .", keys(path="path: .")),
    valid("test-split", "A test split", test_split),
    valid("metadata", "Keys of other tools", content("data.yaml", yaml_text() + METADATA)),
    valid(
        "comments",
        "Comments, a document's start and end",
        content("data.yaml", f"# Mice\n---\n{yaml_text()}  # the end\n...\n"),
    ),
    valid(
        "flow-style",
        "JSON for YAML",
        content(
            "data.yaml",
            '{"train": "images/train", "val": "images/val", "names": {"0": "mouse", "1": "rat"}, '
            '"kpt_shape": [4, 3], "flip_idx": [0, 2, 1, 3], "kpt_oks_sigmas": [0.05, 0.05, 0.05, 0.05]}\n',
        ),
    ),
    valid(
        "anchors",
        "Names of keypoints written once, with an anchor",
        keys(kpt_names="kpt_names:\n  0: &k [nose, left_ear, right_ear, tail]\n  1: *k"),
    ),
    valid(
        "merge-key",
        "Keys merged from another one",
        keys(kpt_oks_sigmas=None, more="<<: {kpt_oks_sigmas: [0.1, 0.1, 0.1, 0.1]}"),
    ),
    valid(
        "blanks",
        "Tabs, many blanks and empty lines between and after the rows",
        each_label(lambda t: "\n\n".join(line.replace(" ", " \t ") + "  " for line in t.splitlines()) + "\n\n\n"),
    ),
    valid("no-last-newline", "No newline at the end", each_label(lambda t: t.rstrip("\n"))),
    valid(
        "numbers",
        "Numbers as 5.0e-1, +.5 and 00.5",
        edit_row(
            lambda w: [f"{w[0]}.0", f"{float(w[1]):.3e}", f"+{w[2].lstrip('0')}", f"0{w[3]}", *w[4:7], "2.0", *w[8:]]
        ),
    ),
    valid("many-digits", "Seventeen digits", each_row(lambda w: [w[0], *(f"{float(v):.17g}" for v in w[1:])])),
    valid(
        "edges",
        "A box that fills the image, keypoints on its edge",
        numbers("0.5 0.5 1 1 0 0 2 1 1 2 0 1 2 1 0 2"),
    ),
    valid(
        "within-tolerance",
        "A keypoint at 1.005, which the engine takes",
        numbers("0.8 0.5 0.4 0.4 1.005 0.5 2 0.9 0.5 2 0.8 0.5 2 0.8 0.6 1"),
    ),
    valid("two-dimensions", "Keypoints without visibility", two_dimensions),
    valid(
        "hidden-files",
        "Files and folders of the system and of editors",
        together(
            content("images/train/._00.jpg", bytes(100)),
            content("images/train/.DS_Store", bytes(10)),
            content("images/.ipynb_checkpoints/00.jpg", b"x"),
            content("images/train/Thumbs.db", bytes(10)),
            content("labels/train/.00.txt.swp", b"x"),
        ),
    ),
    valid(
        "classes-file",
        "A list of classes among the labels, as labelling tools leave it",
        content("labels/train/classes.txt", "mouse\nrat\n"),
    ),
    valid(
        "label-missing-for-background",
        "One image of background has no label file",
        lambda root: (root / FIRST_LABELS).unlink(),
        warning("label-missing", FIRST_IMAGE),
    ),
    valid(
        "some-invisible",
        "Keypoints that are not visible lie at 0, 0",
        edit_row(lambda w: [*w[:8], *["0"] * 9]),
    ),
    valid(
        "flip-off",
        "flip_idx of keypoints without sides",
        keys(flip_idx="flip_idx: [0, 1, 2, 3]", kpt_names="kpt_names: {0: [a, b, c, d], 1: [a, b, c, d]}"),
    ),
]

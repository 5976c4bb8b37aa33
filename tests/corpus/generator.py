"""A small sound dataset, drawn on the spot, and the changes that break it.

The base has six training and three validation images of 64x48 pixels. Each has two rows: an object of either class with
four keypoints. A case is the base with a change, and what a check has to say of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN = tuple(f"train/{n:02}" for n in range(6))
VAL = tuple(f"val/{n:02}" for n in range(6, 9))
WIDTH, HEIGHT = 64, 48
FIRST_LABELS = "labels/train/00.txt"
FIRST_IMAGE = "images/train/00.jpg"

KEYS = {
    "train": "train: images/train",
    "val": "val: images/val",
    "names": "names:\n  0: mouse\n  1: rat",
    "kpt_shape": "kpt_shape: [4, 3]",
    "flip_idx": "flip_idx: [0, 2, 1, 3]",
    "kpt_names": "kpt_names:\n  0: [nose, left_ear, right_ear, tail]\n  1: [nose, left_ear, right_ear, tail]",
    "kpt_oks_sigmas": "kpt_oks_sigmas: [0.05, 0.05, 0.05, 0.05]",
    "skeleton": "skeleton: [[0, 1], [0, 2], [0, 3]]",
}
"""The base's YAML, key by key: train is on line 1, val 2, names 3 to 5, kpt_shape 6, flip_idx 7, kpt_names 8 to 10,
kpt_oks_sigmas 11, skeleton 12, and what a case adds on line 13."""

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Expected:
    """A finding that a check must have.

    Attributes:
        code: Its code.
        file: Its file, relative to the YAML's folder.
        line: Its line, or the lines that are all right; None for the file as a whole.
        severity: Its severity.
    """

    code: str
    file: str = "data.yaml"
    line: int | tuple[int, ...] | None = None
    severity: str = "error"


def warning(code: str, file: str = "data.yaml", line: int | tuple[int, ...] | None = None) -> Expected:
    """Return an expected warning."""
    return Expected(code, file, line, "warning")


@dataclass(frozen=True)
class Case:
    """A dataset and what is wrong with it.

    Attributes:
        name: Its name, and that of its folder.
        why: What is unusual about it, in a few words.
        change: What is done to the base.
        expected: The findings that there must be, and no others.
        also: Codes that may be found besides, because they follow from what is wrong.
        options: Options of the check.
        heavy: Whether it is run in a process of its own, whose memory is measured.
        needs_user: Whether it means nothing to the superuser, who may read everything.
    """

    name: str
    why: str
    change: Change
    expected: tuple[Expected, ...] = ()
    also: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    heavy: bool = False
    needs_user: bool = False

    def make(self, folder: Path) -> Path:
        """Draw the dataset into a new folder and return its YAML."""
        draw_base(folder)
        self.change(folder)
        return folder / "data.yaml"


def case(
    name: str, why: str, change: Change, *expected: Expected, also: str = "", **rest: bool | tuple[str, ...]
) -> Case:
    """Return a case; ``also`` is a text of codes with blanks between them."""
    return Case(name, why, change, expected, frozenset(also.split()), **rest)  # type: ignore[arg-type]


def draw_base(folder: Path) -> None:
    """Draw the sound dataset."""
    for number, name in enumerate(TRAIN + VAL):
        image, label = folder / f"images/{name}.jpg", folder / f"labels/{name}.txt"
        for file in (image, label):
            file.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(image, quality=90)
        label.write_text("".join(f"{row}\n" for row in rows(number)))
    (folder / "data.yaml").write_text(yaml_text())


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Return a picture of coloured blocks, a different one for each number."""
    blocks = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BILINEAR)


def rows(number: int, dims: int = 3) -> list[str]:
    """Return the two rows of an image."""
    shift = 0.01 * number
    left = row(0, (0.3 + shift, 0.4, 0.3, 0.4), number, (2, 2, 1, 2), dims)
    right = row(1, (0.7 - shift, 0.6, 0.25, 0.35), number + 1, (2, 1, 2, 2 * (number % 2)), dims)
    return [left, right]


def row(kind: int, box: tuple[float, float, float, float], number: int, visible: tuple[int, ...], dims: int = 3) -> str:
    """Return a row whose four keypoints lie in its box; a keypoint that is not visible is at 0, 0."""
    x, y, width, height = box
    numbers = [f"{kind}", *(f"{v:.4f}" for v in box)]
    for k, v in enumerate(visible):
        angle = 1.5 * k + 0.2 * number
        point = (x + 0.4 * width * np.cos(angle), y + 0.4 * height * np.sin(angle)) if v or dims == 2 else (0, 0)
        numbers += [f"{c:.4f}" for c in point] + [f"{v}"] * (dims - 2)
    return " ".join(numbers)


def yaml_text(**blocks: str | None) -> str:
    """Return the base's YAML with some keys replaced, added, or (None) left out."""
    return "".join(f"{block}\n" for block in {**KEYS, **blocks}.values() if block is not None)


def keys(**blocks: str | None) -> Change:
    """Replace, add or leave out keys of the YAML."""
    return content("data.yaml", yaml_text(**blocks))


def content(file: str, data: str | bytes) -> Change:
    """Write a file."""

    def change(folder: Path) -> None:
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())

    return change


def token(index: int, text: str, line: int = 2, file: str = FIRST_LABELS) -> Change:
    """Replace one number of a row; 0 is the class, 1 to 4 the box, then x, y and visibility of each keypoint."""

    def edit(words: list[str]) -> list[str]:
        return [*words[:index], text, *words[index + 1 :]]

    return edit_row(edit, line, file)


def edit_row(edit: Callable[[list[str]], list[str]], line: int = 2, file: str = FIRST_LABELS) -> Change:
    """Change the words of a row."""

    def change(folder: Path) -> None:
        lines = (folder / file).read_text().splitlines()
        lines[line - 1] = " ".join(edit(lines[line - 1].split()))
        (folder / file).write_text("".join(f"{text}\n" for text in lines))

    return change


def numbers(text: str) -> Change:
    """Write other numbers after the class in line 2 of the first label file."""
    return edit_row(lambda words: [words[0], *text.split()])


def each_label(edit: Callable[[str], str | bytes]) -> Change:
    """Change the text of every label file."""

    def change(folder: Path) -> None:
        for file in sorted((folder / "labels").glob("*/*.txt")):
            data = edit(file.read_text())
            file.write_bytes(data if isinstance(data, bytes) else data.encode())

    return change


def each_row(edit: Callable[[list[str]], list[str]]) -> Change:
    """Change the words of every row."""
    return each_label(lambda text: "".join(" ".join(edit(line.split())) + "\n" for line in text.splitlines()))


def saved(file: str, image: Image.Image, **options: object) -> Change:
    """Save a picture; the first image is removed where the file replaces it under another name."""

    def change(folder: Path) -> None:
        if Path(file).with_suffix("") == Path(FIRST_IMAGE).with_suffix(""):
            (folder / FIRST_IMAGE).unlink(missing_ok=True)
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / file, **options)

    return change


def together(*changes: Change) -> Change:
    """Make several changes, one after the other."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def removed(file: str) -> Change:
    """Remove a file, or an empty folder."""

    def change(folder: Path) -> None:
        target = folder / file
        target.rmdir() if target.is_dir() else target.unlink()

    return change


def moved(file: str, target: str) -> Change:
    """Move a file or a folder."""

    def change(folder: Path) -> None:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).rename(folder / target)

    return change


def linked(file: str, target: str) -> Change:
    """Make a symlink in the place of a file; the target is relative to the link."""

    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(target)

    return change


def sparse(file: str, size: int) -> Change:
    """Make a file of zeros that takes no space."""

    def change(folder: Path) -> None:
        with (folder / file).open("wb") as stream:
            stream.truncate(size)

    return change


def pipe(file: str) -> Change:
    """Put a named pipe, which nobody fills, in the place of a file."""

    def change(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    return change


def with_mode(file: str, mode: int) -> Change:
    """Change the permissions of a file or a folder."""
    return lambda folder: (folder / file).chmod(mode)

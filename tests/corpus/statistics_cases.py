"""Datasets whose files are sound, and whose contents as a whole are not."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from tests.corpus.generator import Expected, case, each_row, rows, warning

SAME = "0.5 0.5 0.4 0.4 0.4 0.4 2 0.5 0.4 2 0.4 0.5 2 0.5 0.5 2"


def never_the_tail(words: list[str]) -> list[str]:
    return [*words[:-3], "0", "0", "0"]


def one_rare_class(root: Path) -> None:
    for n, file in enumerate(sorted((root / "labels/train").glob("*.txt"))):
        good = rows(n)[0].split()
        text = [" ".join(["0", f"{0.3 + 0.001 * k:.4f}", *good[2:]]) for k in range(60)]
        file.write_text("\n".join(text + rows(n)[1:] * (n == 0)) + "\n")


def neighbours(root: Path) -> None:
    """Put a picture of train into val, stored with another quality."""
    for n in (0, 1):
        with Image.open(root / f"images/train/{n:02}.jpg") as image:
            image.save(root / f"images/val/{n + 90}.jpg", quality=70)
        shutil.copyfile(root / f"labels/train/{n:02}.txt", root / f"labels/val/{n + 90}.txt")


CASES = [
    case(
        "keypoints-all-invisible",
        "No keypoint is visible anywhere",
        each_row(lambda w: [*w[:5], *["0", "0", "0"] * 4]),
        Expected("keypoints-none", line=1),
        warning("keypoints-none", line=2),
        also="keypoints-identical",
    ),
    case(
        "keypoint-never-visible", "The tail is never visible", each_row(never_the_tail), warning("keypoint-never-seen")
    ),
    case(
        "keypoints-identical",
        "Every row has the same keypoints",
        each_row(lambda w: [w[0], SAME]),
        warning("keypoints-identical"),
        also="duplicate-row",
    ),
    case(
        "class-never-seen",
        "No rat anywhere",
        each_row(lambda w: ["0", *w[1:]]),
        warning("class-never-seen", line=(3, 5)),
    ),
    case(
        "classes-out-of-balance", "360 mice, one rat", one_rare_class, warning("class-imbalance"), also="keypoint-far"
    ),
    case(
        "near-duplicates",
        "Two training images are in val, stored with another quality",
        neighbours,
        warning("near-duplicate", "images/val/90.jpg"),
        also="near-duplicate near-duplicates",
        options=("--deep",),
    ),
]

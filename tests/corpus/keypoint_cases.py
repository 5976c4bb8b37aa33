"""Datasets whose keypoints are not labelled, lie apart from their boxes, or differ in number between classes."""

from __future__ import annotations

from pathlib import Path

from tests.corpus.generator import FIRST_LABELS, Change, Expected, case, each_row, keys, rows, together, warning


def in_split(split: str, points: list[str]) -> Change:
    """Write the same keypoints into every row of a split."""

    def change(root: Path) -> None:
        for file in sorted((root / "labels" / split).glob("*.txt")):
            words = [line.split() for line in file.read_text().splitlines()]
            file.write_text("".join(" ".join([*row[:5], *points]) + "\n" for row in words))

    return change


def shorter_rats(words: list[str]) -> list[str]:
    return words[:-3] if words[0] == "1" else words


def tail_in_the_corner(root: Path) -> None:
    """Move one tail of the mice far away from its box."""
    first, second = rows(0)
    (root / FIRST_LABELS).write_text(f"{' '.join([*first.split()[:-3], '0.99', '0.99', '2'])}\n{second}\n")


UNLABELLED, CORNER = ["0", "0", "0"] * 4, ["0", "0", "2"] * 4

CASES = [
    case(
        "keypoints-unlabelled-in-train",
        "No keypoint is labelled in train",
        in_split("train", UNLABELLED),
        Expected("keypoints-none", line=1),
        also="keypoints-identical",
    ),
    case(
        "keypoints-unlabelled-in-val",
        "No keypoint is labelled in val",
        in_split("val", UNLABELLED),
        warning("keypoints-none", line=2),
    ),
    case(
        "keypoints-all-in-the-corner",
        "Every keypoint is visible at 0 0",
        each_row(lambda w: [*w[:5], *CORNER]),
        Expected("keypoints-none", line=1),
        warning("keypoints-none", line=2),
        also="keypoint-zero keypoints-identical",
    ),
    case("keypoint-slip", "One tail lies in a corner", tail_in_the_corner, warning("keypoint-far", FIRST_LABELS, 1)),
    case(
        "kpt-shape-by-class",
        "A shape for each class",
        together(keys(kpt_shape="kpt_shape: {0: [4, 3], 1: [3, 3]}"), each_row(shorter_rats)),
        Expected("kpt-shape", line=6),
    ),
    case(
        "kpt-shape-list-of-shapes",
        "A list of shapes",
        keys(kpt_shape="kpt_shape: [[4, 3], [3, 3]]"),
        Expected("kpt-shape", line=6),
    ),
    case(
        "keypoints-fewer-in-a-class",
        "Rats have three keypoints, mice four",
        each_row(shorter_rats),
        Expected("label-columns", FIRST_LABELS, 2),
        also="label-columns",
    ),
]

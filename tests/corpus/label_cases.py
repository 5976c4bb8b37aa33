"""Broken label files: columns, numbers, ranges, classes, keypoints, files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.corpus.generator import (
    FIRST_LABELS,
    HEIGHT,
    WIDTH,
    Case,
    Change,
    Expected,
    case,
    content,
    each_label,
    each_row,
    edit_row,
    keys,
    linked,
    moved,
    numbers,
    picture,
    pipe,
    removed,
    rows,
    sparse,
    together,
    token,
    warning,
    with_mode,
)


def at(code: str, line: int | None = 2, severity: str = "error") -> Expected:
    """Return what is expected of the first label file."""
    return Expected(code, FIRST_LABELS, line, severity)


def one(name: str, why: str, index: int, text: str, code: str, severity: str = "error") -> Case:
    """Return a case of one number in line 2."""
    return case(name, why, token(index, text), at(code, 2, severity))


def whole(name: str, why: str, data: str | bytes, code: str, line: int | None = None) -> Case:
    """Return a case of one label file."""
    return case(name, why, content(FIRST_LABELS, data), at(code, line))


def pixels(words: list[str]) -> list[str]:
    sides = (WIDTH, HEIGHT)
    box = [f"{float(v) * sides[i % 2]:.1f}" for i, v in enumerate(words[1:5])]
    points = [f"{float(v) * sides[i % 3]:.1f}" if i % 3 < 2 else v for i, v in enumerate(words[5:])]
    return [words[0], *box, *points]


def point_pixels(words: list[str]) -> list[str]:
    return [*words[:5], *pixels(words)[5:]]


def folder_for_file(root: Path) -> None:
    (root / FIRST_LABELS).unlink()
    (root / FIRST_LABELS).mkdir()


def linked_out(text: str) -> Change:
    """Make the first label file a link to a file outside of the dataset."""

    def change(root: Path) -> None:
        target = root.with_name(f"{root.name}-elsewhere.txt")
        target.write_text(text)
        (root / FIRST_LABELS).unlink()
        (root / FIRST_LABELS).symlink_to(target)

    return change


def labels_into(place: str, name: str = "{stem}.txt") -> Change:
    """Move every label file into another folder, or give it another name."""

    def change(root: Path) -> None:
        for file in sorted((root / "labels").glob("*/*.txt")):
            target = root / place.format(split=file.parent.name) / name.format(stem=file.stem)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        for folder in (root / "labels/train", root / "labels/val", root / "labels"):
            if not any(folder.iterdir()):
                folder.rmdir()

    return change


def labelme(root: Path) -> None:
    for image in sorted((root / "images").glob("*/*.jpg")):
        shape = {"label": "nose", "points": [[20, 20]], "shape_type": "point"}
        whole = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imagePath": image.name, "imageData": None}
        image.with_suffix(".json").write_text(json.dumps(whole))


def linked_folder(root: Path) -> None:
    target = root.with_name(f"{root.name}-elsewhere")
    (root / "labels/train").rename(target)
    (root / "labels/train").symlink_to(target)


def many_rows(root: Path) -> None:
    lines = (f"0 {0.4 + n * 1e-6:.6f} .5 .3 .3{' .5 .5 2' * 4}\n" for n in range(100_000))
    (root / FIRST_LABELS).write_text("".join(lines))


def without_visibility(first: str) -> Change:
    """Write labels of two dimensions, one keypoint of which is at the given place."""

    def change(root: Path) -> None:
        keys(kpt_shape="kpt_shape: [4, 2]")(root)
        for n, file in enumerate(sorted((root / "labels").glob("*/*.txt"))):
            file.write_text("\n".join(rows(n, dims=2)) + "\n")
        edit_row(lambda words: [*words[:5], *first.split(), *words[7:]])(root)

    return change


COLUMNS = [
    case("row-short", "The last number is missing", edit_row(lambda w: w[:-1]), at("label-columns")),
    case("row-long", "A number too many", edit_row(lambda w: [*w, "0.5"]), at("label-columns")),
    case("row-of-a-box", "A row of a box alone", edit_row(lambda w: w[:5]), at("label-columns")),
    case("row-of-three-keypoints", "A row of three keypoints", edit_row(lambda w: w[:-3]), at("label-columns")),
    case("row-of-a-class", "A row of a class alone", edit_row(lambda w: w[:1]), at("label-columns")),
    case("row-of-a-polygon", "A row of a polygon", edit_row(lambda w: [*w[:5], "0.4", "0.6"]), at("label-columns")),
    case(
        "rows-of-boxes",
        "Every row is of a box alone",
        each_row(lambda w: w[:5]),
        at("label-columns", 1),
        also="label-columns",
    ),
    case(
        "rows-without-visibility",
        "Every row lacks visibility",
        each_row(lambda w: [*w[:5], *(v for i, v in enumerate(w[5:]) if i % 3 < 2)]),
        at("label-columns", 1),
        also="label-columns",
    ),
    case(
        "row-endless",
        "A row of two million numbers",
        content(FIRST_LABELS, "0 " + "0.5 " * 2_000_000),
        at("label-columns", 1),
        heavy=True,
    ),
]

NUMBERS = [
    one("class-by-name", "The name in place of the class", 0, "rat", "label-number"),
    one("word-in-a-row", "A word among the numbers", 6, "left", "label-number"),
    case(
        "comma-decimals",
        "Commas for decimal points",
        edit_row(lambda w: [v.replace(".", ",") for v in w]),
        at("label-number"),
    ),
    case("commas-between", "Commas between the numbers", edit_row(lambda w: [",".join(w)]), at("label-number")),
    case(
        "header",
        "A header above the rows",
        each_label(lambda t: f"class x y w h\n{t}"),
        at("label-number", 1),
        also="label-number",
    ),
    case("comment", "A comment after a row", edit_row(lambda w: [*w, "#", "left"]), at("label-number")),
    one("minus-of-a-typesetter", "A typographic minus", 6, "\N{MINUS SIGN}0.5", "label-number"),
    one("not-a-number", "nan for a keypoint", 5, "nan", "label-not-finite"),
    one("box-not-a-number", "nan for a box", 3, "nan", "label-not-finite"),
    one("infinite", "inf for a keypoint", 5, "inf", "label-not-finite"),
    one("beyond-a-double", "1e999", 5, "1e999", "label-not-finite"),
    whole("json-labels", "JSON in place of rows", '{"class": 0, "box": [0.5, 0.5, 0.3, 0.3]}\n', "label-number", 1),
]

RANGES = [
    case("pixels", "A row in pixels", edit_row(pixels), at("label-pixels")),
    case("pixels-everywhere", "Every row is in pixels", each_row(pixels), at("label-pixels", 1), also="label-pixels"),
    case("keypoints-in-pixels", "Keypoints in pixels, the box in shares", edit_row(point_pixels), at("label-pixels")),
    one("box-centre-outside", "The centre is right of the image", 1, "1.2", "box-range"),
    one("box-centre-negative", "The centre is left of the image", 1, "-0.2", "box-range"),
    one("box-huge", "A width of 1e30", 3, "1e30", "box-range"),
    one("box-wide", "A box wider than the image", 3, "1.5", "box-range"),
    one("box-width-negative", "A negative width", 3, "-0.25", "box-negative"),
    one("box-without-width", "A width of 0", 3, "0", "box-empty"),
    one("box-without-height", "A height of 0.0", 4, "0.0", "box-empty"),
    case(
        "box-partly-outside",
        "A box that reaches out of the image",
        numbers("0.9 0.5 0.4 0.4" + " 0.9 0.5 2" * 4),
        at("box-outside", 2, "warning"),
    ),
    case(
        "keypoint-hidden-outside",
        "A keypoint that is not visible at 1.2",
        edit_row(lambda w: [*w[:5], "1.2", w[6], "0", *w[8:]]),
        at("keypoint-range"),
    ),
    case(
        "corners",
        "Corners in place of centre and size",
        edit_row(lambda w: [w[0], "0.6", "0.5", "0.9", "0.8", *w[5:]]),
        at("box-outside", 2, "warning"),
        also="keypoint-far",
    ),
]

CLASSES = [
    one("class-fraction", "Class 0.5", 0, "0.5", "class-type"),
    one("class-negative", "Class -1", 0, "-1", "class-range"),
    one("class-too-large", "Class 2 of the classes 0 and 1", 0, "2", "class-range"),
    one("class-huge", "Class 1e10", 0, "1e10", "class-range"),
    case(
        "classes-from-one",
        "Every class is counted from 1",
        each_row(lambda w: [str(int(w[0]) + 1), *w[1:]]),
        at("class-range", 2),
        also="class-range class-never-seen",
    ),
]

KEYPOINTS = [
    one("keypoint-right-of-the-image", "A visible keypoint at 1.2", 5, "1.2", "keypoint-range"),
    one("keypoint-left-of-the-image", "A visible keypoint at -0.2", 5, "-0.2", "keypoint-range"),
    case(
        "keypoint-far",
        "A visible keypoint far from its box",
        numbers("0.8 0.8 0.1 0.1 0.1 0.1 2" + " 0.8 0.8 2" * 3),
        at("keypoint-far", 2, "warning"),
    ),
    one("visibility-three", "Visibility 3", 7, "3", "visibility"),
    one("visibility-half", "Visibility 0.5", 7, "0.5", "visibility"),
    one("visibility-negative", "Visibility -1", 7, "-1", "visibility"),
    case(
        "visibility-first",
        "Visibility before x and y",
        edit_row(lambda w: [*w[:5], *(v for k in range(4) for v in (w[7 + 3 * k], w[5 + 3 * k], w[6 + 3 * k]))]),
        Expected("keypoint-range", FIRST_LABELS, 2),
        also="visibility label-pixels",
    ),
    case(
        "two-dimensions-zero",
        "0 0 in labels without visibility",
        without_visibility("0 0"),
        at("keypoint-zero", 2, "warning"),
    ),
    case(
        "two-dimensions-negative",
        "-1 -1 in labels without visibility",
        without_visibility("-1 -1"),
        at("keypoint-range"),
    ),
]

FILES = [
    case("row-twice", "A row twice", edit_row(lambda w: [*w, "\n", *w]), at("duplicate-row", 3, "warning")),
    case(
        "label-missing",
        "An image without a label file",
        removed(FIRST_LABELS),
        warning("label-missing", "images/train/00.jpg"),
    ),
    case(
        "labels-missing",
        "The folder of labels is missing",
        lambda root: shutil.rmtree(root / "labels"),
        Expected("labels-none", line=(1, 2)),
        also="label-missing labels-none",
    ),
    case(
        "labels-misnamed",
        "label for labels",
        moved("labels", "label"),
        Expected("labels-none", line=(1, 2)),
        also="label-missing labels-none",
    ),
    case(
        "labels-beside-the-images",
        "Label files next to the images, not in labels/",
        labels_into("images/{split}"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-annotations",
        "annotations for labels",
        moved("labels", "annotations"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-without-splits",
        "One folder of labels for both splits",
        labels_into("labels"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-below-the-images",
        "A folder of labels within each folder of images",
        labels_into("images/{split}/labels"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-split-first",
        "train/labels for labels/train",
        labels_into("{split}/labels"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-full-names",
        "Label files named 00.jpg.txt",
        labels_into("labels/{split}", "{stem}.jpg.txt"),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "labels-of-labelme",
        "Annotations of labelme next to the images",
        together(lambda root: shutil.rmtree(root / "labels"), labelme),
        Expected("labels-none", line=1),
        also="labels-none",
    ),
    case(
        "label-beside-its-image",
        "One label file next to its image, the others in labels/",
        moved(FIRST_LABELS, "images/train/00.txt"),
        warning("labels-misplaced", line=1),
    ),
    case(
        "labels-empty",
        "Every label file is empty",
        each_label(lambda _: ""),
        Expected("labels-none", line=(1, 2)),
        also="class-never-seen labels-none",
    ),
    case(
        "label-capital-extension",
        "A label file named .TXT",
        moved(FIRST_LABELS, "labels/train/00.TXT"),
        warning("labels-misplaced", line=1),
    ),
    case(
        "label-orphan",
        "A label file without an image",
        content("labels/train/99.txt", rows(1)[0] + "\n"),
        warning("label-orphan", "labels/train/99.txt"),
    ),
    whole("label-utf-16", "A label file saved as UTF-16", "\n".join(rows(1)).encode("utf-16"), "label-encoding"),
    whole(
        "label-latin-1",
        "A label file with an é in Latin-1",
        f"{rows(1)[0]}\n".encode() + b"\xe9\n",
        "label-encoding",
        2,
    ),
    case(
        "label-is-a-picture",
        "A picture named .txt",
        lambda root: picture(1).save(root / FIRST_LABELS, "PNG"),
        at("label-encoding", None),
    ),
    whole("label-of-zeros", "Zero bytes, as a crash leaves them", bytes(64), "label-encoding"),
    whole(
        "label-ends-in-zeros",
        "Zero bytes after the rows, as a crash leaves them",
        f"{rows(1)[0]}\n".encode() + bytes(64),
        "label-encoding",
    ),
    case("label-is-a-folder", "A folder named .txt", folder_for_file, at("label-directory", None)),
    case("label-is-a-pipe", "A named pipe, which nobody fills", pipe(FIRST_LABELS), at("label-unreadable", None)),
    case(
        "label-link-broken", "A symlink that leads nowhere", linked(FIRST_LABELS, "gone.txt"), at("link-broken", None)
    ),
    case(
        "label-link-to-a-secret",
        "A symlink to a file of the user that is not one of labels",
        linked_out("the password is 5 0 1 2 3\n"),
        at("label-outside", None),
    ),
    case(
        "label-link-to-numbers",
        "A symlink to a file of numbers that are not labels",
        linked_out("12 345 6789 1234 5678\n"),
        at("label-outside", None),
    ),
    case(
        "label-link-outside",
        "A symlink to a label file outside of the dataset",
        linked_out("\n".join(rows(0)) + "\n"),
        at("label-outside", None, "warning"),
    ),
    case(
        "labels-link-outside",
        "A folder of labels that is a link out of the dataset",
        linked_folder,
        warning("link-outside", "labels/train"),
    ),
    case(
        "label-without-permission",
        "A label file that may not be read",
        with_mode(FIRST_LABELS, 0),
        at("label-unreadable", None),
        needs_user=True,
    ),
    case(
        "labels-without-permission",
        "A folder of labels that may not be read",
        with_mode("labels/train", 0),
        Expected("label-unreadable", "labels/train"),
        also="label-unreadable labels-none label-missing",
        needs_user=True,
    ),
    case(
        "label-of-a-gigabyte",
        "A label file of one gigabyte",
        sparse(FIRST_LABELS, 1 << 30),
        at("label-too-large", None),
        heavy=True,
    ),
    case("label-of-many-rows", "100,000 rows for one image", many_rows, at("label-too-many-rows", None), heavy=True),
]

CASES = [*COLUMNS, *NUMBERS, *RANGES, *CLASSES, *KEYPOINTS, *FILES]

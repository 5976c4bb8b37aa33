"""The format `point-table`: one CSV with the columns image, part, x and y, in pixels; one object in each image.

trainer run data=points.csv point-table.every=5
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer_host import DataContext, ExtensionSpec, Finding, hookimpl

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainer_host.data import Description

KEYS = ("names", "nc", "channels", "kpt_shape", "kpt_names")


@dataclass(frozen=True)
class PointTable:
    """The options."""

    every: int = 4  # of so many images, the last is held out
    margin: float = 8.0  # pixels around the points


class PointTableHooks:
    """Answers where the dataset is a CSV; None leaves it to others."""

    @hookimpl
    def sniff_dataset(self, source: str) -> Collection[str] | None:
        """Return the keys that the description will have."""
        return KEYS if source.endswith(".csv") else None

    @hookimpl
    def read_dataset(self, ctx: DataContext) -> Description | None:
        """Read the CSV and the images next to it."""
        if not ctx.source.endswith(".csv"):
            return None
        return read(Path(ctx.source), ctx.options_for(PointTable))


def read(file: Path, options: PointTable) -> Description:
    """Read a table. Nothing is raised for what is wrong with it."""
    from trainer_host.data import Description, Split, read_images  # imported late, because they need numpy

    points: dict[str, dict[str, tuple[int, float, float]]] = {}
    findings = []
    with file.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            try:
                points.setdefault(row["image"], {})[row["part"]] = number, float(row["x"]), float(row["y"])
            except (KeyError, TypeError, ValueError):
                fix = "write image, part, x and y"
                findings.append(Finding("point-table-row", "the line is not a point.", fix, str(file), number))
    parts = sorted({part for found in points.values() for part in found})
    images = [str(file.parent / name) for name in points]
    facts, _ = read_images("train", images)
    keys = {"names": {0: "object"}, "nc": 1, "channels": 3}
    keys |= {"kpt_shape": [len(parts), 3], "kpt_names": {0: parts}}
    splits = {}
    for split, held_out in (("train", False), ("val", True)):
        chosen = [i for i in range(len(images)) if (i % options.every == options.every - 1) == held_out]
        found = [list(points.values())[i] for i in chosen]
        rows = [[_row(f, parts, facts.shapes[i].tolist(), options)] for f, i in zip(found, chosen, strict=True)]
        first = [[min(line for line, _, _ in f.values())] for f in found]
        splits[split], wrong = Split.from_rows(
            split, [images[i] for i in chosen], rows, [str(file)] * len(chosen), lines=first
        )
        findings += wrong
        keys[split] = str(file.parent)
    return Description(keys, file=str(file.absolute()), splits=splits, findings=findings)


def _row(
    points: dict[str, tuple[int, float, float]], parts: list[str], shape: list[int], options: PointTable
) -> list[float]:
    height, width = max(shape[0], 1), max(shape[1], 1)
    xs, ys = [x for _, x, _ in points.values()], [y for _, _, y in points.values()]
    left, right = max(min(xs) - options.margin, 0), min(max(xs) + options.margin, width)
    top, bottom = max(min(ys) - options.margin, 0), min(max(ys) + options.margin, height)
    row = [0.0, (left + right) / 2 / width, (top + bottom) / 2 / height]
    row += [(right - left) / width, (bottom - top) / height]
    for part in parts:
        row += [points[part][1] / width, points[part][2] / height, 2.0] if part in points else [0.0, 0.0, 0.0]
    return row


EXTENSION = ExtensionSpec(hooks=PointTableHooks(), options=PointTable)

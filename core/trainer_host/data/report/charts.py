"""Charts of the report: bars next to their numbers, and the sizes of the images."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from trainer_host.base.annotations import Histogram
from trainer_host.base.wording import counted
from trainer_host.data.report.templating import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer_host.data.description import Description, Split

MAX_BARS = 300
MAX_DOTS = 400
_BAR = 7
_OBJECTS = (0, 1, 2, 3, 4, 5, 10, 20, 50, 100)
"""The largest number of objects in each bar but the last."""


def own_histograms(data: Description) -> Iterator[Histogram]:
    """Yield the histograms that need no task: the rows of each image."""
    most = max((int(_objects(s).max(initial=0)) for s in data.splits.values()), default=0)
    if not most:
        return
    edges = [e for e in _OBJECTS if e < most]
    bars = zip([-1, *edges], edges, strict=False)
    labels = [str(e) if e - low == 1 else f"{low + 1} to {e}" for low, e in bars]
    last = (edges[-1] + 1) if edges else 0
    labels.append(str(last) if last == most else f"{last} to {most}")
    counts = {}
    for name, split in data.splits.items():
        found = np.bincount(np.searchsorted(edges, _objects(split)), minlength=len(labels))
        counts[name] = tuple(int(n) for n in found)
    yield Histogram("Objects in an image", tuple(labels), counts)


def _objects(split: Split) -> NDArray[np.int64]:
    return np.bincount(split.image[~split.crowd], minlength=len(split)).astype(np.int64)


def chart(histogram: Histogram) -> Markup:
    """Return a histogram as a table whose bars are fractions of their split, and whose numbers are counts."""
    totals = {name: total for name, bars in histogram.counts.items() if (total := sum(bars))}
    if not totals:
        return Markup()
    rows = [
        (label, {name: histogram.counts[name][i] for name in totals})
        for i, label in enumerate(histogram.labels[:MAX_BARS])
    ]
    more = len(histogram.labels) - MAX_BARS
    notes = [histogram.note] if histogram.note else []
    if more > 0:
        notes.append(f"{counted(more, 'more bar')} not shown.")
    longest = max(max(histogram.counts[name]) / total for name, total in totals.items())
    values = {"rows": rows, "totals": totals, "notes": notes, "longest": longest, "bar": _BAR}
    return render("histogram.html", histogram=histogram, **values)


def size_chart(data: Description) -> Markup:
    """Return the widths and heights of the images, as dots, or as a sentence if all are alike."""
    found = {name: sizes for name, split in data.splits.items() if len(sizes := _sizes(split))}
    if not found:
        return Markup()
    largest = max(int(sizes[:, :2].max()) for sizes in found.values())
    most = max(int(sizes[:, 2].max()) for sizes in found.values())
    together: Counter[tuple[int, int]] = Counter()
    dots = []
    for name, sizes in found.items():
        for height, width, count in sizes[np.argsort(-sizes[:, 2], kind="stable")].tolist():
            together[height, width] += count
            dots.append(
                (name, width / largest, height / largest, 3 + 7 * (count / most) ** 0.5, (height, width), count)
            )
    shown = [dot for name in found for dot in [d for d in dots if d[0] == name][:MAX_DOTS]]
    common = sorted(together.items(), key=lambda item: (-item[1], item[0]))
    return render(
        "sizes.html", common=common, dots=shown, splits=list(found), pixels=lambda fraction: round(largest * fraction)
    )


def _sizes(split: Split) -> NDArray[np.int64]:
    """Return the sizes of a split's images and how many have each: height, width and count, int64 (n, 3)."""
    known = split.shapes[(split.shapes > 0).all(1)]
    sizes, counts = np.unique(known, axis=0, return_counts=True)
    return np.column_stack([sizes, counts]).astype(np.int64)

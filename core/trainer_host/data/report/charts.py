"""Charts of the report: bars beside their numbers, and the sizes of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer_host.base.annotations import Histogram
from trainer_host.data.report.markup import counted, escaped

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


def chart(histogram: Histogram) -> str:
    """Return a histogram as a table whose bars are shares of their split, and whose numbers are counts."""
    totals = {name: sum(bars) for name, bars in histogram.counts.items()}
    splits = [name for name, total in totals.items() if total]
    if not splits:
        return ""
    longest = max(max(histogram.counts[name]) / totals[name] for name in splits)
    rows = []
    for i, label in enumerate(histogram.labels[:MAX_BARS]):
        counts = [histogram.counts[name][i] for name in splits]
        shares = [n / totals[name] for n, name in zip(counts, splits, strict=True)]
        rows.append(
            f'<tr><th scope="row">{escaped(label)}</th><td class="bar">{_bars(splits, shares, longest)}</td>'
            + "".join(f'<td class="number{"" if n else " none"}">{n:,}</td>' for n in counts)
            + "</tr>"
        )
    more = len(histogram.labels) - MAX_BARS
    notes = [histogram.note] if histogram.note else []
    if more > 0:
        notes.append(f"{counted(more, 'more bar')} not shown.")
    return (
        f'<section class="card"><h3>{escaped(histogram.title)}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(histogram.title)}"><table class="bars">'
        f"<thead><tr><td></td><td></td>{''.join(_heading(name) for name in splits)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        + "".join(f'<p class="note">{escaped(note)}</p>' for note in notes)
        + "</section>"
    )


def _heading(split: str) -> str:
    return f'<th scope="col" class="number"><span class="swatch {_kind(split)}"></span>{escaped(split)}</th>'


def _kind(split: str) -> str:
    return split if split in {"train", "val", "test"} else "other"


def _bars(splits: list[str], shares: list[float], longest: float) -> str:
    height = _BAR * len(splits)
    bars = "".join(
        f'<rect class="{_kind(name)}" y="{_BAR * i}" width="{100 * share / longest:.2f}%" height="{_BAR - 1}" rx="1.5">'
        f"<title>{escaped(name)}: {100 * share:.1f} %</title></rect>"
        for i, (name, share) in enumerate(zip(splits, shares, strict=True))
        if share
    )
    return f'<svg width="100%" height="{height}" aria-hidden="true">{bars}</svg>'


def size_chart(data: Description) -> str:
    """Return the widths and heights of the images, as dots, or as a sentence where all are alike."""
    found = {name: _sizes(split) for name, split in data.splits.items()}
    found = {name: sizes for name, sizes in found.items() if len(sizes)}
    if not found:
        return ""
    every = np.unique(np.concatenate([sizes[:, :2] for sizes in found.values()]), axis=0)
    if len(every) == 1:
        body = f"<p>All images are {every[0, 1]:,} &times; {every[0, 0]:,} pixels.</p>"
    else:
        legend = "".join(f'<li><span class="swatch {_kind(name)}"></span>{escaped(name)}</li>' for name in found)
        body = f'{_dots(found)}<ul class="legend">{legend}</ul>{_common_sizes(found)}'
    return f'<section class="card"><h3>Image sizes</h3>{body}</section>'


def _sizes(split: Split) -> NDArray[np.int64]:
    """Return the sizes of a split's images and how many have each: height, width and count, int64 (n, 3)."""
    known = split.shapes[(split.shapes > 0).all(1)]
    sizes, counts = np.unique(known, axis=0, return_counts=True)
    return np.column_stack([sizes, counts]).astype(np.int64)


def _dots(found: dict[str, NDArray[np.int64]]) -> str:
    side, left, top = 240, 44, 8
    largest = max(int(sizes[:, :2].max()) for sizes in found.values())
    most = max(int(sizes[:, 2].max()) for sizes in found.values())
    edge = f"M{left} {top}V{top + side}H{left + side}M{left} {top + side}L{left + side} {top}"
    parts = [f'<path class="axis" d="{edge}"/>']
    for share in (0.5, 1.0):
        pixels, at = round(largest * share), side * share
        parts.append(f'<text x="{left + at:.0f}" y="{top + side + 16}" text-anchor="middle">{pixels:,}</text>')
        parts.append(f'<text x="{left - 6}" y="{top + side - at + 4:.0f}" text-anchor="end">{pixels:,}</text>')
    parts.append(f'<text x="{left}" y="{top + side + 32}">width in pixels</text>')
    parts.append(f'<text x="12" y="{top + side}" transform="rotate(-90 12 {top + side})">height in pixels</text>')
    for name, sizes in found.items():
        for height, width, count in sizes[np.argsort(-sizes[:, 2], kind="stable")][:MAX_DOTS].tolist():
            parts.append(
                f'<circle class="{_kind(name)}" cx="{left + side * width / largest:.1f}" '
                f'cy="{top + side - side * height / largest:.1f}" r="{3 + 7 * (count / most) ** 0.5:.1f}">'
                f"<title>{escaped(name)}: {counted(count, 'image')} of {width:,} &times; {height:,}</title></circle>"
            )
    label = "Width and height of the images as dots, larger for more images; on the diagonal line an image is square."
    return (
        f'<svg class="dots" viewBox="0 0 {left + side + 22} {top + side + 38}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _common_sizes(found: dict[str, NDArray[np.int64]]) -> str:
    together: dict[tuple[int, int], int] = {}
    for sizes in found.values():
        for height, width, count in sizes.tolist():
            together[height, width] = together.get((height, width), 0) + count
    common = sorted(together.items(), key=lambda item: (-item[1], item[0]))[:3]
    named = "; ".join(f"{width:,} &times; {height:,} ({counted(count, 'image')})" for (height, width), count in common)
    return f'<p class="note">{counted(len(together), "size")}, most often {named}.</p>'

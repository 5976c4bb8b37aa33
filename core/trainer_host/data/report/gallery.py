"""The images that the report shows: samples of each split, and those at fault."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.annotations import Box, Point
from trainer_host.base.contexts import LabelContext, RunContext
from trainer_host.data.report.markup import colour, counted, escaped
from trainer_host.data.report.pictures import (
    MAX_SHAPES,
    WHOLE,
    Picture,
    closest_view,
    detail_view,
    draw,
    draw_mirrored,
    load_picture,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainer_host.base.annotations import Shape
    from trainer_host.base.contexts import DataContext
    from trainer_host.base.findings import Finding
    from trainer_host.data.description import Description, Split

SAMPLES = 12
AT_FAULT = 24
_CANDIDATES = 4
_MESSAGES = 6
_LEGEND = 60
_NOT_DECODED = frozenset({"image-bomb", "image-not-image", "image-truncated", "image-undecodable", "image-unreadable"})
"""Findings after which an image is not decoded: it would take too much, or the decoders would only complain."""


@dataclass(frozen=True)
class Gallery:
    """Draws images of a dataset with their labels.

    Attributes:
        data: The dataset.
        findings: What was found in it.
        hooks: The hooks of the run, of which ``annotate_image`` is asked.
        ctx: The context of the check, with the dataset in it.
    """

    data: Description
    findings: Sequence[Finding]
    hooks: Any
    ctx: DataContext

    def samples(self) -> str:
        """Return some images of each split, each beside its mirror image; an empty text where there are none."""
        chosen = list(self._chosen())
        cards, points = [], dict.fromkeys(_point_names(s for _, _, shapes in chosen for s in shapes))
        for number, (split, image, shapes) in enumerate(chosen):
            card = self._pair(f"sample{number}", split, image, shapes)
            cards += [card] if card else []
        if not cards:
            return ""
        return f'{_legend(list(points))}<div class="pairs">{"".join(cards)}</div>'

    def _chosen(self) -> Iterator[tuple[Split, int, list[Shape]]]:
        """Yield images spread over each split, from each part of it one with much to see."""
        bad = {f.image for f in self.findings if f.image and f.severity == "error"}
        splits = [s for s in self.data.splits.values() if len(s)]
        for split in splits:
            rows = np.bincount(split.image, minlength=len(split))
            usable = (split.shapes > 0).all(1) & np.array([f not in bad for f in split.images], bool)
            for part in np.array_split(np.flatnonzero(usable), SAMPLES // len(splits)):
                best = part[np.argsort(-rows[part], kind="stable")][:_CANDIDATES]
                drawn = [(int(i), self._shapes(split, int(i))) for i in best]
                if drawn:
                    yield split, *max(drawn, key=lambda item: _worth(item[1]))

    def _shapes(self, split: Split, image: int, mirrored: bool = False) -> list[Shape]:
        known = {f.name: getattr(self.ctx, f.name) for f in fields(RunContext)}
        ctx = LabelContext(**known, split=split.name, image=image, mirrored=mirrored)
        return list(self.hooks.annotate_image(ctx=ctx) or ())

    def _pair(self, name: str, split: Split, image: int, shapes: list[Shape]) -> str:
        """Return an image and its mirror image, both again in detail where they are crowded; empty if not readable."""
        shape, path = _shape(split, image), split.images[image]
        whole, detail = closest_view(shapes, shape), detail_view(shapes, shape)
        views = [whole] if detail == WHOLE else [whole, detail]
        pictures = [p for view in views if (p := load_picture(path, shape, view)) is not None]
        if not pictures:
            return ""
        mirrored = self._shapes(split, image, mirrored=True)
        file = self.shown(path)
        ids = [f"{name}-{i}" for i in range(len(pictures))]
        left = [draw(p, shapes, i, f"{file} with its labels") for p, i in zip(pictures, ids, strict=True)]
        right = [draw_mirrored(p, mirrored, i, f"{file}, mirrored") for p, i in zip(pictures, ids, strict=True)]
        return (
            f'<figure class="card pair"><div class="sides"><div>{"".join(left)}<p>as labelled</p></div>'
            f"<div>{''.join(right)}<p>mirrored</p></div></div>"
            f"<figcaption>{_caption(file, split, image, shapes, pictures)}</figcaption></figure>"
        )

    def at_fault(self) -> tuple[str, int]:
        """Return the images at fault beside what was found, and how many there are in all."""
        of_image: dict[str, list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda f: f.severity):
            if finding.image:
                of_image.setdefault(finding.image, []).append(finding)
        places = {f: (s, i) for s in self.data.splits.values() for i, f in enumerate(s.images) if f in of_image}
        cards = []
        for number, path in enumerate(_spread(of_image)):
            findings = of_image[path]
            drawing = self._faulty(f"fault{number}", path, findings, places.get(path))
            shown = "".join(self._told(f) for f in findings[:_MESSAGES])
            more = f"<li>and {len(findings) - _MESSAGES} more</li>" if len(findings) > _MESSAGES else ""
            cards.append(
                f'<figure class="card fault">{drawing}<figcaption><code>{escaped(self.shown(path))}</code>'
                f"<ul>{shown}{more}</ul></figcaption></figure>"
            )
        return (f'<div class="faults">{"".join(cards)}</div>' if cards else ""), len(of_image)

    def _faulty(self, name: str, path: str, findings: list[Finding], place: tuple[Split, int] | None) -> str:
        picture, shapes = None, []
        if place is not None and _NOT_DECODED.isdisjoint(f.code for f in findings):
            split, image = place
            shapes = self._shapes(split, image)
            picture = load_picture(path, _shape(split, image), closest_view(shapes, _shape(split, image)))
        if picture is None:
            return '<div class="no-picture">This image cannot be shown.</div>'
        note = f'<p class="note">{escaped(_outside(shapes))}</p>' if _outside(shapes) else ""
        return draw(picture, shapes, name, f"{self.shown(path)} with its labels") + note

    def _told(self, finding: Finding) -> str:
        where = self.where(finding)
        at = f' <code class="where">{escaped(where)}</code>' if finding.file != finding.image else ""
        return f'<li class="{escaped(finding.severity)}">{escaped(finding.message)}{at}</li>'

    def shown(self, path: str) -> str:
        """Return a path as it is shown: relative to the folder of the dataset's file where it lies below."""
        folder, file = Path(self.data.file).parent, Path(path)
        return str(file.relative_to(folder)) if file.is_relative_to(folder) else path

    def where(self, finding: Finding) -> str:
        """Return the place of a finding as ``file:line``."""
        if not finding.file:
            return ""
        return f"{self.shown(finding.file)}:{finding.line}" if finding.line else self.shown(finding.file)


def _shape(split: Split, image: int) -> tuple[int, int]:
    height, width = split.shapes[image].tolist()
    return height, width


def _worth(shapes: Sequence[Shape]) -> int:
    return sum(2 if isinstance(s, Point) and s.filled else 1 for s in shapes)


def _spread(of_image: dict[str, list[Finding]]) -> list[str]:
    """Return the images to show: in turns one for each kind of finding."""
    queues: dict[str, list[str]] = {}
    for path, findings in of_image.items():
        for code in dict.fromkeys(f.code for f in findings):
            queues.setdefault(code, []).append(path)
    chosen: dict[str, None] = {}
    turns = max((len(paths) for paths in queues.values()), default=0)
    for turn in range(turns):
        for paths in queues.values():
            if turn < len(paths) and len(chosen) < AT_FAULT:
                chosen[paths[turn]] = None
        if len(chosen) == AT_FAULT:
            break
    return list(chosen)


def _caption(file: str, split: Split, image: int, shapes: Sequence[Shape], pictures: list[Picture]) -> str:
    height, width = _shape(split, image)
    parts = [
        escaped(split.name),
        f"{width:,} &times; {height:,}",
        counted(len(split.rows_of(image)), "object"),
        "" if pictures[0].view == WHOLE else "a detail",
        _outside(shapes),
        f"the first {MAX_SHAPES:,} shapes" if len(shapes) > MAX_SHAPES else "",
    ]
    return f'<code>{escaped(file)}</code><span class="facts">{" · ".join(p for p in parts if p)}</span>'


def _outside(shapes: Sequence[Shape]) -> str:
    """Return how many points and boxes lie outside of the image, in words."""
    points = [s for s in shapes if isinstance(s, Point)]
    boxes = [s for s in shapes if isinstance(s, Box)]
    lost = sum(not (0 <= p.x <= 1 and 0 <= p.y <= 1) for p in points)
    gone = sum(not (b.left < 1 and b.top < 1 and b.left + b.width > 0 and b.top + b.height > 0) for b in boxes)
    told = [counted(lost, "point") if lost else "", counted(gone, "box", "boxes") if gone else ""]
    words = " and ".join(t for t in told if t)
    return f"{words} outside of the image" if words else ""


def _point_names(shapes: Iterator[Shape]) -> list[tuple[int, str]]:
    return sorted({(s.colour, s.label) for s in shapes if isinstance(s, Point) and s.label})


def _legend(names: list[tuple[int, str]]) -> str:
    if not names:
        return ""
    entries = "".join(
        f'<li><span class="dot" style="background:{colour(number)}"></span>{escaped(name)}</li>'
        for number, name in names[:_LEGEND]
    )
    more = f"<li>and {len(names) - _LEGEND} more</li>" if len(names) > _LEGEND else ""
    return f'<ul class="legend points">{entries}{more}</ul>'

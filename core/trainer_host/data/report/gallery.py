"""The images that the report shows: samples of each split, and the faulty ones."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer_host.base.annotations import Box, Point
from trainer_host.base.contexts import LabelContext, RunContext
from trainer_host.base.wording import counted
from trainer_host.data.report.overlay import draw, draw_mirrored
from trainer_host.data.report.pictures import MAX_SHAPES, WHOLE, Picture, closest_view, detail_view, load_picture
from trainer_host.data.report.templating import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markupsafe import Markup
    from pluggy import HookRelay

    from trainer_host.base.annotations import Shape
    from trainer_host.base.contexts import DataContext
    from trainer_host.base.findings import Finding
    from trainer_host.data.description import Description, Split

SAMPLES = 12
MAX_FAULTY = 24
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
        findings: Its findings.
        hooks: The hooks of the run, of which ``annotate_image`` is asked.
        ctx: The context of the check, with the dataset in it.
    """

    data: Description
    findings: Sequence[Finding]
    hooks: HookRelay
    ctx: DataContext

    def samples(self) -> Markup | None:
        """Return some images of each split, each next to its mirror image; None if there are none."""
        chosen = list(self._chosen())
        points = dict.fromkeys(_point_names(s for _, _, shapes in chosen for s in shapes))
        pairs = [pair for i, sample in enumerate(chosen) if (pair := self._pair(f"sample{i}", *sample))]
        return render("samples.html", pairs=pairs, points=list(points), most=_LEGEND) if pairs else None

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

    def _pair(self, name: str, split: Split, image: int, shapes: list[Shape]) -> dict[str, Any] | None:
        """Return an image and its mirror image, both again in detail if they are crowded; None if not readable."""
        shape, path = _shape(split, image), split.images[image]
        whole, detail = closest_view(shapes, shape), detail_view(shapes, shape)
        views = [whole] if detail == WHOLE else [whole, detail]
        pictures = [p for view in views if (p := load_picture(path, shape, view)) is not None]
        if not pictures:
            return None
        mirrored = self._shapes(split, image, mirrored=True)
        file = self.shown(path)
        named = [(p, f"{name}-{i}") for i, p in enumerate(pictures)]
        return {
            "file": file,
            "facts": _facts(split, image, shapes, pictures[0]),
            "labelled": [draw(p, shapes, i, f"{file} with its labels") for p, i in named],
            "mirrored": [draw_mirrored(p, mirrored, i, f"{file}, mirrored") for p, i in named],
        }

    def faulty(self) -> Markup | None:
        """Return the faulty images next to their findings; None if there are none."""
        of_image: dict[str, list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda f: f.severity):
            if finding.image:
                of_image.setdefault(finding.image, []).append(finding)
        places = {f: (s, i) for s in self.data.splits.values() for i, f in enumerate(s.images) if f in of_image}
        cards = [
            self._faulty(f"fault{i}", path, of_image[path], places.get(path))
            for i, path in enumerate(_spread(of_image))
        ]
        values = {"cards": cards, "total": len(of_image), "most": _MESSAGES, "where": self.where}
        return render("faulty_images.html", **values) if cards else None

    def _faulty(self, name: str, path: str, findings: list[Finding], place: tuple[Split, int] | None) -> dict[str, Any]:
        picture, shapes = None, []
        if place is not None and _NOT_DECODED.isdisjoint(f.code for f in findings):
            split, image = place
            shapes = self._shapes(split, image)
            picture = load_picture(path, _shape(split, image), closest_view(shapes, _shape(split, image)))
        file = self.shown(path)
        drawing = draw(picture, shapes, name, f"{file} with its labels") if picture else None
        return {"file": file, "findings": findings, "drawing": drawing, "note": _outside(shapes)}

    def shown(self, path: str) -> str:
        """Return a path as it is shown: relative to the folder of the dataset's file if it is below."""
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
            if turn < len(paths) and len(chosen) < MAX_FAULTY:
                chosen[paths[turn]] = None
        if len(chosen) == MAX_FAULTY:
            break
    return list(chosen)


def _facts(split: Split, image: int, shapes: Sequence[Shape], picture: Picture) -> list[str]:
    """Return what a caption says of an image."""
    height, width = _shape(split, image)
    facts = [
        split.name,
        f"{width:,} × {height:,}",  # noqa: RUF001
        counted(len(split.rows_of(image)), "object"),
        "" if picture.view == WHOLE else "a detail",
        _outside(shapes),
        f"the first {MAX_SHAPES:,} shapes" if len(shapes) > MAX_SHAPES else "",
    ]
    return [fact for fact in facts if fact]


def _outside(shapes: Sequence[Shape]) -> str:
    """Return how many points and boxes lie outside of the image, in words."""
    points = [s for s in shapes if isinstance(s, Point)]
    boxes = [s for s in shapes if isinstance(s, Box)]
    lost = sum(not (0 <= p.x <= 1 and 0 <= p.y <= 1) for p in points)
    gone = sum(not (b.left < 1 and b.top < 1 and b.left + b.width > 0 and b.top + b.height > 0) for b in boxes)
    words = [counted(lost, "point") if lost else "", counted(gone, "box", "boxes") if gone else ""]
    return f"{' and '.join(filter(None, words))} outside of the image" if any(words) else ""


def _point_names(shapes: Iterator[Shape]) -> list[tuple[int, str]]:
    return sorted({(s.colour, s.label) for s in shapes if isinstance(s, Point) and s.label})

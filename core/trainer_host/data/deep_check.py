"""Problems that only decoding shows: damaged pixels, and near-duplicates in another split."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from trainer_host.base.findings import Finding
from trainer_host.base.wording import counted
from trainer_host.data.header_facts import DAMAGED, MOST_PIXELS
from trainer_host.data.near_duplicates import SIDE, find_pairs, proposed_split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trainer_host.data.description import Description
    from trainer_host.data.near_duplicates import Pair

MANY_PIXELS = 1 << 24
"""Pixels beyond which images are decoded one at a time, to bound the memory."""
LEAST_SIDE = 2 * SIDE
"""Side in pixels down to which a JPEG is scaled while it is decoded; its data are read in full all the same."""
COPY = "splits-share-images"
"""The finding about an image that another split has byte by byte, which needs no second one."""
DAMAGE = ("Corrupt JPEG data", "Premature end")
LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9$", re.ASCII)
FEW_BYTES = 4


@dataclass(frozen=True)
class Pixels:
    """The result of decoding all images of a dataset.

    Attributes:
        findings: The problems found.
        proposal: The images of each split in a split that keeps together what shows nearly the same; empty if
            nothing has to move.
        moved: How many images it puts into another split.
    """

    findings: list[Finding]
    proposal: dict[str, list[str]] = field(default_factory=dict)
    moved: int = 0


def inspect_pixels(data: Description) -> Pixels:
    """Decode every image that reading found nothing wrong with, and look for pictures that repeat across splits."""
    passed_over = {f.image for f in data.findings if f.image and f.severity == "error"}
    findings: list[Finding] = []
    splits: list[str] = []
    images: dict[str, list[str]] = {}
    thumbs: list[NDArray[np.uint8]] = []
    for name, split in data.splits.items():
        pixels = split.shapes.astype(np.int64).prod(axis=1).tolist()
        facts = zip(split.images, pixels, strict=True)
        found = _decode_all({f: n for f, n in facts if 0 < n <= MOST_PIXELS and f not in passed_over})
        passed_over |= found.keys()
        images[name] = []
        for image, result in found.items():
            if isinstance(result, str):
                what = f"the image is damaged: {result}."
                findings.append(Finding("image-undecodable", what, DAMAGED, image, None, "error", name, image))
            else:
                images[name].append(image)
                splits.append(name)
                thumbs.append(result)
    pairs = find_pairs(np.array(thumbs, np.uint8).reshape(-1, SIDE, SIDE), np.unique(splits, return_inverse=True)[1])
    return _with_pairs(data, findings, images, pairs)


def _with_pairs(data: Description, findings: list[Finding], images: dict[str, list[str]], pairs: list[Pair]) -> Pixels:
    flat = [image for members in images.values() for image in members]
    splits = [name for name, members in images.items() for _ in members]
    reported = {f.image for f in data.findings if f.code == COPY}
    crossing = [p for p in pairs if splits[p.first] != splits[p.second] and reported.isdisjoint(flat[i] for i in p[:2])]
    if not crossing:
        return Pixels(findings)
    proposal = proposed_split(images, pairs)
    new = {image: name for name, members in proposal.items() for image in members}
    moved = sum(new[image] != name for image, name in zip(flat, splits, strict=True))
    remain = sum(new[flat[p.first]] != new[flat[p.second]] for p in crossing)
    repeats = list(_repeats(data, images, flat, splits, crossing))
    counts = Counter(f.split or "" for f in repeats)
    shares = " and ".join(f"{count} of {len(images[name])} in {name}" for name, count in counts.items())
    summary = _summary(data, shares, moved, remain)
    return Pixels([*findings, *repeats, summary], proposal if moved else {}, moved)


def _repeats(
    data: Description, images: dict[str, list[str]], flat: Sequence[str], splits: Sequence[str], crossing: list[Pair]
) -> Iterator[Finding]:
    """Yield a warning for each image that nearly repeats one of a larger split."""
    best: dict[int, tuple[float, int]] = {}
    for a, b, similarity in crossing:
        mine, other = sorted((a, b), key=lambda i: (len(images[splits[i]]), i))
        best[mine] = max(best.get(mine, (0.0, 0)), (similarity, other))
    root = Path(data.file).parent
    for mine, (similarity, other) in sorted(best.items()):
        shown = os.path.relpath(flat[other], root)
        what = f"near-duplicate of {shown} in {splits[other]} (similarity {similarity:.2f})."
        fix = "put both into the same split"
        yield Finding("near-duplicate", what, fix, flat[mine], None, "warning", splits[mine], flat[mine])


def _summary(data: Description, shares: str, moved: int, remain: int) -> Finding:
    what = f"images are near-duplicates of images in another split ({shares}),"
    what += " so metrics look better than they are."
    fix = f"use the split that trainer check --deep --fix DIR writes, which moves {counted(moved, 'image')}"
    if not moved:
        fix = "take the frames of each split from a different video"
    elif remain:
        fix += f"; {counted(remain, 'pair')} at its edges will remain near-duplicates"
    return Finding("near-duplicates", what, fix, data.file, None, "warning")


def _decode_all(sizes: dict[str, int]) -> dict[str, NDArray[np.uint8] | str]:
    """Return for each image, given with its pixels, its thumbnail or the problem."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    large = threading.Lock()
    # Filters of warnings belong to all threads: they are set around the pool, not within it.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        return dict(zip(sizes, pool.map(partial(_decode, large=large), sizes, sizes.values()), strict=True))


def _decode(path: str, pixels: int, large: threading.Lock) -> NDArray[np.uint8] | str:
    try:
        with large if pixels > MANY_PIXELS else nullcontext():
            return _thumbnail(Path(path).read_bytes())
    except Exception as error:
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _thumbnail(content: bytes) -> NDArray[np.uint8] | str:
    """Return the thumbnail of an image file, or the problem."""
    if content.startswith(b"\xff\xd8\xff"):
        # Pillow and OpenCV fill in the damaged part of a JPEG silently; only the library below reports it.
        try:
            scaled = {"min_height": LEAST_SIDE, "min_width": LEAST_SIDE, "min_factor": 1}
            return _shrunk(Image.fromarray(simplejpeg.decode_jpeg(content, "GRAY", strict=True, **scaled)[:, :, 0]))
        except ValueError as error:
            fault = str(error)
            if fault.startswith(DAMAGE) and not _is_padding(fault, content):
                return fault[0].lower() + fault[1:]
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return _shrunk(image)


def _is_padding(fault: str, content: bytes) -> bool:
    """Return whether the bytes after the image fill up the file, rather than belong to a damaged image."""
    found = LEFT_OVER.search(fault)
    if found is None:
        return False
    count, end = int(found[1]), content.rfind(b"\xff\xd9")
    return count <= FEW_BYTES or len(set(content[end - count : end])) <= 2


def _shrunk(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image in grey levels, uint8 (32, 32)."""
    if image.mode in {"1", "P", "PA"}:  # would be scaled without smoothing
        image = image.convert("RGB")
    elif image.mode.startswith("I;16"):  # which Pillow before 11 does not scale
        image = image.convert("I")
    grey = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX).convert("F"))
    # Images of more than 8 bits are scaled, as their greatest value is not known.
    return (grey if grey.max() < 256 else grey * (255 / grey.max())).clip(0, 255).astype(np.uint8)

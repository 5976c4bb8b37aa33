"""Pictures that show nearly the same, such as neighbouring frames of a video, and a split that keeps them together.

Pictures are compared as thumbnails in grey levels. Two are nearly the same if every part of the one is like that
part of the other. A hash of the whole picture would not do: with a camera that stands still it sees the background
alone, and calls every two frames of a recording the same wherever the animal is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

SIDE = 32
"""Width and height of a thumbnail."""
PARTS = 4
"""Parts of a thumbnail along each side that are compared one by one."""
LEAST_CONTRAST = 4.0
"""Standard deviation in grey levels below which a picture has too little contrast to be compared."""
FLAT = 100.0
"""Variance below which differences within a part are noise, of thumbnails whose standard deviation is 50."""
SIMILAR = 0.8
"""Similarity from which two pictures count as nearly the same. 1 is the same; a shift by a hundredth of the width
gives some 0.9, frames of one recording in which the animal has moved by its own length less than 0.5."""
ALIKE = 0.8
"""Correlation of whole pictures below which their parts need no look."""
NEIGHBOURS = 4
"""Most similar pictures of each split that are looked at for each picture."""
BLOCK = 1 << 24
"""Entries of the largest table of correlations that is held at a time."""

FOLDERS_OF_SPLITS = frozenset({"images", "train", "val", "valid", "validation", "test", "testing", "training"})
LAST_NUMBER = re.compile(r"^(.*?)[-_. ]*\d+(?:_(?:jpe?g|png)\.rf\.[0-9a-f]+|\D*)$", re.ASCII | re.IGNORECASE)
"""The name of a frame: the name of its video, a number, and what a labelling service may put behind it."""


class Pair(NamedTuple):
    """Two pictures that show nearly the same: their indices, the lower one first, and how similar they are."""

    first: int
    second: int
    similarity: float


def find_pairs(thumbs: NDArray[np.uint8], splits: NDArray[np.intp]) -> list[Pair]:
    """Return pairs of pictures that show nearly the same.

    All that cross splits through their nearest neighbours are found, and those within a split that are linked to one
    of them.

    Args:
        thumbs: Thumbnails in grey levels, uint8 (n, 32, 32).
        splits: The split of each picture as a number, (n,).
    """
    if len(np.unique(splits)) < 2:
        return []
    unit = _normal(thumbs)
    vectors = unit.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4)).reshape(len(unit), -1)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    usable = thumbs.reshape(len(thumbs), -1).std(axis=1) >= LEAST_CONTRAST
    members = [np.flatnonzero(usable & (splits == s)) for s in np.unique(splits)]
    members = sorted((m for m in members if len(m)), key=len)
    if len(members) < 2:
        return []
    pairs: dict[tuple[int, int], float] = {}
    seen = np.zeros(len(thumbs), bool)
    # What is linked to nothing in the smaller splits crosses no split.
    wanted = np.concatenate(members[:-1])
    while len(wanted):
        seen[wanted] = True
        found = {p[:2]: p[2] for others in members for p in _neighbours(unit, vectors, wanted, others)}
        pairs |= found
        linked = np.unique(np.array([*found], np.intp))
        wanted = linked[~seen[linked]]
    return [Pair(a, b, similarity) for (a, b), similarity in sorted(pairs.items())]


def _normal(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails with mean 0 and standard deviation 50, so that light and contrast do not matter."""
    unit = thumbs.astype(np.float32)
    unit -= unit.mean((1, 2), keepdims=True)
    unit *= 50 / np.maximum(unit.std((1, 2), keepdims=True), 1e-3)
    return unit


def _neighbours(
    unit: NDArray[np.float32], vectors: NDArray[np.float32], wanted: NDArray[np.intp], others: NDArray[np.intp]
) -> Iterator[Pair]:
    """Yield the pairs of ``wanted`` pictures with those of ``others`` that are most like them."""
    targets = vectors[others]
    step = max(1, BLOCK // len(others))
    for start in range(0, len(wanted), step):
        rows = wanted[start : start + step]
        table = vectors[rows] @ targets.T
        table[rows[:, None] == others] = -1
        for _ in range(min(NEIGHBOURS, len(others))):
            best = table.argmax(axis=1)
            alike = np.flatnonzero(table[np.arange(len(rows)), best] >= ALIKE)
            if not len(alike):
                break
            mates = others[best[alike]]
            similarity = similarities(unit[rows[alike]], unit[mates])
            for i in np.flatnonzero(similarity >= SIMILAR).tolist():
                a, b = sorted((int(rows[alike[i]]), int(mates[i])))
                yield Pair(a, b, float(similarity[i]))
            table[alike, best[alike]] = -1


def similarities(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how similar pictures are pair by pair: what holds for the part in which they differ most.

    Args:
        a: Thumbnails with mean 0 and standard deviation 50, float32 (n, 32, 32).
        b: As many others.
    """

    def parts(x: NDArray[np.float32]) -> NDArray[np.float32]:
        size = SIDE // PARTS
        return x.reshape(-1, PARTS, size, PARTS, size).swapaxes(2, 3).reshape(len(x), PARTS * PARTS, size * size)

    a, b = parts(a), parts(b)
    error = ((a - b) ** 2).mean(axis=2)
    worst: NDArray[np.float32] = (1 - error / (a.var(axis=2) + b.var(axis=2) + FLAT)).min(axis=1)
    return worst


def groups_of(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups that pairs form: who is linked to whom, over however many others."""
    parent: dict[int, int] = {}

    def root(i: int) -> int:
        while parent.setdefault(i, i) != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for i in sorted(parent):
        groups[root(i)].append(i)
    return list(groups.values())


def video_of(image: str) -> tuple[str, str]:
    """Return the key that frames of a video share: a folder that is not a split's, and the name without its number."""
    path = PurePath(image)
    folder = path.parent.name
    name = LAST_NUMBER.match(path.stem)
    return "" if folder in FOLDERS_OF_SPLITS else folder, name[1] if name else path.stem


def proposed_split(images: Mapping[str, Sequence[str]], pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Return a split in which what shows nearly the same stays together, with sizes near the present ones.

    If names distinguish videos and frames of a video cross splits, the whole video stays together. A group of more
    than half of all images, which no split could hold, is cut into runs of neighbouring names.

    Args:
        images: The images of each split as they are.
        pairs: Pairs of images that show nearly the same, by their index in all splits one after the other.
    """
    flat = [image for members in images.values() for image in members]
    present = [name for name, members in images.items() for _ in members]
    chosen = list(present)
    groups = [g for g in groups_of(_links(flat, present, pairs)) if len({present[i] for i in g}) > 1]
    pieces = [p for g in groups for p in _cut(g, flat, min(len(m) for m in images.values() if m))]
    room = Counter(present[i] for piece in pieces for i in piece)
    for piece in sorted(pieces, key=len, reverse=True):
        held = Counter(present[i] for i in piece)
        split = max(images, key=lambda name: (room[name], held[name]))
        room[split] -= len(piece)
        for i in piece:
            chosen[i] = split
    return {name: sorted(f for f, split in zip(flat, chosen, strict=True) if split == name) for name in images}


def _links(flat: Sequence[str], present: Sequence[str], pairs: Sequence[Pair]) -> Iterator[tuple[int, int]]:
    """Yield the pairs, and pairs that hold together the videos whose frames cross splits."""
    yield from (p[:2] for p in pairs)
    crossing = {i for p in pairs if present[p.first] != present[p.second] for i in p[:2]}
    videos: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, image in enumerate(flat):
        videos[video_of(image)].append(i)
    for members in videos.values():
        home = Counter(present[i] for i in members).most_common(1)[0][0]
        strays = [i for i in members if present[i] != home]
        # A name that all images share says nothing, nor does one whose images do not resemble each other.
        if len(members) <= len(flat) // 2 and 2 * len(crossing.intersection(strays)) > len(strays):
            yield from ((members[0], i) for i in members[1:])


def _cut(group: list[int], flat: Sequence[str], size: int) -> list[list[int]]:
    """Return a group as one piece, or cut if it is too large."""
    if len(group) <= len(flat) // 2:
        return [group]
    ordered = sorted(group, key=lambda i: (video_of(flat[i]), _natural(flat[i])))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _natural(image: str) -> list[int | str]:
    """Return a key that sorts names as people do: frame 9 before frame 10."""
    parts = re.split(r"(\d+)", PurePath(image).name, flags=re.ASCII)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]

"""Categories of COCO files: classes by name, and the keypoints of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainer_host import Finding
from trainer_host.data import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer_detect.formats.coco_file import CocoFile
    from trainer_detect.formats.coco_source import Source


def class_names(source: Source, files: Mapping[str, CocoFile]) -> list[str]:
    """Return the classes: those of the YAML if it has any, else the categories in order of their ids.

    Every file has to have the same categories, whatever their ids.
    """
    given = source.keys.get("names")
    wanted = list(given.values()) if isinstance(given, dict) else given
    names: list[str] = list(map(str, wanted)) if isinstance(wanted, list) else []
    whose = "names" if names else ""
    for split, coco in files.items():
        own = list(dict.fromkeys(i.content["name"] for i in coco.categories.values()))
        if names and coco.images and set(own) != set(names):
            parts = {"this file": set(own) - set(names), whose: set(names) - set(own)}
            differs = "; ".join(f"only in {where}: {listed(sorted(some))}" for where, some in parts.items() if some)
            what = f"the classes of this file differ from those of {whose}; {differs}."
            fix = "write the same categories into every file, also those without an annotation"
            if whose == "names":
                fix = f"write names: {json.dumps(own, ensure_ascii=False)} in the YAML, or correct the labels"
            source.findings.append(Finding(source.kind.codes.categories, what, fix, str(coco.path), split=split))
        whose = whose or coco.path.name
        names += [n for n in own if n not in names]
    return names


def keypoint_keys(source: Source, files: Mapping[str, CocoFile], names: list[str]) -> dict[str, Any]:
    """Return the keys that say what the keypoints are; none if no category has any."""
    kinds: dict[str, list[str]] = {}
    skeleton: list[list[int]] = []
    for coco in files.values():
        for item in coco.categories.values():
            points = item.content.get("keypoints") or []
            name = item.content["name"]
            if kinds.setdefault(name, points) != points:
                what = f"the keypoints of category {name!r} differ between files."
                coco.add("coco-keypoint-names", what, "write the same names in the same order", item.line)
                source.findings.append(coco.findings[-1])
            skeleton = skeleton or (_skeleton(item.content.get("skeleton"), len(points)) if points else [])
        _note_unnamed(source, coco)
    counts = sorted({len(p) for p in kinds.values() if p})
    if not counts:
        return {}
    if len(counts) > 1:
        source.findings.append(_differing(kinds, counts[-1], next(iter(files.values()))))
        return {"kpt_shape": [counts[-1], 3]}
    usual = max(kinds.values(), key=len)
    keys: dict[str, Any] = {
        "kpt_shape": [counts[-1], 3],
        "kpt_names": {i: list(kinds.get(name) or usual) for i, name in enumerate(names)},
    }
    return {**keys, "skeleton": skeleton} if skeleton else keys


def _differing(kinds: Mapping[str, list[str]], most: int, coco: CocoFile) -> Finding:
    """Return what to say of categories with different numbers of keypoints, and how to give them the same."""
    numbers = listed([f"{name} {len(points)}" for name, points in kinds.items() if points])
    what = f"the categories have different numbers of keypoints ({numbers}); a model has one number for all classes."
    name, points = next((n, p) for n, p in kinds.items() if 0 < len(p) < most)
    missing = most - len(points)
    fix = (
        f"pad each category to {most} keypoints: for {name}, {missing} more names in keypoints, such as unused_1,"
        f" and {missing} x 0, 0, 0 at the end of keypoints in each annotation; or keep the categories of one number"
    )
    line = next((i.line for i in coco.categories.values() if i.content["name"] == name), None)
    return Finding("coco-keypoints-differ", what, fix, str(coco.path), line)


def _skeleton(pairs: Any, points: int) -> list[list[int]]:
    """Return the lines of a skeleton, which COCO counts from 1, counted from 0; none if they differ."""
    if not isinstance(pairs, list):
        return []
    lines = [[a - 1, b - 1] for a, b in (p for p in pairs if isinstance(p, list) and len(p) == 2) if _are_ints(a, b)]
    fits = len(lines) == len(pairs) and all(0 <= n < points for line in lines for n in line)
    return lines if fits else []


def _are_ints(*values: Any) -> bool:
    return all(isinstance(v, int) for v in values)


def _note_unnamed(source: Source, coco: CocoFile) -> None:
    """Say that keypoints are not read where the category does not name them."""
    unnamed = [
        a
        for a in coco.annotations
        if a.content.get("keypoints") and not coco.categories[a.content["category_id"]].content.get("keypoints")
    ]
    if unnamed:
        what = f"{counted(len(unnamed), 'annotation')} with keypoints that no category names, not used."
        fix = 'write "keypoints": [NAMES] into the category'
        where = str(coco.path), unnamed[0].line
        source.findings.append(Finding("coco-keypoint-names", what, fix, *where, severity="warning"))

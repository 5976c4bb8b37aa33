"""A corrected copy of a dataset: what is certain is corrected, everything else stays as it is and is named.

The copy is a folder that trains: links to the images, label files, and a ``data.yaml``. The dataset itself is never
written to.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from trainer_host.base.errors import Problem, SettingsError, StorageError
from trainer_host.base.findings import DatasetError
from trainer_host.base.temporaries import temporary_folder
from trainer_host.base.wording import counted
from trainer_host.base.yaml_document import read_document
from trainer_host.data.description import MISSING, SPLITS
from trainer_host.data.foreign_labels import CODE as OUTSIDE
from trainer_host.data.image_listing import label_folder
from trainer_host.data.label_files import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trainer_host.base.findings import Finding
    from trainer_host.data.description import Description

LABEL_CODES = frozenset({"label-encoding", "label-number", "class-type", "duplicate-row"})
"""Findings whose files are looked at line by line."""
SKIPPED = frozenset({"label-orphan", "list-entry-missing", "image-format", "link-loop"})
"""Findings about what the copy simply does not have."""
FIXED = frozenset({"path-habit", "path-outside", "link-outside", "yaml-encoding", "duplicate-row"})
"""Findings that are gone in the copy."""
SUGGESTED = "# Suggested from the labels and names; check it."

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHOLE_CLASS = re.compile(r"^(\s*\d+)\.0*(?=\s)", re.ASCII | re.MULTILINE)
WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
LEAST_NUMBERS = 4
"""Numbers with a comma that a row needs for the comma to count as a decimal point: those of a box."""


@dataclass
class Corrections:
    """Corrections of label files.

    Attributes:
        counts: How often each thing was done, by its description.
        lines: File and line of findings that are gone; line None for a file as a whole.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: set[tuple[str, int | None]] = field(default_factory=set)


def write_corrected(
    data: Description,
    findings: Sequence[Finding],
    folder: Path,
    patch: Mapping[str, Any],
    proposal: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Write a corrected copy of a dataset, atomically.

    Args:
        data: The dataset.
        findings: All that was found in it.
        folder: The folder to write; it does not exist, or is empty.
        patch: Keys that the task suggests.
        proposal: The images of each split of a split that is better, if there is one. It is written as list files
            next to the copy of the present one, with their own ``data-split.yaml``.

    Returns:
        Lines about what was fixed, what was skipped, and what remains to be done.

    Raises:
        SettingsError: If the folder is not empty, or lies within the dataset.
        DatasetError: If the dataset has no label files that could be fixed.
        StorageError: If the copy cannot be written.
    """
    _refuse(data, folder)
    target = folder.absolute()
    try:
        with temporary_folder(target) as temporary:
            copy = temporary / target.name
            copy.mkdir()
            lines = _write(data, findings, copy, patch, proposal or {})
            if target.exists():
                target.rmdir()
            copy.rename(target)
    except OSError as error:
        where = str(error.filename) if error.filename else str(folder)
        raise StorageError(
            Problem(f"the corrected copy cannot be written: {error.strerror or error}.", None, where)
        ) from error
    return lines


def patch_text(patch: Mapping[str, Any]) -> str:
    """Return keys as YAML text that can be pasted into a dataset YAML."""
    # Lists are written in one line, and classes one below the other.
    styles = {key: None if isinstance(v, (list, dict)) and key != "names" else False for key, v in patch.items()}
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 120}
    return "".join(yaml.safe_dump({k: v}, default_flow_style=styles[k], **options) for k, v in patch.items())


def _refuse(data: Description, folder: Path) -> None:
    target = _real(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(
            Problem("the folder of the corrected copy is not empty.", "choose another one", str(folder))
        )
    roots = {_real(data.get("path") or Path(data.file).parent)}
    roots |= {_real(image).parent for split in data.splits.values() for image in split.images[:1]}
    inside = next((root for root in roots if target.is_relative_to(root)), None)
    if inside is not None:
        what = f"the folder of the corrected copy is within the dataset {inside}, which is never written to."
        raise SettingsError(Problem(what, "choose a folder outside of it", str(folder)))
    if not data.splits:
        what = "no images could be read, so there is nothing to copy."
        raise DatasetError(Problem(what, "correct the findings about the YAML first", data.file))
    if any(not file.endswith(".txt") for split in data.splits.values() for file in split.label_files[:1]):
        what = "only label files with one row for each object can be corrected."
        raise DatasetError(Problem(what, "convert the dataset first", data.file))


def _real(path: str | Path) -> Path:
    """Return a path without links; `Path.resolve` raises for those that lead to themselves."""
    return Path(os.path.realpath(path))


def _write(
    data: Description,
    findings: Sequence[Finding],
    folder: Path,
    patch: Mapping[str, Any],
    proposal: Mapping[str, Sequence[str]],
) -> list[str]:
    fixed = Corrections()
    suspects = {f.file for f in findings if f.code in LABEL_CODES and f.file}
    strange = {f.file for f in findings if f.code == OUTSIDE and f.severity == "error"}
    homes = _homes(data)
    places = {home: _places(home, data.splits[home].images) for home in set(homes.values())}
    labels: set[str] = set()
    for home, members in places.items():
        split = data.splits[home]
        for image, file, labelled in zip(split.images, split.label_files, split.labelled.tolist(), strict=True):
            place = folder / members[image]
            if not os.path.lexists(place):  # a list may name an image twice
                _link(image, place)
            label = _label_place(place)
            if labelled != MISSING and str(label) not in labels:
                labels.add(str(label))
                if file in strange:
                    _link(file, label)  # its content must not be read
                    continue
                _write_label(file, label, file in suspects, fixed)
    keys = _keys(data, homes)
    _write_yaml(folder / "data.yaml", keys, patch)
    if proposal:
        _write_proposal(
            folder, keys, patch, {i: p for members in places.values() for i, p in members.items()}, proposal
        )
    images = sum(map(len, places.values()))
    return [
        f"The copy: {counted(images, 'image')} as links, {counted(len(labels), 'label file')}.",
        *_report(data, findings, fixed, patch, proposal),
    ]


def _homes(data: Description) -> dict[str, str]:
    """Return for each split the one whose folder it has in the copy: its own, or that of a split of the same images."""
    splits = data.splits
    return {name: next(n for n in splits if splits[n].images == split.images) for name, split in splits.items()}


def _places(split: str, images: Sequence[str]) -> dict[str, str]:
    """Return for each image of a split its place in the copy, with the folders below the one that all are in."""
    root = os.path.commonpath([os.path.dirname(image) for image in images])  # noqa: PTH120 - many paths
    return {image: f"images/{split}/{os.path.relpath(image, root).replace(os.sep, '/')}" for image in images}


def _label_place(image: Path) -> Path:
    return Path(label_folder(str(image.parent))) / f"{image.name.rpartition('.')[0]}.txt"


def _link(source: str, place: Path) -> None:
    """Link a file, or copy it where links are not possible."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(source)
    except OSError:
        if Path(source).is_dir():
            return
        shutil.copyfile(source, place)


def _write_label(file: str, place: Path, suspect: bool, fixed: Corrections) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    source = Path(file)
    try:
        content = source.read_bytes() if source.is_file() and source.stat().st_size <= MOST_BYTES else None
    except OSError:
        content = None
    if content is None:
        _link(file, place)
        return
    text = _decoded(content, file, fixed)
    if text is None:
        place.write_bytes(content)
        return
    text, wholes = WHOLE_CLASS.subn(r"\1", text)
    fixed.counts["classes written as whole numbers"] += wholes
    if suspect:
        text = _fix_lines(text, file, fixed)
    place.write_bytes(text.encode())


def _decoded(content: bytes, file: str, fixed: Corrections) -> str | None:
    """Return a label file as text; None if its encoding is not certain."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    if wide or content.startswith(BYTE_ORDER_MARK):
        fixed.counts["label files saved as UTF-8 without a byte order mark"] += 1
        fixed.lines.add((file, None))
    return text


def _fix_lines(text: str, file: str, fixed: Corrections) -> str:
    """Return a label file with decimal points and without rows that repeat an earlier one."""
    lines: list[str] = []
    seen: set[bytes] = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if _has_decimal_commas(words):
            words = line.replace(",", ".").split()
            line = " ".join(words)
            fixed.counts["rows written with decimal points"] += 1
            fixed.lines.add((file, number))
        key = _content(words)
        if key in seen:
            fixed.counts["repeated rows removed"] += 1
            continue
        if key is not None:
            seen.add(key)
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _content(words: Sequence[str]) -> bytes | None:
    """Return what makes rows equal: their numbers in single precision, which training uses; None for other rows."""
    try:
        row = np.array([float(word) for word in words], np.float32) + np.float32(0)  # -0 becomes 0
    except ValueError:
        return None
    return row.tobytes() if len(row) and np.isfinite(row).all() else None


def _has_decimal_commas(words: Sequence[str]) -> bool:
    """Return whether every number of a row that is not a whole one has a comma where its decimal point belongs."""
    commas = sum(WITH_COMMA.fullmatch(word) is not None for word in words)
    return commas >= LEAST_NUMBERS and all(WITH_COMMA.fullmatch(w) or WHOLE.fullmatch(w) for w in words)


def _keys(data: Description, homes: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of the copy: those of the dataset, with the splits where the copy has them."""
    keys = dict(read_document(Path(data.file)).content)
    keys.pop("path", None)
    if "val" not in keys and "validation" in keys:
        keys["val"] = keys.pop("validation")
    keys |= {name: f"images/{home}" for name, home in homes.items()}
    order = [name for name in SPLITS if name in keys]
    return {key: keys[key] for key in [*order, *(k for k in keys if k not in order)]}


def _write_yaml(file: Path, keys: Mapping[str, Any], patch: Mapping[str, Any]) -> None:
    text = patch_text({key: value for key, value in keys.items() if key not in patch})
    if patch:
        text += f"\n{SUGGESTED}\n{patch_text(patch)}"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _write_proposal(
    folder: Path,
    keys: Mapping[str, Any],
    patch: Mapping[str, Any],
    places: Mapping[str, str],
    proposal: Mapping[str, Sequence[str]],
) -> None:
    for name, images in proposal.items():
        lines = "".join(f"./{places[image]}\n" for image in images)
        (folder / f"{name}.txt").write_text(lines, encoding="utf-8", errors="surrogateescape")
    lists = {name: f"{name}.txt" for name in proposal}
    _write_yaml(folder / "data-split.yaml", {**keys, **lists}, patch)


def _report(
    data: Description,
    findings: Sequence[Finding],
    fixed: Corrections,
    patch: Mapping[str, Any],
    proposal: Mapping[str, Sequence[str]],
) -> list[str]:
    lines = [f"fixed: {what} ({count})." for what, count in fixed.counts.items() if count]
    paths = sum(f.code == "path-habit" for f in findings)
    if paths:
        lines.append(f"fixed: paths of the YAML ({paths}).")
    if "validation" in data.lines and "validation" not in data:
        lines.append("fixed: the key validation is written as val.")
    left = [f for f in findings if f.code in SKIPPED]
    lines += [f"skipped: {code} ({count})." for code, count in _counted(left)]
    if proposal:
        sizes = ", ".join(f"{len(images)} in {name}" for name, images in proposal.items())
        lines.append(f"data-split.yaml has the proposed split: {sizes}.")
    twice = [f for f in findings if f.code == "duplicate-key"]
    lines += [f"see line {f.line} of the YAML: {f.message} The first was copied." for f in twice]
    remain = [f for f in findings if not (_is_gone(f, fixed) or _is_patched(f, data, patch))]
    lines += [f"still to do: {code} ({count})." for code, count in _counted(remain)]
    return lines


def _is_gone(finding: Finding, fixed: Corrections) -> bool:
    if finding.code in FIXED | SKIPPED or finding.code == "duplicate-key":
        return True
    if finding.code == "label-encoding":
        return (finding.file, None) in fixed.lines
    if finding.code == "unknown-key":
        return "'validation' is read as" in finding.message
    return finding.code == "label-number" and (finding.file, finding.line) in fixed.lines


def _is_patched(finding: Finding, data: Description, patch: Mapping[str, Any]) -> bool:
    """Return whether a finding is about a key of the YAML that the copy has as it was suggested."""
    return finding.file == data.file and any(re.search(rf"\b{re.escape(str(k))}\b", finding.message) for k in patch)


def _counted(findings: Iterable[Finding]) -> list[tuple[str, int]]:
    """Return how often each code occurs, errors first."""
    severity = {f.code: f.severity for f in findings}
    counts = Counter(f.code for f in findings)
    return sorted(counts.items(), key=lambda item: (severity[item[0]] != "error", item[0]))

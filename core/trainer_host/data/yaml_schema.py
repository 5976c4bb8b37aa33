"""The keys of a dataset YAML that every task has: classes, channels, splits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer_host.base.errors import nearest
from trainer_host.base.findings import MISSING_KEY, Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trainer_host.data.dataset_draft import Draft
    from trainer_host.data.description import Description, Split

KNOWN = frozenset(
    {"path", "train", "val", "test", "minival", "names", "nc", "channels", "download", "images", "source"}
)
"""Keys that every task understands."""
METADATA = frozenset(
    {
        *("author", "authors", "citation", "comment", "contributor", "created", "creator", "dataset", "dataset_name"),
        *("date", "date_created", "description", "homepage", "info", "license", "licenses", "links", "name", "notes"),
        *("roboflow", "source_url", "tags", "task", "title", "type", "url", "version", "year", "yaml_file"),
    }
)
"""Keys with which other programs describe a dataset; they have no effect."""
MOST_CLASSES = 100_000
PLAIN = r"[A-Za-z_][\w -]*"
"""A name that YAML reads as text without quotation marks; the words that it takes for something else are short."""
SHOWN = 100
"""Classes that a fix names."""
NAMELESS, COUNTLESS = "write names: [thing]", "write nc: 1"
"""Fixes that are completed by the number of classes in the labels."""


def normalize_classes(data: Draft) -> None:
    """Replace names and nc by the form of the engine, class index to name; remove them after a problem."""
    given, count = data.pop("names", None), data.pop("nc", None)
    if count is not None and (count := _whole(count)) is None:
        data.note_key("nc", "nc-type", "nc is not a valid number of classes.", "remove nc:" if given else COUNTLESS)
    if given is None:
        if count is None and "nc" not in data.lines:
            what = "the key 'names' is missing: the names of the classes."
            fix, line = NAMELESS, data.lines.get("names")
            data.findings.append(Finding(MISSING_KEY, what, fix, data.file, line))
        elif count is not None:
            data["names"], data["nc"] = {i: f"class_{i}" for i in range(count)}, count
        return
    names = _names(data, given)
    if names is None:
        return
    if count is not None and count != len(names):
        what = f"nc is {count}, but names has {len(names)} classes."
        data.note_key("nc", "names-nc-mismatch", what, f"remove nc:, or write nc: {len(names)}")
    first: dict[str, int] = {}
    for index, name in names.items():
        if name in first:
            what = f"the classes {first[name]} and {index} are both called {name!r}."
            fix = "give each class a unique name"
            data.note_key(f"names.{index}", "names-duplicate", what, fix, "warning")
        first.setdefault(name, index)
    data["names"], data["nc"] = names, len(names)


def _whole(value: Any) -> int | None:
    """Return a number of classes, which may be written as 10, 10.0 or '10'."""
    try:
        number = float(value)
        good = not isinstance(value, bool) and number == int(number) and 0 < number <= MOST_CLASSES
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if good else None


def _names(data: Draft, given: Any) -> dict[int, str] | None:
    """Return class index to name, or None after noting why there is none."""

    def bad(code: str, message: str, fix: str, key: str = "names") -> None:
        data.note_key(key, code, message, fix)

    if not isinstance(given, (list, dict)):
        bad("names-type", f"names is {given!r}, not a list or a mapping.", _listed(given))
        return None
    if not given:
        bad("names-empty", "the dataset has no classes.", NAMELESS)
        return None
    pairs = list(given.items()) if isinstance(given, dict) else list(enumerate(given))
    names: dict[int, str] = {}
    for key, value in pairs:
        index = _index(key)
        if index is None:
            bad("names-type", f"the class {key!r} is not a number.", _turned(pairs), f"names.{key}")
            return None
        if isinstance(value, (bool, dict, list)) or value is None or not str(value).strip():
            fix = "give the class a name"
            if isinstance(value, bool):
                fix = "quote the name (YAML reads yes, no, on and off as true and false)"
            bad("names-type", f"the name of class {index} is {value!r}.", fix, f"names.{key}")
            return None
        names[index] = str(value)
    missing = sorted(set(range(len(names))) - names.keys())
    if missing:
        what = f"the classes are numbered {_shown(sorted(names))}; {missing[0]} is missing."
        fix = f"{_renumbered(names)}, and change the classes in the labels to match"
        if sorted(names) == list(range(1, len(names) + 1)):
            fix = f"{_renumbered(names)}; if the labels count from 1 too, subtract 1 from their classes"
        bad("names-gaps", what, fix)
        return None
    return {index: names[index] for index in range(len(names))}


def _renumbered(names: Mapping[int, str]) -> str:
    """Return how to write classes whose numbers have gaps."""
    ordered = [names[index] for index in sorted(names)]
    if len(ordered) >= SHOWN or not all(re.fullmatch(PLAIN, name) for name in ordered):
        return f"number them 0 to {len(names) - 1} without gaps"
    return f"write names: {{{', '.join(f'{i}: {name}' for i, name in enumerate(ordered))}}}"


def _listed(given: Any) -> str:
    """Return how to write classes that were given as a text, or as their number."""
    if _whole(given) is not None:
        return f"write nc: {_whole(given)} instead of names"
    names = [part.strip() for part in str(given).split(",") if part.strip()]
    plain = len(names) < SHOWN and all(re.fullmatch(PLAIN, name) for name in names)
    return f"write names: [{', '.join(names)}]" if names and plain else "write names: with a list of names"


def _turned(pairs: Sequence[tuple[Any, Any]]) -> str:
    """Return how to write classes whose names lead to their numbers."""
    turned = {_index(value): str(key) for key, value in pairs}
    if sorted(turned, key=str) == sorted(range(len(pairs)), key=str) and len(pairs) < SHOWN:
        return f"write names: {{{', '.join(f'{i}: {turned[i]}' for i in range(len(pairs)))}}}"
    return "write names: with a number for each name, from 0"


def name_classes_of_labels(data: Draft, splits: Collection[Split]) -> None:
    """Complete the fix of a dataset without classes by as many as its labels have."""
    firsts = [split.head(1)[:, 0] for split in splits if len(split.row_lengths)]
    known = [int(v) for first in firsts for v in (first.max(),) if v == v and 0 <= v < SHOWN]  # NaN is not itself
    if not known or len(known) < len(firsts):
        return
    count = max(known) + 1
    fixes = {
        NAMELESS: f"write names: [{', '.join(f'class_{i}' for i in range(count))}]",
        COUNTLESS: f"write nc: {count}",
    }
    data.findings = [replace(f, fix=fixes.get(f.fix, f.fix)) for f in data.findings]


def _index(key: Any) -> int | None:
    if isinstance(key, bool) or not isinstance(key, (int, str)):
        return None
    try:
        return int(key)
    except ValueError:
        return None


def _shown(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")


def normalize_channels(data: Draft) -> None:
    """Set the number of channels that images are read with; three by default."""
    value = data.setdefault("channels", 3)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
        fix = "write channels: 3 for colour, or channels: 1 for gray images"
        data.note_key("channels", "channels", f"channels is {value!r}, not a number of channels.", fix)
        data["channels"] = 3


def note_download(data: Draft) -> None:
    """Warn that nothing is downloaded: the download command would run with the rights of the user."""
    if data.get("download"):
        what = f"download: ({data['download']!s:.60}) is never run."
        fix = "download the data yourself if you trust the source"
        data.note_key("download", "download-ignored", " ".join(what.split()), fix, "warning")


def unknown_keys(data: Description, known: Collection[str]) -> Iterator[Finding]:
    """Yield the keys that have no effect, with the known one that was perhaps meant."""
    known = {*KNOWN, *known}
    for key in data:
        if key in known or key in METADATA or str(key) not in data.lines:
            continue
        near = nearest(str(key), known)
        fix = f"write {near}:" if near else "remove it, or ignore this"
        yield data.of_key(str(key), "unknown-key", f"unknown key {key!r} has no effect.", fix, "warning")

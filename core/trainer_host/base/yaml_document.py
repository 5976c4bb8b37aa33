"""YAML files of others: read without running anything and within limits, with the line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from trainer_host.base.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 4 << 20
"""Bytes beyond which a YAML is not read: its parser needs a hundred times as many."""
MOST_DEPTH = 50
MOST_BITS = 64
MOST_NODES = 1_000_000
"""Values that a document may have once its aliases are written out; a few lines can stand for billions."""
SCALAR_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp"))
MERGE = "tag:yaml.org,2002:merge"
SYNTAX = {
    "mapping values are not allowed here": "put the value into quotes, or remove the second colon",
    "found character '\\t'": "indent with spaces, not tabs",
    "could not find expected ':'": "write KEY: VALUE, with a space after the colon",
    "found another document": "remove the second document, which begins with ---",
}
"""Fixes for frequent syntax errors, by how the parser's text begins."""
COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


@dataclass(frozen=True)
class Document:
    """A YAML file.

    Attributes:
        content: Its keys and values; empty if it could not be read.
        lines: The line of each key, counted from 1; a key within a key is written with a dot, and so is the place
            in a list (``names.0``).
        findings: What is wrong with it.
        quoted: The top-level keys whose values are texts in quotes.
    """

    content: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    quoted: frozenset[str] = frozenset()


def read_document(path: Path, kind: str = "dataset YAML") -> Document:
    """Read a YAML file whose document is a mapping. Nothing raises; what is wrong is among the findings.

    Args:
        path: The file.
        kind: What it is called in messages.
    """

    def bad(code: str, message: str, fix: str, line: int | None = None) -> Document:
        return Document(findings=[Finding(code, message, fix, str(path), line)])

    try:
        size, regular = path.stat().st_size, path.is_file()
        data = path.read_bytes() if size <= MOST_BYTES and regular else b""
    except FileNotFoundError:
        return bad("dataset-missing", "file not found.", f"give the path of a {kind}")
    except OSError as error:
        return bad(
            "yaml-unreadable", f"the file cannot be read: {error.strerror}.", "check the path and its permissions"
        )
    if not regular:
        return bad("yaml-unreadable", "not a regular file.", f"give the path of a {kind}")
    if size > MOST_BYTES:
        return bad(
            "yaml-too-large", f"the file has {size >> 20} MiB; the maximum is {MOST_BYTES >> 20}.", f"give a {kind}"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return bad("yaml-encoding", "the file is binary data, not text.", f"give the path of a {kind}")
        line = data.count(b"\n", 0, error.start) + 1
        return bad("yaml-encoding", "the file is not UTF-8 text.", "save it as UTF-8", line)
    try:
        root = _compose(text)
    except yaml.YAMLError as error:
        what = (getattr(error, "problem", None) or " ".join(str(error).split())).removeprefix("but ")
        fix = next((fix for begin, fix in SYNTAX.items() if what.startswith(begin)), "correct the line")
        return bad("yaml-syntax", f"YAML syntax: {what}.", fix, _line_of(error, text))
    except RecursionError:
        return bad("yaml-too-large", "the YAML is nested too deeply.", "write plain keys and values")
    if not isinstance(root, yaml.MappingNode):
        found = "empty" if root is None else "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        return bad("yaml-type", f"the file is {found}, not a mapping of keys.", "write train:, val: and names:", 1)
    builder = _Builder(str(path))
    try:
        content = builder.mapping(root, "")
    except _TooLargeError as error:
        return bad("yaml-too-large", str(error), "write the values themselves")
    quoted = frozenset(
        str(key.value) for key, value in root.value if isinstance(value, yaml.ScalarNode) and value.style in {"'", '"'}
    )
    return Document(content, builder.lines, builder.findings, quoted)


def _compose(text: str) -> yaml.Node | None:
    """Return the document's node: by the parser in C; if that fails, by the one with better errors.

    Raises:
        RecursionError: If it is nested so deeply that either would crash.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise RecursionError
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _line_of(error: yaml.YAMLError, text: str) -> int | None:
    """Return the faulty line, which for something that is never closed or ended is where it begins."""
    position = getattr(error, "position", None)
    if position is not None:  # a character that YAML does not allow
        return text.count("\n", 0, position) + 1
    begun = str(getattr(error, "context", "")).startswith(("while scanning", "while parsing a flow"))
    mark = (getattr(error, "context_mark", None) if begun else None) or getattr(error, "problem_mark", None)
    return int(mark.line) + 1 if mark is not None else None


class _TooLargeError(Exception):
    pass


class _Builder:
    """Makes plain values of YAML nodes, and notes the line of each key."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[str, int] = {}
        self.findings: list[Finding] = []
        self.nodes = 0
        self.scalars = yaml.SafeLoader("")
        self.open: set[int] = set()
        self.built: dict[int, dict[Any, Any]] = {}

    def note(self, code: str, message: str, fix: str, node: yaml.Node) -> None:
        self.findings.append(Finding(code, message, fix, self.file, node.start_mark.line + 1))

    def refuse(self, node: yaml.Node) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        what = f"the tag {tag} is not allowed, because tags can run code."
        self.note("yaml-value", what, "write the value without a tag", node)

    def value(self, node: yaml.Node, place: str) -> Any:
        self.nodes += 1
        if id(node) in self.open:
            raise _TooLargeError("a list or mapping contains itself.")
        if self.nodes > MOST_NODES:
            raise _TooLargeError("the YAML's aliases expand to too many values.")
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if node.tag not in COLLECTION_TAGS:
            self.refuse(node)
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, f"{place}.{i}") for i, item in enumerate(node.value)]
            return self.mapping(node, f"{place}.") if isinstance(node, yaml.MappingNode) else None
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, prefix: str) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == MERGE:
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.note("key-type", "a key is a list or a mapping.", "write a word as the key", key_node)
                continue
            key = self.scalar(key_node)
            place = f"{prefix}{key}"
            if key in content:
                first = self.lines[place]
                what = f"the key {key!r} is given twice, first in line {first}."
                self.note("duplicate-key", what, "remove one of the two", key_node)
                continue
            self.lines[place] = key_node.start_mark.line + 1
            content[key] = self.value(value_node, place)
        # Own keys take precedence over merged ones, and of these the first.
        for merged, line in self.merged(node):
            for key, value in merged.items():
                self.lines.setdefault(f"{prefix}{key}", line)
                content.setdefault(key, value)
        return content

    def merged(self, node: yaml.MappingNode) -> Iterator[tuple[dict[Any, Any], int]]:
        """Yield the mappings that are merged into one by ``<<``, each built once, with the line that says so."""
        for key_node, value_node in node.value:
            if key_node.tag != MERGE:
                continue
            line = key_node.start_mark.line + 1
            for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    what = "the value of << is not a mapping."
                    self.note("yaml-value", what, "write <<: *NAME, the name of a mapping", key_node)
                    continue
                if id(source) not in self.built:
                    self.built[id(source)] = self.value(source, f"<<{line}") or {}
                self.nodes += len(self.built[id(source)])
                yield self.built[id(source)], line

    def scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag not in SCALAR_TAGS:
            self.refuse(node)
            return None
        try:
            value = self.scalars.construct_object(node)
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise ValueError("the number is too large")
            return value
        except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            # A value that the YAML library cannot make, such as the date 2020-99-99.
            self.note(
                "yaml-value", f"YAML value {node.value[:40]!r}: {' '.join(str(error).split())}.", "correct it", node
            )
            return None


def mentions(path: Path, word: str) -> bool:
    """Return whether a YAML file could have a word in it; one that is too large to be read has none."""
    try:
        usable = path.is_file() and path.stat().st_size <= MOST_BYTES
        return usable and word.encode() in path.read_bytes().lower()
    except OSError:
        return False

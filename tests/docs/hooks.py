"""docs/reference/hooks.md below its mark: every hook with its context and types, as the sources describe them.

Write it again with ``python -m tests.docs.hooks``.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import trainer_host
from trainer_host.base import contexts, protocols, type_aliases
from trainer_host.plugin.chain import READERS
from trainer_host.plugin.hookspecs import HOOKS, STAGES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hooks.md"
MARK = "<!-- Below: written by `python -m tests.docs.hooks` from the sources. -->\n"

TITLES: Mapping[str, tuple[str, ...]] = {
    str(stage.__doc__).rstrip("."): tuple(name for name in vars(stage) if name in HOOKS) for stage in STAGES
}
"""Every hook, by the stage of a run."""

CONTEXTS = [c for c in vars(contexts).values() if inspect.isclass(c) and c.__name__.endswith("Context")]
VALUES = [
    *(trainer_host.TaskSpec, trainer_host.ExtensionSpec, trainer_host.Finding, trainer_host.Problem),
    *(trainer_host.Layer, trainer_host.Detections, trainer_host.AnnotatedImage, trainer_host.ImagePrediction),
    *(trainer_host.LoadedImage, trainer_host.UnreadableImage, trainer_host.LaunchContext),
    *(trainer_host.Box, trainer_host.Point, trainer_host.Line, trainer_host.Histogram),
    *(trainer_host.Sample, trainer_host.AutobatchHints, trainer_host.ModelFacts),
]
HOST_SIDE = {"Training", "Finished"}
"""Protocols of another engine, which are no plugin's business."""
PROTOCOLS = [p for n, p in vars(protocols).items() if getattr(p, "_is_protocol", False) and n not in HOST_SIDE]
PROTOCOLS = [p for p in PROTOCOLS if p.__module__ == protocols.__name__]


def aliases() -> dict[str, str]:
    """Return what is said of each name for a type."""
    body = [node for module in (type_aliases, protocols) for node in ast.parse(inspect.getsource(module)).body]
    return {
        node.target.id: str(text.value.value)
        for node, text in pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def places() -> dict[str, str]:
    """Return the anchor of every name that the page describes."""
    found = {name: name for name in HOOKS}
    found |= {c.__name__: f"class-{c.__name__.lower()}" for c in [*CONTEXTS, *VALUES]}
    found |= {p.__name__: f"protocol-{p.__name__.lower()}" for p in PROTOCOLS}
    found |= dict.fromkeys(aliases(), "other-names")
    return found


def prose(text: str) -> str:
    """Return the text of a docstring as Markdown, in one line for each paragraph."""
    known = places()

    def named(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`](#{known[name]})" if name in known else f"`{name}`"

    text = re.sub(r"``([^`]+)``", lambda m: f"\0{m[1]}\0", text)
    text = re.sub(r"`([^`]+)`", named, text).replace("\0", "`")
    return "\n\n".join(" ".join(p.split()) for p in text.strip().split("\n\n"))


def lines(text: str) -> str:
    """Return the text of a docstring as Markdown, in lines of 120 characters."""
    return "\n\n".join(textwrap.fill(p, 120, break_on_hyphens=False) for p in prose(text).split("\n\n"))


def cell(text: str) -> str:
    """Return a text as it may stand in a table or a list: in one line."""
    return " ".join(prose(text).split()).replace("|", "\\|")


def sections(doc: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the text of a docstring, what it says of its attributes, and what it raises."""
    head = re.split(r"^(?:Attributes|Raises|Args):$", doc, maxsplit=1, flags=re.MULTILINE)[0]
    return head.strip(), entries(doc, "Attributes"), entries(doc, "Raises")


def entries(doc: str, section: str) -> dict[str, str]:
    """Return the entries of one section of a docstring, by their names."""
    match = re.search(rf"^{section}:\n((?: .*\n|\n)*)", doc + "\n", re.MULTILINE)
    said = inspect.cleandoc(match[1]) if match else ""
    found = re.findall(r"^(\w+): (.*(?:\n +.*)*)", said, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def short(signature: str) -> str:
    """Return a signature without the modules of its types."""
    return re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", signature.replace("'", ""))


def who(name: str, first: bool) -> str:
    """Return who answers a hook, and in which order."""
    if name in READERS:
        return "First result: extensions are called first, then the task, then its base."
    if first:
        return "First result: the task is called first, then its base. Extensions wrap it."
    return "All answer: base, task, extensions."


def hook_section(name: str) -> Iterator[str]:
    """Yield the section of one hook."""
    function = HOOKS[name]
    doc = inspect.getdoc(function) or ""
    since = re.search(r"\.\. versionadded:: (\S+)", doc)
    called = re.search(r"^Called: ((?:.+\n?)+)", doc, re.MULTILINE)
    assert since, f"{name} does not say since when it is there"
    assert called, f"{name} does not say when it is called"
    text = doc.replace(since[0], "").replace(called[0], "")
    text, _, raises = sections(text)
    signature = short(str(inspect.signature(function))).replace("self, ", "")
    types = [t for t in dict.fromkeys(re.findall(r"\w+", signature)) if t in places() and t not in HOOKS]
    yield f"### {name}\n"
    yield f"```python\ndef {name}{signature}\n```\n"
    answers, when = who(name, function.trainer_host_spec["firstresult"]), prose(called[1]).rstrip(".")
    yield textwrap.fill(f"{answers} Called {when}. Since {since[1]}.", 120, break_on_hyphens=False) + "\n"
    yield f"{lines(text)}\n"
    for error, reason in raises.items():
        yield f"Raises `{error}`: {prose(reason)[0].lower()}{prose(reason)[1:]}\n"
    if types:
        yield "Types: " + ", ".join(f"[`{t}`](#{places()[t]})" for t in types) + ".\n"


def class_section(kind: type[Any]) -> Iterator[str]:
    """Yield the section of a dataclass: its text, its attributes, its methods."""
    text, said, _ = sections(inspect.getdoc(kind) or "")
    own = [f for f in fields(kind) if f.name in vars(kind).get("__annotations__", {})]
    assert all(f.name in said for f in own if said), f"{kind.__name__} does not describe all of its attributes"
    base = next((b.__name__ for b in kind.__mro__[1:] if is_dataclass(b)), None)
    yield f"### class {kind.__name__}\n"
    yield (
        prose(text) + (f" It has the attributes of [`{base}`](#{places()[base]}), and:" if base and own else "") + "\n"
    )
    if own:
        yield "| Attribute | Type | Content |\n| --- | --- | --- |"
        for field in own:
            kind_of = str(field.type).replace("|", "\\|")
            yield f"| `{field.name}` | `{kind_of}` | {cell(said.get(field.name, ''))} |"
        yield ""
    yield from methods(kind)


def protocol_section(kind: type[Any]) -> Iterator[str]:
    """Yield the section of a protocol."""
    text, said, _ = sections(inspect.getdoc(kind) or "")
    attributes = dict(vars(kind).get("__annotations__", {}))
    attributes |= {n: p.fget.__annotations__["return"] for n, p in vars(kind).items() if isinstance(p, property)}
    yield f"### protocol {kind.__name__}\n"
    yield f"{lines(text)}\n"
    items = [
        f"- `{name}: {of}`" + (f": {prose(said[name])}" if name in said else "") for name, of in attributes.items()
    ]
    if items:
        yield "\n".join(items) + "\n"
    yield from methods(kind)


def methods(kind: type[Any]) -> Iterator[str]:
    """Yield a line for each method and property that a class declares."""
    named = set(re.findall(r"def (\w+)\(", inspect.getsource(kind))) - {"__str__"}
    items = []
    for name, member in vars(kind).items():
        function = member.__func__ if isinstance(member, classmethod) else member
        if name in named and inspect.isfunction(function):
            signature = re.sub(r"(?:self|cls)(?:, /)?(?:, )?", "", short(str(inspect.signature(function))), count=1)
            items.append(f"- `{name}{signature}`: {cell(sections(inspect.getdoc(function) or '')[0])}")
        if isinstance(member, property) and member.__doc__ and not name.startswith("_"):
            items.append(f"- `{name}: {short(member.fget.__annotations__['return'])}`: {cell(member.__doc__)}")
    if items:
        yield "\n".join(items) + "\n"


def overview() -> Iterator[str]:
    """Yield the table of all hooks."""
    yield "## Overview\n"
    yield "| Hook | Answers | What it does |\n| --- | --- | --- |"
    for name in (n for stage in TITLES.values() for n in stage):
        first = HOOKS[name].trainer_host_spec["firstresult"]
        summary = (inspect.getdoc(HOOKS[name]) or "").split("\n\n")[0]
        yield f"| [`{name}`](#{name}) | {'first result' if first else 'all'} | {cell(summary)} |"
    yield ""


def generated() -> str:
    """Return the part of the page that follows the mark."""
    parts = [*overview()]
    for stage, names in TITLES.items():
        parts += [f"## {stage}\n", *(line for name in names for line in hook_section(name))]
    parts += ["## Contexts\n", "Frozen views of a run; `dataclasses.replace` makes a changed copy.\n"]
    parts += chained(class_section(c) for c in CONTEXTS)
    parts += ["## Classes\n", "Objects that entry points name, and that hooks return. All are in `trainer_host`.\n"]
    parts += chained(class_section(c) for c in VALUES)
    parts += ["## Protocols\n", "Interfaces: any class with these members will do. All are in `trainer_host.typing`.\n"]
    parts += chained(protocol_section(p) for p in PROTOCOLS)
    parts += ["## Other names\n", "Aliases of `trainer_host.typing` for types of torch, numpy and the engine.\n"]
    parts += [f"- `{name}`: {prose(doc)}" for name, doc in aliases().items()]
    return "\n".join(parts).rstrip() + "\n"


def chained(sections_of: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of several sections."""
    return [line for section in sections_of for line in section]


def page() -> str:
    """Return the page: what is written by hand, and what is generated."""
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return f"{head}{MARK}\n{generated()}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

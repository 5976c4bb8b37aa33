"""The page of findings and the sources have the same codes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.corpus import CASES
from tests.support.command import ROOT

PAGE = ROOT / "docs" / "reference" / "findings.md"
SOURCES = sorted(p for folder in ("core", "plugins") for p in (ROOT / folder).rglob("*.py"))
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| ([^|]+) \|", re.MULTILINE)
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")
"""The form of a code. One that is only returned or assigned in a tuple is recognized by its hyphen."""


def documented() -> dict[str, str]:
    """Return the severity of each code of the page, as it is written there."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == len(dict(rows)), "a code stands there twice"
    return dict(rows)


def code_places(trees: list[ast.Module]) -> dict[str, set[int]]:
    """Return for each function and class that takes a code which of its arguments that is."""
    places: dict[str, set[int]] = defaultdict(set)
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args if a.arg not in {"self", "cls"}]
        elif isinstance(node, ast.ClassDef):
            names = [s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)]
        else:
            continue
        if "code" in names:
            places[node.name].add(names.index("code"))
    return places


def texts(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    """Yield the texts that an expression can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, constants)
        yield from texts(node.orelse, constants)


def codes_in(sources: list[str]) -> set[str]:
    """Return the codes of all findings that sources make."""
    trees = [ast.parse(source) for source in sources]
    places = code_places(trees)
    constants = {
        target.id: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = [a for i, a in enumerate(node.args) if i in places.get(name, ()) and len(node.args) > 1]
            given += [k.value for k in node.keywords if k.arg == "code" and name in places]
            found |= {text for argument in given for text in texts(argument, constants) if CODE.fullmatch(text)}
        elif isinstance(node, (ast.Assign, ast.Return)) and isinstance(node.value, ast.Tuple):
            parts = {text for part in node.value.elts for text in texts(part, {})}
            found |= {text for text in parts if "-" in text and CODE.fullmatch(text)}
    return found


def test_codes_are_found_however_they_are_given() -> None:
    source = (
        "class Finding:\n    code: str\n    message: str\n"
        "class LabelFault:\n    line: int\n    code: str\n"
        "class Split:\n    def of_row(self, row, code, message): ...\n"
        "KEY = 'a-constant'\n"
        "Finding('first', 'A message.')\nLabelFault(1, 'second-one')\nsplit.of_row(3, 'third', 'text')\n"
        "Finding(KEY, 'm')\nFinding('fourth' if x else 'fifth', 'm')\nFinding(message='m', code='sixth')\n"
        "what, code = 'Some text.', 'seventh-one'\n"
        "def fault():\n    return 'eighth-one', 'text'\n"
        "other('no-code', 'text')\n"
    )
    words = "a-constant first second-one third fourth fifth sixth seventh-one eighth-one"
    assert codes_in([source]) == set(words.split())


def test_the_page_has_every_code_and_no_other() -> None:
    made = codes_in([path.read_text(encoding="utf-8") for path in SOURCES])
    assert made == set(documented())


def test_the_page_has_the_severities_that_the_corpus_expects() -> None:
    page = documented()
    wrong = {(e.code, e.severity) for case in CASES for e in case.expected if e.severity not in page.get(e.code, "")}
    assert wrong == set()

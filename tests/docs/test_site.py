"""The site has every page, in the order of tutorial, how-to guides, reference, explanation and decisions."""

from __future__ import annotations

import re

from tests.support.command import ROOT

DOCS = ROOT / "docs"


def test_every_page_stands_in_the_navigation() -> None:
    # Read as text: the file names a function of the theme, which safe YAML does not know.
    listed = re.findall(r"^\s+- (\S+\.md)$", (DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert {page for page in listed if not page.startswith("project/")} == pages
    assert len(set(listed)) == len(listed)
    folders = list(dict.fromkeys(page.partition("/")[0] for page in listed))
    assert folders == ["index.md", "tutorial", "how-to", "reference", "explanation", "decisions", "project"]

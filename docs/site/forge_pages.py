"""Adaptation of the pages, which are written for the forge, to the site: a hook of mkdocs.

Pages at the top of the repository are in a folder ``project`` of the site, and links follow them. Blocks in list items,
which the forge wants indented by three spaces, get the four that the site wants.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}
PAGES["SECURITY.md"] = "project/security.md"
HOME = {value: key for key, value in PAGES.items()}
LINK = re.compile(r"\]\(([^):#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the top folder."""
    for name, place in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Resolve links in the repository, and write them for the site."""
    place = page.file.src_uri
    source = HOME.get(place, f"docs/{place}")

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        on_site = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(on_site, posixpath.dirname(place) or '.')}{match[2] or ''})"

    return "\n".join(_indented(LINK.sub(turned, markdown).splitlines()))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    """Indent blocks within list items by one more space; lines of a fence move as its first one does."""
    fence: bool | None = None
    deeper = False
    for line in lines:
        if deeper and fence is None and re.match(r"\d+\. ", line):
            yield ""  # the site's Markdown ends an item with blocks only by an empty line
        deeper = line.startswith("   ") if fence is None else fence
        if line.lstrip().startswith("```"):
            fence = deeper if fence is None else None
        yield f" {line}" if deeper and line else line

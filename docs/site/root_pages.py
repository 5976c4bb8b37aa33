"""Pages of the site that stand at the top of the repository, and links between them and docs/.

On the forge the links work as they are written, so the pages keep them; the site has the same files in a folder
``project``, and this hook of mkdocs turns the links to them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

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

    return LINK.sub(turned, markdown)

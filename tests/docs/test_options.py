"""The tables of options in docs say what the commands do."""

from __future__ import annotations

import pytest

from tests.docs.options import BLOCK, DOCS, PAGES, page
from trainer_host.base.option_declaration import COMMANDS


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_are_made_from_the_declarations(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == page(name), "write it again: python -m tests.docs.options"


def test_every_table_is_in_a_page() -> None:
    found = [name for page in PAGES for _, name, _ in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]
    assert (
        {"shared", "file", "environment", "run", "resume", "predict", "check", "convert"}
        <= set(found)
        <= {
            *COMMANDS,
            "shared",
            "file",
            "environment",
        }
    )

"""The tables of options in docs say what the commands do."""

from __future__ import annotations

import re

import pytest

from tests.docs.options import BLOCK, DOCS, PAGES, page
from trainer_host.base.option_declaration import COMMANDS
from trainer_host.base.resolved_run import ResolvedRun
from trainer_host.base.run_options import declared


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


def test_an_option_of_a_run_is_recorded_or_documented_as_not_recorded() -> None:
    text = (DOCS / "reference/settings.md").read_text(encoding="utf-8")
    after = text.partition("These options are not recorded")[2]
    documented = after.partition("\n\n")[2].partition("\n\n")[0]
    recorded = {name for name, one in declared("run").items() if one.recorded or name in ResolvedRun.model_fields}
    others = {one.flag or "FILE.yaml" for name, one in declared("run").items() if name not in recorded}
    assert set(re.findall(r"`(?:-\w, )?([^`]+)`", documented)) == others

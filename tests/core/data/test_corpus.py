"""Every dataset of the corpus through the command: what is found, where, and what is left as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus import BROKEN, CASES, VALID
from tests.corpus.check import Report, check, check_apart, missed, surplus, tree
from tests.corpus.generator import FIRST_LABELS, Case, draw_base, rows, yaml_text
from tests.corpus.page import listed

MOST_MEMORY = 1 << 30

Edit = tuple[int, int, str]


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep caches in a folder of the test, and fail where code in a dataset was run."""
    file = tmp_path / "code-was-run"
    monkeypatch.setenv("MARK", str(file))
    monkeypatch.setenv("TRAINER_CACHE_DIR", str(tmp_path / "cache"))
    yield file
    assert not file.exists()


def judged(case: Case, found: Report) -> None:
    """Assert that what was found is what there is to be found."""
    assert missed(case, found.findings) == []
    assert surplus(case, found.findings) == []
    assert found.code == (4 if any(e.severity == "error" for e in case.expected) else 0)


def make(case: Case, folder: Path) -> Path:
    if case.needs_user and not os.geteuid():
        pytest.skip("the superuser may read everything")
    return case.make(folder / case.name)


@pytest.mark.parametrize("case", [c for c in CASES if not c.heavy], ids=lambda case: case.name)
def test_what_is_found(case: Case, tmp_path: Path, mark: Path) -> None:
    data = make(case, tmp_path)
    before = tree(data.parent)
    judged(case, check(case, data))
    assert tree(data.parent) == before
    judged(case, check(case, data))  # once more, now from the cache


@pytest.mark.slow  # twelve processes that work to their limits; one of each kind of case runs in test_as_a_process
@pytest.mark.parametrize("case", [c for c in CASES if c.heavy], ids=lambda case: case.name)
def test_absurd_sizes(case: Case, tmp_path: Path, mark: Path) -> None:
    """In processes of their own, whose time and memory have limits."""
    data = make(case, tmp_path)
    before = tree(data.parent)
    found, memory = check_apart(case, data)
    judged(case, found)
    assert memory < MOST_MEMORY
    assert tree(data.parent) == before


@pytest.mark.parametrize("case", [VALID[0], BROKEN[0], BROKEN[-1]], ids=lambda case: case.name)
def test_as_a_process(case: Case, tmp_path: Path, mark: Path) -> None:
    found, memory = check_apart(case, make(case, tmp_path))
    judged(case, found)
    assert memory < MOST_MEMORY


PIECES = st.sampled_from(
    [*": []{},#&*!|>-@`~\n\t", "<<: ", "kpt_shape: ", "null", "---\n", "!!set ", "&a ", "\0", "1e9", ".nan"]
)
EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 8), PIECES), min_size=1, max_size=4)


@given(EDITS, EDITS)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_edits_anywhere_are_answered(sound: Path, yaml: list[Edit], label: list[Edit]) -> None:
    """No text makes the command fail: it says what is wrong, or that nothing is."""
    (sound / "data.yaml").write_text(edited(yaml_text(), yaml))
    (sound / FIRST_LABELS).write_text(edited("\n".join(rows(0)), label))
    found = check(VALID[0], sound / "data.yaml")
    assert found.code == (4 if any(f["severity"] == "error" for f in found.findings) else 0)


def edited(text: str, edits: list[Edit]) -> str:
    for place, length, piece in edits:
        text = text[:place] + piece + text[place + length :]
    return text


@pytest.fixture
def sound(tmp_path: Path, mark: Path) -> Path:
    draw_base(tmp_path / "data")
    return tmp_path / "data"


def test_the_corpus_is_large_enough() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert len(BROKEN) >= 90
    assert len(VALID) >= 12
    assert all(case.expected for case in BROKEN)
    assert not any(e.severity == "error" for case in VALID for e in case.expected)


def test_the_page_has_every_dataset() -> None:
    """Written by ``python -m tests.corpus.stock``."""
    assert listed() == [case.name for case in CASES]

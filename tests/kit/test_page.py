"""The page of checks says what the checks say of themselves."""

from __future__ import annotations

from tests.kit.broken import BROKEN
from tests.kit.page import PAGE, split, table
from trainer_host.testing import CHECKS


def test_the_page_is_that_of_the_checks() -> None:
    assert split(PAGE.read_text(encoding="utf-8"))[1] == table(), "run: python -m tests.kit.page"


def test_every_check_has_a_plugin_that_it_catches() -> None:
    of_packages = {"host-version", "listing-imports-nothing"}  # tests/kit/test_installed.py
    assert set(BROKEN) | of_packages == set(CHECKS)


def test_checks_need_others_that_come_before_them() -> None:
    names = list(CHECKS)
    assert all(names.index(n) < i for i, c in enumerate(CHECKS.values()) for n in c.needs)

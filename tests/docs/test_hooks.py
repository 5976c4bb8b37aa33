"""The page of hooks says what the specifications say, and hooks that were published stay."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from tests.docs.hooks import PAGE, TITLES, page
from trainer_host.plugin.hookspecs import HOOKS

PUBLISHED = Path(__file__).with_name("published_hooks.json")
"""Every hook of a release with its arguments, by the release that brought it. It may only grow."""


def test_the_page_of_hooks_is_that_of_the_sources() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs.hooks"


def test_each_hook_belongs_to_one_stage() -> None:
    assert sorted(name for names in TITLES.values() for name in names) == sorted(HOOKS)


def test_published_hooks_keep_their_names_arguments_and_kind() -> None:
    for release, published in json.loads(PUBLISHED.read_text(encoding="utf-8")).items():
        for name, about in published.items():
            assert name in HOOKS, f"{name} was published in {release} and is gone: deprecate it first"
            arguments = list(inspect.signature(HOOKS[name]).parameters)[1:]
            gone = set(about["arguments"]) - set(arguments)
            assert not gone, f"{name} lost arguments that it had in {release}: {gone}"
            first = HOOKS[name].trainer_host_spec["firstresult"]
            assert first == about["first_result"], f"{name} is not answered as it was in {release}"


def test_every_hook_is_published() -> None:
    published = {name for hooks_of in json.loads(PUBLISHED.read_text(encoding="utf-8")).values() for name in hooks_of}
    missing = set(HOOKS) - published
    assert not missing, f"add them to {PUBLISHED.name} under the release that brings them: {missing}"

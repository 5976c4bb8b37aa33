"""Warnings about deprecated hooks, in one line that names the plugin."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer_host.base.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer_host.plugin.discovery import PluginRecord


@contextmanager
def deprecations_noted(record: PluginRecord, noted: list[Problem]) -> Iterator[None]:
    """Note the deprecated hooks and arguments of a plugin while it is registered; other warnings pass.

    A specification declares them with pluggy's ``warn_on_impl`` and ``warn_on_impl_args``, which name the release and
    the replacement.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for each in said:
        if issubclass(each.category, DeprecationWarning):
            what = f"{record.kind} {record.name!r} from {record.origin}: {each.message}"
            fix = f"upgrade {record.distribution}, or ask its author to: docs/explanation/stability.md"
            noted.append(Problem(what, fix))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)

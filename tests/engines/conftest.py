"""Fixtures that these tests share with those of the host."""

from __future__ import annotations

from tests.core.conftest import engine, no_settings_of_the_caller  # noqa: F401

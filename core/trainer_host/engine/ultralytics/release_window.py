"""Whether the installed engine is one that the host was tested with."""

from __future__ import annotations

from importlib import metadata

from packaging.specifiers import SpecifierSet

from trainer_host.base.errors import Problem
from trainer_host.version import ENGINE_TESTED


def engine_version() -> str:
    """Return the version of the installed engine."""
    return metadata.version("ultralytics")


def untested_engine(version: str | None = None) -> Problem | None:
    """Return what to say of an engine outside the tested range, or None for one inside."""
    version = version or engine_version()
    if SpecifierSet(ENGINE_TESTED).contains(version, prereleases=True):
        return None
    return Problem(
        f"ultralytics {version} is outside the tested range {ENGINE_TESTED}; results may differ.",
        f'Install a tested one: pip install "ultralytics{ENGINE_TESTED}"',
    )

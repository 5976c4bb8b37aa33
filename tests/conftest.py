"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what is read of datasets out of the tester's own cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    kept = os.environ.get("TRAINER_CACHE_DIR")
    os.environ["TRAINER_CACHE_DIR"] = str(folder)
    yield folder
    os.environ.pop("TRAINER_CACHE_DIR")
    if kept is not None:
        os.environ["TRAINER_CACHE_DIR"] = kept

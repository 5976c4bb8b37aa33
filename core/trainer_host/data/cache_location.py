"""The folder of the host's caches."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return the folder of the host's caches: ``TRAINER_CACHE_DIR``, or the user's own cache folder."""
    given = os.environ.get("TRAINER_CACHE_DIR")
    return Path(given).expanduser() if given else user_cache_path("trainer-host", appauthor=False)


def extracted_folder() -> Path:
    """Return the folder of images that were taken out of files of labels."""
    return cache_folder() / "extracted"

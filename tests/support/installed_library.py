"""albumentations, which is not installed next to the host, for tests of a package that needs it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.command import process

ALBUMENTATIONS = ("albumentations==2.0.8", "albucore==0.0.24", "stringzilla", "simsimd", "scipy")
"""Without what they depend on, which is there: one OpenCV is enough."""


def install_albumentations(folder: Path) -> str:
    """Install it into a folder; return why that is not possible, empty if it is done."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    done = process(*command, "--target", folder, *ALBUMENTATIONS)
    return f"albumentations cannot be installed: {done.err.strip().splitlines()[-1]}" if done.code else ""

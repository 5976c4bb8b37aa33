"""Layers above the engine know it by its protocol alone: no name and no text of theirs is one engine's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trainer_host

CORE = Path(trainer_host.__file__).parent
WORDS = re.compile(r"ultralytics|distill_model|optimizer=auto|results\.csv|args\.yaml|DetectionTrainer", re.IGNORECASE)
SOURCES = [CORE / "api.py", *(f for layer in ("session", "cli") for f in sorted((CORE / layer).rglob("*.py")))]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_text_is_the_engines(source: Path) -> None:
    assert WORDS.findall(source.read_text(encoding="utf-8")) == []

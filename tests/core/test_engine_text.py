"""All of core but one folder knows an engine by its protocol alone: no name and no text of theirs is one engine's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trainer_host
from trainer_host.engine import factory

CORE = Path(trainer_host.__file__).parent
WORDS = re.compile(
    r"ultralytics|distill_model|optimizer=auto|results\.csv|args\.yaml|(?-i:YOLO_)|\bmodels\W{1,5}yolo\b"
    r"|\b(Base|Detection|Segmentation|Classification)(Trainer|Validator|Predictor)\b",
    re.IGNORECASE,
)
ALLOWED = re.compile(
    rf"{re.escape(factory.DEFAULT)}"  # the place of the default engine
    r"|trainer_host\.ultralytics"  # the documented module of its parts
    r"|Ultralytics YOLO|save_ultralytics"  # the dataset format, as label tools call it
)
FOLDER = CORE / "engine" / "ultralytics"
SOURCES = [f for f in sorted(CORE.rglob("*.py")) if FOLDER not in f.parents and f != CORE / "ultralytics.py"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_text_is_the_engines(source: Path) -> None:
    text = ALLOWED.sub("", source.read_text(encoding="utf-8"))
    assert [found[0] for found in WORDS.finditer(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        'ENGINE = "ultralytics"',
        'parts[:3] == [ENGINE, "models", "yolo"]',
        "the name in ``results.csv``",
        "a subclass of `ultralytics.engine.trainer.BaseTrainer`",
        'path.with_name("args.yaml")',
        'VARIABLES = ("YOLO_",)',
    ],
)
def test_such_text_is_found(text: str) -> None:
    assert WORDS.search(ALLOWED.sub("", text))

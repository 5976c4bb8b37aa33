"""Settings of the engine with values that people mistype, and with extremes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trainer_host
from tests.support.command import Done
from tests.sweep.conftest import Tiny
from trainer_host.engine.ultralytics.engine_settings import engine_keys

Trainer = Callable[..., Done]

WORDS = (
    *("x", "''", "none", "true", "false", "0", "-1", "1", "0.5", "1.5", "1e9", "1e999", "-1e300"),
    *("[]", "[0,1]", "[0.1,0.2]", "['x']", "{'a':1}", "../x", "~", "nan", "0,1"),
)
"""Values as words of the command."""
OBJECTS = (math.nan, math.inf, -math.inf, 10**30, "a\0b", "\udcff", b"x", object(), [None], [[1]], {1: {2}}, (), {1})
"""Values that only Python can give."""
ENDINGS = frozenset(trainer_host.ExitCode) - {trainer_host.ExitCode.BUG}
ENDLESS = {("epochs", "1e9"), *(("time", word) for word in ("true", "1", "0.5", "1.5", "1e9"))}
"""Values that train for hours, as they ask for."""
KEYS = sorted(engine_keys() - {"compile"})
"""All settings, but for ``compile``, which compiles for minutes."""
SHORT = {"batch", "classes", "conf", "device", "imgsz", "max_det"}
"""Settings that the short tests try, because both commands use them; the others only with ``--all``."""
TOGETHER = 6
"""Settings that one training has to bear together."""


def ended_well(done: Done, *words: str) -> None:
    """Check that a command ended as documented: in JSON, and for an error in lines without a traceback."""
    assert done.code in ENDINGS, (words, done.code, done.err[-600:])
    assert "Traceback" not in done.err, (words, done.err[-600:])
    assert done.json["status"] == ("done" if done.code == 0 else "error"), (words, done.json)


@pytest.mark.parametrize("key", [pytest.param(k, marks=[] if k in SHORT else pytest.mark.slow) for k in KEYS])
@pytest.mark.parametrize("name", ["val", "predict"])
def test_values_of_val_and_predict(trainer: Trainer, tiny: Tiny, name: str, key: str) -> None:
    for word in WORDS:
        words = [*getattr(tiny, name), f"{key}={word}", "--json"]
        ended_well(trainer(*words), *words)


def accepted(trainer: Trainer, tiny: Tiny, word: str) -> Iterator[str]:
    """Yield the settings that take a word, as far as can be said before the dataset is read."""
    for key in KEYS:
        done = trainer(*tiny.run, f"{key}={word}", "--dry-run", "--json")
        assert done.code in ENDINGS, (key, word, done.err[-600:])
        assert "Traceback" not in done.err
        if done.code == 0 and (key, word) not in ENDLESS:
            yield f"{key}={word}"


@pytest.mark.train
@pytest.mark.parametrize("word", WORDS)
def test_values_of_run(trainer: Trainer, tiny: Tiny, word: str) -> None:
    """Settings are given several at a time, and one by one where they end in an error that could hide another."""
    given = list(accepted(trainer, tiny, word))
    for start in range(0, len(given), TOGETHER):
        group = given[start : start + TOGETHER]
        done = trainer(*tiny.run, *group, "--json")
        ended_well(done, *group)
        for setting in group if done.code else ():
            ended_well(trainer(*tiny.run, setting, "--json"), setting)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "val", "predict"])
def test_values_that_only_python_can_give(
    tiny: Tiny, name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = dict(word.split("=", 1) for word in getattr(tiny, name)[1:] if "=" in word)
    settings: dict[str, Any] = {**given, "imgsz": 32}
    settings |= (
        {"epochs": 1, "batch": 4, "plots": False} if name == "run" else {"plots": False} if name == "val" else {}
    )
    call: Any = getattr(trainer_host, name)
    for key in KEYS:
        for value in OBJECTS:
            try:
                call(**({"task": "pose"} if name == "run" else {}), **{**settings, key: value})
            except trainer_host.TrainerError as error:
                assert error.exit_code in ENDINGS, (key, value, error)
            except Exception as error:
                pytest.fail(f"{name} {key}={value!r}: {type(error).__name__}: {error}")

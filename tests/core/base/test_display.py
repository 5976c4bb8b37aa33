"""Text of files in terminals, JSON and tables: shown, and never sent as it is."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from tests.support.command import Done, command, process
from tests.support.sample_datasets import detect_dataset
from tests.support.written_package import write_package
from trainer_host.base.display import csv_cell, escaped, escaped_lines, json_text
from trainer_host.base.errors import Problem
from trainer_host.base.reporting import EpochReport, Progress
from trainer_host.cli.console_reporter import ConsoleReporter
from trainer_host.session.prediction_tables import write_predictions

Trainer = Callable[..., Done]

CLEAR, TITLE, CLIPBOARD = "\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07"
BIDI = "\u202egnp.exe\u202c\u2066\u200b"
EVIL = f"a{CLEAR}{TITLE}{CLIPBOARD}\x9b31m{BIDI}\u2028\x7f[bold]\r\nb"
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
TEXTS = st.text(st.characters(codec=None) | st.sampled_from(EVIL))


def steering(text: str, kept: str = "") -> list[str]:
    return [c for c in text if unicodedata.category(c) in STEERING and c not in kept and c < "\u0590"] + re.findall(
        "[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]", text
    )


# The text


@given(TEXTS)
@example(EVIL)
def test_escaped_text_steers_nothing(text: str) -> None:
    assert not steering(escaped(text))
    assert not steering(escaped_lines(text), "\n\t")
    assert len(escaped(text).splitlines()) <= 1
    escaped(text).encode()


@given(TEXTS)
def test_escaping_again_changes_nothing(text: str) -> None:
    assert escaped(escaped(text)) == escaped(text)


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="ᅠㅤᅟﾠ឴឵")))
@example("Größe, 鼠, мышь, \N{FACE WITH TEARS OF JOY}, C:\\new\\table, 100 %")
def test_plain_text_does_not_change(text: str) -> None:
    assert escaped(text) == escaped_lines(text) == text


def test_how_it_looks() -> None:
    assert escaped("\x1b[2J\n\t\x9b\u202e\udcff\U000e0041") == r"\x1b[2J\n\t\x9b\u202e\udcff\U000e0041"


@given(st.recursive(TEXTS | st.floats() | st.none(), lambda inner: st.dictionaries(TEXTS, inner) | st.lists(inner)))
@example({EVIL: [EVIL, "\udcff"]})
def test_json_means_the_same_and_steers_nothing(data: Any) -> None:
    text = json_text(data)
    text.encode()
    assert not steering(text)
    assert json.loads(text) == json.loads(json.dumps(data), parse_constant=lambda _: None)
    assert json.loads(json_text(data, indent=1)) == json.loads(text)


@given(TEXTS, TEXTS, TEXTS)
def test_a_problem_is_one_line(message: str, fix: str, where: str) -> None:
    problem = Problem(message, fix, where)
    assert not steering(str(problem))
    assert (problem.message, problem.fix, problem.where) == (message, fix, where)


# Tables


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-cmd", "@x", "\tx", "\rx", "\n=x", "\uff1d1", "+1 2", "-1 "])
def test_a_cell_is_no_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, -0.5, 1e-9, None, "-1", "+0.5", "-1e-3", "name", "a=b", "'=x", ""])
def test_numbers_and_names_stay_as_they_are(value: Any) -> None:
    assert csv_cell(value) == value


def test_predictions_of_evil_names(tmp_path: Path) -> None:
    point = {"name": "=evil()", "x": -1.5, "y": 2.0}
    found = {"name": "=HYPERLINK(1)", "box": [-1.0, 2.0], "=key": "@x", "points": [point]}
    predictions = [{"image": "-\udcff.jpg", "width": 3, "objects": [found]}]
    write_predictions(tmp_path / "out.csv", predictions)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "image": "'-\\udcff.jpg",
        "width": "3",
        "name": "'=HYPERLINK(1)",
        "box.0": "-1.0",
        "box.1": "2.0",
        "'=key": "'@x",
        "points.=evil().x": "-1.5",
        "points.=evil().y": "2.0",
    }
    write_predictions(tmp_path / "out.json", predictions)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == predictions


# The console


@pytest.mark.parametrize("terminal", [True, False])
def test_the_console_shows_what_steers_and_keeps_its_own_colours(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=400, highlight=False, _environ={"TERM": "xterm"})
    reporter = ConsoleReporter(console)
    reporter.note(EVIL)
    reporter.warn(EVIL)
    reporter.progress(Progress(1, 2, 1, 2, {EVIL: 1.0}, 5.0))
    reporter.epoch(EpochReport(1, 2, 1.0, 1.0, {EVIL: 1.0}, {EVIL: 1.0}, False))
    reporter.close()
    reporter.metrics({EVIL: 0.5})
    shown = stream.getvalue()
    if not terminal:
        assert not steering(shown, "\n")
    for part in (CLEAR, TITLE, CLIPBOARD, "\x9b", "\u202e", "\u2028", "\x07", "\x7f"):
        assert part not in shown
    assert shown.count(escaped(EVIL)) >= 3
    assert "[bold]" in shown
    assert ("\x1b[33mWarning: " in shown) is terminal


@pytest.mark.usefixtures("engine")
def test_the_engines_log_in_full_keeps_its_colours_alone(capsys: pytest.CaptureFixture[str]) -> None:
    from ultralytics.utils import LOGGER, colorstr

    from trainer_host.base.reporting import NullReporter
    from trainer_host.engine.ultralytics.engine_log import engine_log

    stream = io.StringIO()
    own = logging.StreamHandler(stream)
    LOGGER.addHandler(own)
    try:
        with engine_log(NullReporter(), verbose=True):
            LOGGER.info("%s: %s", colorstr("blue", "head"), EVIL)
    finally:
        LOGGER.removeHandler(own)
    assert colorstr("blue", "head") in stream.getvalue()
    assert not steering(stream.getvalue().replace("\x1b[34m", "").replace("\x1b[0m", ""), "\n")
    assert r"\x1b[2J" in stream.getvalue()


# At the doors


@pytest.fixture
def odd(tmp_path: Path, engine: None) -> Path:
    """Return the YAML of a dataset whose folder, file names and class names are evil."""
    folder = tmp_path / EVIL.replace("/", "").replace("\0", "")[:100]
    data = detect_dataset(folder, 2)
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**content, "names": {0: EVIL, 1: EVIL}, EVIL: 1}))
    label = next((folder / "labels" / "train").iterdir())
    label.write_text("\x1b[2J\u202e 0.5 0.5 0.1 0.1\n")
    label.with_name(os.fsdecode(b"\xff\x1b.txt")).symlink_to(label)
    return data


@pytest.mark.parametrize("words", [["check"], ["run", "model=yolo11n.yaml"], ["convert", "out"]])
def test_the_command_shows_names_escaped(trainer: Trainer, odd: Path, words: list[str]) -> None:
    name, *rest = words
    data = str(odd) if name != "run" else f"data={odd}"
    done = trainer(name, data, *rest, "--task", "detect", "--json", *(["-v"] if name == "check" else []))
    assert done.code == 4
    assert not steering(done.err, "\n")
    assert not steering(done.out, "\n")
    assert r"\x1b[2J" in done.err
    if name == "check":
        assert done.json["dataset"] == str(odd)
        assert any(EVIL in f["message"] or EVIL in f["fix"] for f in done.json["findings"])


def test_names_in_usage_errors_and_unknown_settings(trainer: Trainer) -> None:
    for words in (["check", EVIL, CLEAR], [EVIL], ["run", f"--{EVIL}"], ["run", f"{EVIL}=1"], ["run", f"task={EVIL}"]):
        done = trainer(*words, "--json")
        assert done.code in {2, 3, 5}
        assert not steering(done.err, "\n")
        assert not steering(done.out, "\n")


def test_the_settings_of_a_dry_run_mean_the_same(trainer: Trainer, odd: Path) -> None:
    done = trainer("run", "--task", "detect", f"data={odd}", "model=yolo11n.yaml", "--dry-run")
    assert done.code == 0, done.err
    assert not steering(done.out, "\n")
    assert yaml.safe_load(done.out)["data"] == str(odd)


def test_plugins_of_evil_metadata(tmp_path: Path) -> None:
    points = f"[trainer_host.plugins]\na{CLEAR}{BIDI} = nothing_here\n"
    meta = f"Metadata-Version: 2.1\nName: trainer-a\nVersion: 1.0{TITLE}\n"
    write_package(tmp_path, "trainer-a", entry_points=points, metadata=meta)
    for words in ((), ("--check",), ("--json",)):
        done = command("plugins", *words, cwd=tmp_path, path=[tmp_path])
        assert done.code == 0, done.err
        assert not steering(done.out + done.err, "\n")


def test_a_bug_is_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "bug.py").write_text(
        "import trainer_host.cli.main as m\n"
        f"def bug(*a, **k): raise RuntimeError({EVIL!r})\n"
        "m.cli.main = bug\nm.main(['plugins'])\n"
    )
    done = process(sys.executable, "bug.py", cwd=tmp_path)
    assert done.code == 1
    assert "Traceback" in done.err
    assert not steering(done.err, "\n")


def test_output_of_another_encoding_is_no_bug(tmp_path: Path) -> None:
    done = command("run", "größe=1", "--json", cwd=tmp_path, PYTHONIOENCODING="ascii", TRAINER_TASK="detect")
    assert done.code == 3, done.err
    assert "größe" in done.json["problems"][0]["message"]

"""Paths of runs with a slip of the pen, for each command that takes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Done
from trainer_host.session.near_runs import near_runs

Trainer = Callable[..., Done]
BEST = "weights/best.pt"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("runs/pose/train", "runs/pose/train2", "runs/detect/mice")):
        (tmp_path / name / "weights").mkdir(parents=True)
        (tmp_path / name / BEST).write_bytes(b"weights")
        (tmp_path / name / "run.yaml").write_text("task: pose\n")
        os.utime(tmp_path / name, (number, number))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("val", f"model=runs/pose/trian/{BEST}"), f"write model=runs/pose/train/{BEST}"),
        (("predict", f"model=runs/pose/traim2/{BEST}", "source=runs"), f"write model=runs/pose/train2/{BEST}"),
        (("val", "model=best.pt"), f"write model=runs/detect/mice/{BEST}"),
        (("val", "runs/pose/train2"), f"write model=runs/pose/train2/{BEST}"),
        (("predict", f"run/pose/train2/{BEST}"), f"write model=runs/pose/train2/{BEST}"),
        (("run", "--task", "pose", f"model=runs/detect/mouse/{BEST}"), f"write model=runs/detect/mice/{BEST}"),
        (("run", f"model=runs/detect/mouse/{BEST}"), f"write model=runs/detect/mice/{BEST}"),
        (
            ("run", "--task", "pose", "model=yolo11n.yaml", f"pretrained=runs/pose/trian/{BEST}"),
            f"write pretrained=runs/pose/train/{BEST}",
        ),
        (("run", "runs/pose/trian/run.yaml"), "write runs/pose/train/run.yaml"),
        (("run", "runs/detect/mice"), "to train it again, write trainer run runs/detect/mice/run.yaml; to go on with"),
        (("run", "runs/detect/mouse"), "to train it again, write trainer run runs/detect/mice/run.yaml; to go on with"),
    ],
)
def test_the_fix_names_the_run_that_was_meant(runs: Path, trainer: Trainer, words: tuple[str, ...], fix: str) -> None:
    if "source=runs" in words:
        (runs / "runs/a.jpg").write_bytes(b"image")
    done = trainer(*words)
    assert (done.code, len(done.problems)) == (3, 1), done.err
    assert f" Fix: {fix}" in done.problems[0]


def test_what_resembles_no_run(runs: Path) -> None:
    for path in ("photos/cat.jpg", "x.pt", "", "a" * 300, "/", "runs/segment/other/weights/last.pt", "a\0b"):
        assert near_runs(path) == []
    assert near_runs("pose") == ["runs/pose/train2", "runs/pose/train"]
    assert near_runs(str(runs / "runs/pose/trian"))[0] == "runs/pose/train"

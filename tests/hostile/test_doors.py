"""Every hostile file through every door: nothing is run, started, opened or connected to, and each says one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hostile.doors import DOORS, PYTHON_DOORS
from tests.support.command import ROOT, process
from tests.support.sample_datasets import pose_dataset

pytestmark = pytest.mark.usefixtures("engine")

FAST = ("predict", "dry run", "API val", "class resume")
DATASETS = frozenset({"check", "convert"})
MOST_MEMORY = 2**30
EXPECTED = "/runs/"
"""Where a run that goes on, or that ends after its dataset was read, may write; its cache is there too."""
HARMLESS = {
    # Their pickle and model are sound; a door that does not use the odd part of their data may go on.
    "data-by-address",
    "data-is-code",
    "size-of-images",
    "size-of-images-is-text",
    "record-plugin-file",
}
"""Files that may be used where their fault does not matter."""


@pytest.fixture(scope="session")
def engine() -> None:
    pytest.importorskip("ultralytics")


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, an architecture and the hostile files."""
    from tests.hostile.files import hostile_files, small_architecture

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "files").mkdir()
    pose_dataset(folder / "data", images=4)
    architecture = {k: v for k, v in small_architecture().items() if k != "yaml_file"}
    (folder / "small.yaml").write_text(yaml.safe_dump(architecture), encoding="utf-8")
    assert len(hostile_files(folder / "files")) >= 60
    return folder


def attempts(folder: Path, *doors: str) -> dict[str, Any]:
    """Open every file through doors, in a process that is watched."""
    out = folder / f"{doors[0].replace(' ', '-')}.json"
    words = [sys.executable, "-m", "tests.hostile.doors", folder, out, *doors]
    done = process(*words, cwd=folder, path=[ROOT], TRAINER_CACHE_DIR=str(folder / "runs" / "cache"))
    assert done.code == 0, done.err[-3000:]
    facts: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return facts


def problem_with(attempt: dict[str, Any]) -> str | None:
    """Return what is wrong with how an attempt ended; None if it ended as it should."""
    code, said = attempt["code"], attempt["said"]
    lines = [line for line in said.splitlines() if line.startswith(("trainer: ", "error: "))]
    if not isinstance(code, int):
        return f"an error that nobody expects: {code[-400:]}"
    if "Traceback" in said:
        return "a traceback"
    if events := [e for e in attempt["events"] if EXPECTED not in e]:
        return f"events: {events[:3]}"
    if code == 0 and (attempt["file"] in HARMLESS or attempt["door"] in {"dry run", *DATASETS}):
        return None
    # What plugins build does not fit, or plugins are missing: that is said as such.
    codes = (
        (3, 4) if attempt["door"] in DATASETS else (3, 4, 5, 6) if attempt["file"].startswith("state-") else (3, 4, 6)
    )
    if code not in codes or len(lines) != 1:
        return f"code {code}, {len(lines)} lines: {said[-300:]}"
    return None


def check(folder: Path, *doors: str) -> None:
    facts = attempts(folder, *doors)
    wrong = {f"{a['door']}: {a['file']}": found for a in facts["attempts"] if (found := problem_with(a))}
    assert not wrong, "\n".join(f"{k}: {v}" for k, v in wrong.items())
    assert {a["door"] for a in facts["attempts"]} == set(doors)
    assert facts["memory"] < MOST_MEMORY
    assert not (folder / "files" / "mark").exists()
    assert (folder / "files" / "precious").is_dir()
    assert set(facts["new"]) <= {"runs"}, "nothing is written next to the runs"


@pytest.mark.parametrize("doors", [FAST[:1], pytest.param(FAST[1:], marks=pytest.mark.slow)], ids=["first", "others"])
def test_a_quick_look_through_one_door_of_each_kind(stage: Path, doors: tuple[str, ...]) -> None:
    check(stage, *doors)


@pytest.mark.train
@pytest.mark.parametrize(
    "doors", [tuple(d for d in DOORS if d not in FAST), tuple(d for d in PYTHON_DOORS if d not in FAST)]
)
def test_nothing_runs_through_any_door(stage: Path, doors: tuple[str, ...]) -> None:
    check(stage, *doors)


@pytest.mark.slow
def test_the_bait_would_work(stage: Path, tmp_path: Path) -> None:
    """The files do what they are meant to where they are loaded in full."""
    code = (
        "import contextlib, sys, torch\n"
        "with contextlib.suppress(Exception):\n"
        "    torch.load(sys.argv[1], weights_only=False)\n"
    )
    for name in ("reduce-system", "inst-system", "reduce-exec", "reduce-teacher", "obj-teacher", "in-a-layer"):
        mark = stage / "files" / "mark"
        process(sys.executable, "-c", code, stage / "files" / f"{name}.pt", cwd=tmp_path, path=[ROOT])
        ran = mark.exists()
        mark.unlink(missing_ok=True)
        assert ran, name

"""Standard output and standard error that are closed, full, or read by nobody, and a working folder that is gone."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.support.command import TRAINER, Done, process
from tests.support.sample_datasets import detect_dataset

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")

WORDS = ["--help", "run --help", "plugins --json", "check data.yaml --json"]


def shell(line: str, cwd: Path) -> Done:
    return process("bash", "-o", "pipefail", "-c", line.replace("trainer", shlex.join(TRAINER)), cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detect_dataset(tmp_path_factory.mktemp("data"), 2).parent


@pytest.mark.parametrize("words", [*WORDS, "nonsense --json"])
def test_a_full_disk_for_standard_output_is_one_line(folder: Path, words: str) -> None:
    done = shell(f"trainer {words} > /dev/full", folder)
    assert done.code == 9, done.err
    said = [line for line in done.err.splitlines() if line.startswith("trainer: cannot write to standard output")]
    assert len(said) == 1
    assert said[0].endswith("output: No space left on device. Fix: free space, or redirect it elsewhere")
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err


@pytest.mark.parametrize("words", WORDS)
def test_a_reader_that_goes_away_is_not_worth_a_line(folder: Path, words: str) -> None:
    done = shell(f"trainer {words} | head -c 0", folder)
    assert done.code in {0, 9}  # 0 if all was written before the reader ended
    assert "Traceback" not in done.err
    assert "trainer:" not in done.err


@pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-"])
def test_what_people_would_read_is_not_needed(folder: Path, stream: str) -> None:
    done = shell(f"trainer check data.yaml --json {stream}", folder)
    assert done.code == 0
    assert json.loads(done.out)["counts"]["errors"] == 0


def test_a_closed_standard_output_is_no_matter(folder: Path) -> None:
    done = shell("trainer check data.yaml --json >&-", folder)
    assert (done.code, "Traceback" in done.err) == (0, False)


@pytest.mark.parametrize("words", ["run", "val model=x.pt", "predict model=x.pt", "check x", "convert x y", "plugins"])
def test_a_working_folder_that_is_gone_is_one_line(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && trainer {words} --json", tmp_path)
    assert done.code == 3, done.err
    assert done.err == (
        "trainer: the working folder no longer exists (No such file or directory). "
        "Fix: change to a folder that exists\n"
    )
    assert json.loads(done.out)["error"] == "EnvironmentProblemError"


@pytest.mark.parametrize("words", ["--help", "run --help", "--version"])
def test_help_needs_no_working_folder(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && trainer {words}", tmp_path)
    assert (done.code, done.err) == (0, ""), done.err
    assert os.linesep in done.out
